//! Functions of two tensors, and of any number of them.

use super::lowering::{Lowered, Lowering, Row, Trouble, integers, reals};
use crate::codec::onnx::network::Operand;
use crate::codec::onnx::writer::Writer;
use crate::graph::op::{Binary, Layout};
use crate::graph::{NodeId, Op};
use crate::tensor::Tensor;

const SUM: Binary = Binary::Add { relu: false };
const PRODUCT: Binary = Binary::Mul { relu: false };

#[expect(clippy::redundant_closure_for_method_calls, reason = "the path of a method is for one lifetime, not for each")]
pub(super) const ROWS: &[Row] = &[
    integers("Add", 7, |node| node.binary(Op::Binary(SUM))),
    reals("Div", 7, |node| node.pair(Binary::Div)),
    reals("Max", 7, |node| node.chain(Binary::Maximum)),
    integers("Mean", 7, |node| node.mean()),
    reals("Min", 7, |node| node.chain(Binary::Minimum)),
    integers("Mul", 7, |node| node.binary(Op::Binary(PRODUCT))),
    reals("Pow", 7, |node| node.pair(Binary::Pow)),
    reals("Sub", 7, |node| node.pair(Binary::Sub)),
    integers("Sum", 7, |node| node.chain(SUM)),
];

impl Lowering<'_> {
    /// A function of two tensors; the exponent of a power may be of another type than its base.
    fn pair(&mut self, function: Binary) -> Lowered {
        let base = self.running(0)?;
        let exponent = if function == Binary::Pow { self.whole_exponent()? } else { None };
        let second = match exponent {
            Some(tensor) => self.constant(tensor)?,
            None => self.running(1)?,
        };
        self.emit(Op::Binary(function), vec![base, second])
    }

    /// The second operand as real numbers, where it holds integers.
    fn whole_exponent(&self) -> Result<Option<Tensor>, Trouble> {
        let Operand::Value(value) = self.operand(1)? else { return Ok(None) };
        Ok(value.counted())
    }

    /// A function of any number of tensors, two at a time.
    fn several(&mut self, function: Binary) -> Result<NodeId, Trouble> {
        let inputs = (0..self.operands.len()).map(|i| self.running(i)).collect::<Result<Vec<_>, _>>()?;
        let (&first, rest) = inputs.split_first().ok_or("it has no input")?;
        if rest.is_empty() {
            return self.step(Op::Layout(Layout::Identity), vec![first]);
        }
        rest.iter().try_fold(first, |so_far, &next| self.step(Op::Binary(function), vec![so_far, next]))
    }

    fn chain(&mut self, function: Binary) -> Lowered {
        Ok(vec![Operand::Node(self.several(function)?)])
    }

    fn mean(&mut self) -> Lowered {
        let sum = self.several(SUM)?;
        let count = self.number(self.operands.len() as f32)?;
        self.emit(Op::Binary(Binary::Div), vec![sum, count])
    }
}

impl Writer<'_> {
    pub(super) fn binary(&mut self, id: NodeId, function: Binary, inputs: Vec<String>) {
        match function {
            Binary::Add { relu } => self.rectified(id, "Add", relu, inputs, Vec::new()),
            Binary::Mul { relu } => self.rectified(id, "Mul", relu, inputs, Vec::new()),
            Binary::Sub => self.last(id, "Sub", inputs, Vec::new()),
            Binary::Div => self.last(id, "Div", inputs, Vec::new()),
            Binary::Pow => self.last(id, "Pow", inputs, Vec::new()),
            Binary::Maximum => self.last(id, "Max", inputs, Vec::new()),
            Binary::Minimum => self.last(id, "Min", inputs, Vec::new()),
            Binary::MatMul => self.last(id, "MatMul", inputs, Vec::new()),
        }
    }
}
