//! Nodes whose outcome is known while the file is read: shape arithmetic as exporters leave it behind, and moves of
//! constants. Everything is computed as ONNX's reference evaluator computes it, element type by element type, or
//! refused; a test holds it to that on random graphs.

mod combine;
mod convert;
mod made;
mod moves;
mod value;

pub(super) use convert::wanted as wanted_kind;
pub(super) use moves::part_sizes;
pub(super) use value::{Elements, Int, MOST_ELEMENTS, Value};

use std::sync::Arc;

use super::attributes::Attributes;
use super::axes::{axes_of, axis_of, index, squeezed, unsqueezed};
use super::catalogue::{Operator, Takes};
use super::constant::Kind;
use super::error::ImportError;
use super::network::{Import, Operand, label};
use super::proto::NodeProto;
use crate::graph::Dim;
use crate::tensor::Tensor;

/// Why a node is not folded.
pub(super) enum Unfolded {
    /// It must run, though its operands are constants.
    Runs,
    Refused(String),
}

impl From<String> for Unfolded {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

impl From<&str> for Unfolded {
    fn from(reason: &str) -> Self {
        Self::Refused(reason.to_owned())
    }
}

type Folded = Result<Vec<Operand>, Unfolded>;

/// One node whose operands are all known.
struct Call<'a> {
    node: &'a NodeProto,
    opset: i64,
    attributes: &'a Attributes<'a>,
    operands: &'a [Option<Operand>],
    read: std::cell::Cell<u64>,
}

/// Folds a node whose result is known without running the network; `None` where it must run.
pub(super) fn fold(
    import: &mut Import,
    node: &NodeProto,
    operands: &[Option<Operand>],
) -> Result<Option<Vec<Operand>>, ImportError> {
    let form = |opset: i64, reason: String| ImportError::Form {
        node: label(node),
        operator: node.op_type.clone(),
        opset,
        reason,
        next: None,
    };
    let attributes = Attributes::of(node).map_err(|reason| form(import.opset, reason))?;
    let runs = operands.iter().flatten().any(|operand| matches!(operand, Operand::Node(_)));
    let call = Call { node, opset: import.opset, attributes: &attributes, operands, read: std::cell::Cell::new(0) };
    let folded = match node.op_type.as_str() {
        "Shape" => made::shape(&call, import),
        "Size" => made::size(&call, import),
        // Of what it is to be like, only the type is asked.
        "CastLike" if !matches!(operands.first(), Some(Some(Operand::Node(_)))) => convert::cast(&call),
        _ if runs => return Ok(None),
        name => match function(name) {
            Some(function) => function(&call),
            None => return Ok(None),
        },
    };
    match folded {
        Err(Unfolded::Runs) => Ok(None),
        Err(Unfolded::Refused(reason)) => Err(form(import.opset, reason)),
        Ok(results) => {
            call.all_read().map_err(|reason| form(import.opset, reason))?;
            let made = results.iter().map(size_of).sum();
            import.allow(made).map_err(|reason| form(import.opset, reason))?;
            Ok(Some(results))
        }
    }
}

/// Operators that are computed here and never run.
pub(super) const OPERATORS: [Operator; 16] = [
    constants("And", 7),
    constants("Constant", 7),
    constants("ConstantOfShape", 9),
    constants("Equal", 7),
    constants("Greater", 7),
    constants("GreaterOrEqual", 12),
    constants("Less", 7),
    constants("LessOrEqual", 12),
    constants("Mod", 10),
    constants("Not", 7),
    constants("Or", 7),
    constants("Range", 11),
    constants("Shape", 7),
    constants("Size", 7),
    constants("Where", 9),
    constants("Xor", 7),
];

const fn constants(name: &'static str, since: i64) -> Operator {
    Operator { name, since, takes: Takes::Constants }
}

/// How an operator is computed on what is known.
fn function(name: &str) -> Option<fn(&Call<'_>) -> Folded> {
    Some(match name {
        "Constant" => made::constant,
        "ConstantOfShape" => made::filled,
        "Range" => made::range,
        "Identity" => moves::identity,
        "Reshape" => moves::reshape,
        "Flatten" => moves::flatten,
        "Squeeze" => moves::squeeze,
        "Unsqueeze" => moves::unsqueeze,
        "Transpose" => moves::transpose,
        "Slice" => moves::slice,
        "Gather" => moves::gather,
        "Concat" => moves::concat,
        "Split" => moves::split,
        "Expand" => moves::expand,
        "Tile" => moves::tile,
        "Cast" | "CastLike" => convert::cast,
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Min" | "Max" => combine::arithmetic,
        "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => combine::comparison,
        "And" | "Or" | "Xor" => combine::logic,
        "Where" => combine::choice,
        "Not" | "Neg" | "Abs" | "Sign" | "Floor" | "Ceil" | "Sqrt" | "Reciprocal" => combine::each,
        "ReduceSum" | "ReduceProd" | "ReduceMax" | "ReduceMin" => combine::reduction,
        _ => return None,
    })
}

/// How many elements an operand holds.
fn size_of(operand: &Operand) -> usize {
    match operand {
        Operand::Node(_) => 0,
        Operand::Float { tensor, .. } | Operand::Quantized(tensor) => tensor.data().len(),
        Operand::Value(value) => value.len(),
    }
}

/// The shape of what is known, or of what runs.
fn shape_of(operand: &Operand, import: &Import) -> Vec<Int> {
    let known = |shape: &[usize]| shape.iter().map(|&size| Int::Known(size as i64)).collect();
    match operand {
        Operand::Node(id) => {
            let int = |dim: &Dim| dim.known().map_or(Int::Batch, |size| Int::Known(size as i64));
            import.graph.node(*id).shape.iter().map(int).collect()
        }
        Operand::Float { tensor, .. } | Operand::Quantized(tensor) => known(tensor.shape()),
        Operand::Value(value) => known(&value.shape),
    }
}

impl Call<'_> {
    fn optional(&self, position: usize) -> Option<&Operand> {
        self.read.set(self.read.get() | 1 << position.min(63));
        self.operands.get(position).and_then(Option::as_ref)
    }

    fn operand(&self, position: usize) -> Result<&Operand, Unfolded> {
        self.optional(position).ok_or_else(|| format!("input {position} is missing").into())
    }

    /// Every operand there is, for operators that take any number.
    fn every(&self) -> Result<Vec<&Operand>, Unfolded> {
        (0..self.operands.len()).map(|position| self.operand(position)).collect()
    }

    /// A small tensor. Weights are not computed with here.
    fn value(&self, position: usize) -> Result<Value, Unfolded> {
        as_value(self.operand(position)?)
    }

    /// Whole numbers that do not depend on the batch size.
    fn numbers(&self, position: usize) -> Result<Vec<i64>, Unfolded> {
        let value = self.value(position)?;
        value.numbers().ok_or_else(|| match value.elements {
            Elements::Ints(_) => format!("input {position} depends on the batch size").into(),
            Elements::Reals(_) => format!("input {position} must hold integers").into(),
        })
    }

    /// Numbers that are an attribute before an opset, and an input from there on.
    fn numbers_from(&self, name: &str, position: usize, since: i64) -> Result<Option<Vec<i64>>, Unfolded> {
        if self.opset < since {
            return Ok(self.attributes.ints(name)?.map(<[i64]>::to_vec));
        }
        self.optional(position).map(|_| self.numbers(position)).transpose()
    }

    /// Nothing that the node says may be left unread.
    fn all_read(&self) -> Result<(), String> {
        self.attributes.all_read()?;
        unread_operand(self.operands, self.read.get())
    }

    /// The name of the first output, under which a float constant goes on.
    fn name(&self) -> String {
        self.node.output.first().cloned().unwrap_or_default()
    }

    /// A computed value as an operand: 32-bit floats are constants of the network.
    #[expect(clippy::unnecessary_wraps, reason = "what every operator gives back")]
    fn outcome(&self, value: Value) -> Folded {
        Ok(vec![operand_of(self.name(), value)])
    }
}

/// Refuses a node that is given more than its operator takes.
pub(super) fn unread_operand(operands: &[Option<Operand>], read: u64) -> Result<(), String> {
    let unread = operands.iter().enumerate().find(|(at, operand)| operand.is_some() && read >> (*at).min(63) & 1 == 0);
    unread
        .map_or(Ok(()), |(position, _)| Err(format!("it is given input {position}, which requant does not understand")))
}

fn operand_of(name: String, value: Value) -> Operand {
    match (value.kind, value.as_floats()) {
        (Kind::F32, Some(tensor)) => Operand::Float { name, tensor: Arc::new(tensor) },
        _ => Operand::Value(value),
    }
}

fn as_value(operand: &Operand) -> Result<Value, Unfolded> {
    let small = |kind: Kind, tensor: &Tensor| Value::of_tensor(kind, tensor).ok_or(Unfolded::Runs);
    match operand {
        Operand::Value(value) => Ok(value.clone()),
        Operand::Float { tensor, .. } => small(Kind::F32, tensor),
        Operand::Node(_) | Operand::Quantized(_) => Err(Unfolded::Runs),
    }
}

/// The product of sizes, where it can be counted.
fn volume(shape: &[usize]) -> Result<usize, Unfolded> {
    let product = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    product.filter(|&count| count <= 1 << 40).ok_or_else(|| "its outcome is absurdly large".into())
}

/// The shape of two tensors combined, smaller dimensions repeated.
fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Unfolded> {
    let rank = left.len().max(right.len());
    let at = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let one = |i| match (at(left, i), at(right, i)) {
        (a, b) if a == b => Ok(a),
        (a, 1) => Ok(a),
        (1, b) => Ok(b),
        (a, b) => Err(Unfolded::from(format!("{a} and {b} elements cannot be combined"))),
    };
    (0..rank).map(one).collect()
}

/// For each place of a tensor of shape `to`, the place that it has in one of shape `from`, which is repeated.
fn places(from: &[usize], to: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let new = to.len() - from.len().min(to.len());
    let mut strides = vec![0_isize; to.len()];
    let mut stride = 1;
    for axis in (0..from.len()).rev() {
        strides[axis + new] = if from[axis] == 1 { 0 } else { stride };
        stride *= from[axis].cast_signed();
    }
    strided(to.to_vec(), strides, 0)
}

/// The places that a walk over `shape` comes to, with a step along each axis.
fn strided(shape: Vec<usize>, strides: Vec<isize>, start: usize) -> impl Iterator<Item = usize> {
    let count = shape.iter().product::<usize>();
    let mut at = vec![0_usize; shape.len()];
    let mut place = start.cast_signed();
    (0..count).map(move |_| {
        let here = place;
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            place += strides[axis];
            if at[axis] < shape[axis] {
                break;
            }
            place -= strides[axis] * shape[axis].cast_signed();
            at[axis] = 0;
        }
        here.cast_unsigned()
    })
}

/// Row-major steps along each axis.
fn steps(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1_isize; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1].cast_signed();
    }
    strides
}
