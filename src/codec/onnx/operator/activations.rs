//! Activations and what stands in for them at inference.

use super::{Lowered, Lowering, Trouble, axis_of};
use crate::codec::onnx::constant::kind;
use crate::codec::onnx::import::Operand;
use crate::graph::Op;

impl Lowering<'_> {
    pub(super) fn clip(&mut self) -> Lowered {
        let bound = |position: usize, attribute: &str, default: f32| match self.optional(position) {
            None => Ok(self.attributes.float(attribute, default)),
            Some(_) => match self.tensor(position)?.as_f32() {
                Some([value]) => Ok(*value),
                _ => Err(Trouble::from("its bounds are not single numbers")),
            },
        };
        let (min, max) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
        let bounded = min.is_finite() || max.is_finite();
        self.unary(if bounded { Op::Clip { min, max } } else { Op::Identity })
    }

    pub(super) fn hard_sigmoid(&mut self) -> Lowered {
        let (alpha, beta) = (self.attributes.float("alpha", 0.2), self.attributes.float("beta", 0.5));
        if (alpha - 1.0 / 6.0).abs() > 1e-6 || (beta - 0.5).abs() > 1e-6 {
            return self.other_hard_sigmoid(alpha, beta);
        }
        self.unary(Op::HardSigmoid)
    }

    pub(super) fn softmax(&mut self, op: fn(usize) -> Op) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let default = if self.import.opset < 13 { 1 } else { -1 };
        let axis = axis_of(self.attributes.int("axis").unwrap_or(default), rank)?;
        if self.import.opset < 13 && axis + 1 != rank {
            return Err("before opset 13 it normalizes over several axes at once; export with opset 13 or later".into());
        }
        self.emit(op(axis), vec![input])
    }

    /// Real numbers stay what they are.
    pub(super) fn cast(&mut self) -> Lowered {
        let real = match self.node.op_type.as_str() {
            "Cast" => self.attributes.int("to") == Some(i64::from(kind::FLOAT)),
            _ => matches!(self.operand(1)?, Operand::Node(_) | Operand::Float { .. }),
        };
        if real { self.unary(Op::Identity) } else { Err("only a conversion to 32-bit floats is supported".into()) }
    }

    pub(super) fn dropout(&mut self) -> Lowered {
        let training = self.optional(2).is_some() && self.numbers(2)? != [0];
        if training {
            return Err("it is in training mode; call `model.eval()` before exporting".into());
        }
        self.unary(Op::Dropout)
    }
}
