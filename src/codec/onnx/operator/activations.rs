//! Activations and what stands in for them at inference.

use super::{Lowered, Lowering, Trouble, axis_of};
use crate::codec::onnx::constant::Kind;
use crate::codec::onnx::evaluate;
use crate::codec::onnx::import::Operand;
use crate::graph::Op;
use crate::tensor::Tensor;

impl Lowering<'_> {
    /// Bounds became inputs with opset 11. Both as PyTorch and as the specification has it, the upper one wins.
    pub(super) fn clip(&mut self) -> Lowered {
        let bound = |position: usize, attribute: &str, default: f32| {
            if self.import.opset < 11 {
                return Ok(self.attributes.float(attribute, default)?);
            }
            match self.optional_tensor(position)?.as_deref().map(Tensor::as_f32) {
                None => Ok(default),
                Some(Some([value])) if value.is_nan() => Err(Trouble::from("a bound is not a number")),
                Some(Some([value])) => Ok(*value),
                Some(_) => Err(Trouble::from("its bounds are not single numbers")),
            }
        };
        let (min, max) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
        let bounded = min > f32::NEG_INFINITY || max < f32::INFINITY;
        self.unary(if bounded { Op::Clip { min, max } } else { Op::Identity })
    }

    pub(super) fn hard_sigmoid(&mut self) -> Lowered {
        let (alpha, beta) = (self.attributes.float("alpha", 0.2)?, self.attributes.float("beta", 0.5)?);
        if (alpha - 1.0 / 6.0).abs() > 1e-6 || (beta - 0.5).abs() > 1e-6 {
            return self.other_hard_sigmoid(alpha, beta);
        }
        self.unary(Op::HardSigmoid)
    }

    pub(super) fn softmax(&mut self, op: fn(usize) -> Op) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let default = if self.import.opset < 13 { 1 } else { -1 };
        let axis = axis_of(self.attributes.int("axis")?.unwrap_or(default), rank)?;
        if self.import.opset < 13 && axis + 1 != rank {
            return Err("before opset 13 it normalizes over several axes at once; export with opset 13 or later".into());
        }
        self.emit(op(axis), vec![input])
    }

    /// Real numbers stay real numbers: what a file computes in 16 or 64 bits is computed in 32 here.
    pub(super) fn cast(&mut self) -> Lowered {
        let input = self.running(0)?;
        let to = match self.node.op_type.as_str() {
            "Cast" => evaluate::wanted_kind(&self.attributes)?,
            _ => self.kind(1)?,
        };
        self.attributes.without_effect(&["saturate", "round_mode"]);
        if !to.is_real() {
            return Err(format!("it converts what is computed from the image to {}", to.name()).into());
        }
        let converted = self.emit(Op::Identity, vec![input])?;
        if to != Kind::F32 {
            self.import.widened.insert(to.name());
        }
        Ok(converted)
    }

    /// The element type of an operand.
    fn kind(&self, position: usize) -> Result<Kind, Trouble> {
        Ok(match self.operand(position)? {
            Operand::Node(_) | Operand::Float { .. } => Kind::F32,
            Operand::Value(value) => value.kind,
            Operand::Quantized(_) => return Err("it converts to many integers".into()),
        })
    }

    /// The training mode became an input with opset 12; the ratio and the seed bear on training alone.
    pub(super) fn dropout(&mut self) -> Lowered {
        self.attributes.without_effect(&["seed", "ratio"]);
        let _ = self.optional(1);
        let training = self.optional(2).is_some() && self.numbers(2)? != [0];
        if training {
            return Err(Trouble::Advised("it is in training mode".into(), "call `model.eval()` before exporting"));
        }
        self.unary(Op::Dropout)
    }
}
