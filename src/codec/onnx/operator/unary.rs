//! Functions of each value of one tensor.

use super::lowering::{Lowered, Lowering, Row, Trouble, integers, reals};
use crate::codec::onnx::proto::AttributeProto;
use crate::codec::onnx::writer::{Writer, float, text, value};
use crate::graph::op::{Binary, Layout, Unary};
use crate::graph::{NodeId, Op};
use crate::tensor::Tensor;

#[expect(clippy::redundant_closure_for_method_calls, reason = "the path of a method is for one lifetime, not for each")]
pub(super) const ROWS: &[Row] = &[
    reals("Abs", 7, |node| node.plain(Unary::Abs)),
    reals("Acos", 7, |node| node.plain(Unary::Acos)),
    reals("Acosh", 9, |node| node.plain(Unary::Acosh)),
    reals("Asin", 7, |node| node.plain(Unary::Asin)),
    reals("Asinh", 9, |node| node.plain(Unary::Asinh)),
    reals("Atan", 7, |node| node.plain(Unary::Atan)),
    reals("Atanh", 9, |node| node.plain(Unary::Atanh)),
    reals("Ceil", 7, |node| node.plain(Unary::Ceil)),
    reals("Celu", 12, |node| node.celu()),
    integers("Clip", 7, |node| node.clip()),
    reals("Cos", 7, |node| node.plain(Unary::Cos)),
    reals("Cosh", 9, |node| node.plain(Unary::Cosh)),
    reals("Elu", 7, |node| node.elu()),
    reals("Erf", 9, |node| node.plain(Unary::Erf)),
    reals("Exp", 7, |node| node.plain(Unary::Exp)),
    reals("Floor", 7, |node| node.plain(Unary::Floor)),
    reals("Gelu", 20, |node| node.gelu()),
    integers("HardSigmoid", 7, |node| node.hard_sigmoid()),
    integers("HardSwish", 14, |node| node.plain(Unary::HardSwish)),
    reals("LeakyRelu", 7, |node| node.leaky_relu()),
    reals("Log", 7, |node| node.plain(Unary::Log)),
    reals("Mish", 18, |node| node.plain(Unary::Mish)),
    reals("Neg", 7, |node| node.plain(Unary::Neg)),
    integers("PRelu", 7, |node| node.prelu()),
    reals("Reciprocal", 7, |node| node.plain(Unary::Reciprocal)),
    integers("Relu", 7, |node| node.plain(Unary::Relu)),
    reals("Round", 11, |node| node.plain(Unary::Round)),
    reals("Selu", 7, |node| node.selu()),
    integers("Sigmoid", 7, |node| node.plain(Unary::Sigmoid)),
    reals("Sign", 9, |node| node.plain(Unary::Sign)),
    reals("Sin", 7, |node| node.plain(Unary::Sin)),
    reals("Sinh", 9, |node| node.plain(Unary::Sinh)),
    reals("Softplus", 7, |node| node.plain(Unary::Softplus)),
    reals("Softsign", 7, |node| node.softsign()),
    reals("Sqrt", 7, |node| node.plain(Unary::Sqrt)),
    reals("Tan", 7, |node| node.plain(Unary::Tan)),
    reals("Tanh", 7, |node| node.plain(Unary::Tanh)),
    reals("ThresholdedRelu", 10, |node| node.thresholded_relu()),
];

impl Lowering<'_> {
    fn plain(&mut self, function: Unary) -> Lowered {
        self.unary(Op::Unary(function))
    }

    fn elu(&mut self) -> Lowered {
        let alpha = self.attributes.float("alpha", 1.0)?;
        self.plain(Unary::Elu { alpha, scale: 1.0 })
    }

    fn selu(&mut self) -> Lowered {
        let (alpha, scale) = (self.attributes.float("alpha", 1.673_263_2)?, self.attributes.float("gamma", 1.050_701)?);
        self.plain(Unary::Elu { alpha, scale })
    }

    fn celu(&mut self) -> Lowered {
        let alpha = self.attributes.float("alpha", 1.0)?;
        if alpha == 0.0 {
            return Err("it divides by `alpha`, which is 0".into());
        }
        self.plain(Unary::Celu { alpha })
    }

    fn leaky_relu(&mut self) -> Lowered {
        let slope = self.attributes.float("alpha", 0.01)?;
        self.plain(Unary::LeakyRelu { slope })
    }

    fn thresholded_relu(&mut self) -> Lowered {
        let limit = self.attributes.float("alpha", 1.0)?;
        self.plain(Unary::Threshold { limit })
    }

    fn gelu(&mut self) -> Lowered {
        let tanh = match self.attributes.text("approximate")?.as_deref() {
            None | Some("" | "none") => false,
            Some("tanh") => true,
            Some(other) => return Err(format!("`approximate = {other}` is not one of the standard's").into()),
        };
        self.plain(Unary::Gelu { tanh })
    }

    /// Bounds became inputs with opset 11. Both as PyTorch and as the specification has it, the upper one wins.
    fn clip(&mut self) -> Lowered {
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
        self.unary(if bounded { Op::Unary(Unary::Clip { min, max }) } else { Op::Layout(Layout::Identity) })
    }

    fn hard_sigmoid(&mut self) -> Lowered {
        let (alpha, beta) = (self.attributes.float("alpha", 0.2)?, self.attributes.float("beta", 0.5)?);
        if (alpha - 1.0 / 6.0).abs() > 1e-6 || (beta - 0.5).abs() > 1e-6 {
            return self.other_hard_sigmoid(alpha, beta);
        }
        self.unary(Op::Unary(Unary::HardSigmoid))
    }

    /// `alpha · x + beta` between 0 and 1, where that is not PyTorch's.
    fn other_hard_sigmoid(&mut self, alpha: f32, beta: f32) -> Lowered {
        let (x, alpha, beta) = (self.running(0)?, self.number(alpha)?, self.number(beta)?);
        let scaled = self.step(Op::Binary(Binary::Mul { relu: false }), vec![x, alpha])?;
        let moved = self.step(Op::Binary(Binary::Add { relu: false }), vec![scaled, beta])?;
        self.emit(Op::Unary(Unary::Clip { min: 0.0, max: 1.0 }), vec![moved])
    }

    /// Below 0 a slope of each channel's own.
    fn prelu(&mut self) -> Lowered {
        let (x, slope, zero) = (self.running(0)?, self.running(1)?, self.number(0.0)?);
        let above = self.step(Op::Unary(Unary::Relu), vec![x])?;
        let below = self.step(Op::Binary(Binary::Minimum), vec![x, zero])?;
        let sloped = self.step(Op::Binary(Binary::Mul { relu: false }), vec![below, slope])?;
        self.emit(Op::Binary(Binary::Add { relu: false }), vec![above, sloped])
    }

    /// `x / (1 + |x|)`.
    fn softsign(&mut self) -> Lowered {
        let (x, one) = (self.running(0)?, self.number(1.0)?);
        let size = self.step(Op::Unary(Unary::Abs), vec![x])?;
        let below = self.step(Op::Binary(Binary::Add { relu: false }), vec![size, one])?;
        self.emit(Op::Binary(Binary::Div), vec![x, below])
    }
}

impl Writer<'_> {
    pub(super) fn unary(&mut self, id: NodeId, function: Unary, mut inputs: Vec<String>) {
        if let Unary::Clip { min, max } = function {
            return self.clip(id, min, max, inputs);
        }
        let Written { operator, attributes, .. } = written(function);
        if function == Unary::Square {
            inputs.push(inputs[0].clone());
        }
        self.last(id, operator, inputs, attributes);
    }

    fn clip(&mut self, id: NodeId, min: f32, max: f32, mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        for (bound, part, unbounded) in [(min, "min", f32::NEG_INFINITY), (max, "max", f32::INFINITY)] {
            let given = (bound != unbounded).then(|| self.scalar(format!("{name}::{part}"), bound));
            inputs.push(given.unwrap_or_default());
        }
        self.last(id, "Clip", inputs, Vec::new());
    }
}

/// A function in ONNX's words.
struct Written {
    operator: &'static str,
    attributes: Vec<AttributeProto>,
    /// The opset that it came with if that is above [`WRITTEN_OPSET`](crate::codec::onnx::WRITTEN_OPSET), else 0.
    since: i64,
}

fn written(function: Unary) -> Written {
    let with = |operator, attributes| Written { operator, attributes, since: 0 };
    let named = |operator| with(operator, Vec::new());
    match function {
        Unary::Relu => named("Relu"),
        // Its bounds are inputs.
        Unary::Clip { .. } => named("Clip"),
        Unary::HardSwish => named("HardSwish"),
        Unary::HardSigmoid => with("HardSigmoid", vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]),
        Unary::Sigmoid => named("Sigmoid"),
        Unary::Abs => named("Abs"),
        Unary::Acos => named("Acos"),
        Unary::Acosh => named("Acosh"),
        Unary::Asin => named("Asin"),
        Unary::Asinh => named("Asinh"),
        Unary::Atan => named("Atan"),
        Unary::Atanh => named("Atanh"),
        Unary::Ceil => named("Ceil"),
        Unary::Cos => named("Cos"),
        Unary::Cosh => named("Cosh"),
        Unary::Erf => named("Erf"),
        Unary::Exp => named("Exp"),
        Unary::Floor => named("Floor"),
        Unary::Log => named("Log"),
        Unary::Neg => named("Neg"),
        Unary::Reciprocal => named("Reciprocal"),
        Unary::Round => named("Round"),
        Unary::Sign => named("Sign"),
        Unary::Sin => named("Sin"),
        Unary::Sinh => named("Sinh"),
        Unary::Softplus => named("Softplus"),
        Unary::Sqrt => named("Sqrt"),
        Unary::Tan => named("Tan"),
        Unary::Tanh => named("Tanh"),
        Unary::Mish => Written { since: 18, ..named("Mish") },
        // Of a tensor with itself.
        Unary::Square => named("Mul"),
        Unary::Elu { alpha, scale: 1.0 } => with("Elu", vec![float("alpha", alpha)]),
        Unary::Elu { alpha, scale } => with("Selu", vec![float("alpha", alpha), float("gamma", scale)]),
        Unary::Celu { alpha } => with("Celu", vec![float("alpha", alpha)]),
        Unary::LeakyRelu { slope } => with("LeakyRelu", vec![float("alpha", slope)]),
        Unary::Threshold { limit } => with("ThresholdedRelu", vec![float("alpha", limit)]),
        Unary::Gelu { tanh } => {
            let attributes = vec![text("approximate", if tanh { "tanh" } else { "none" })];
            Written { operator: "Gelu", attributes, since: 20 }
        }
    }
}

pub(super) fn since(function: Unary) -> i64 {
    written(function).since
}
