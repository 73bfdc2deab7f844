//! Functions of each value of one tensor.

use super::facts::{Channels, Facts, Integers, Score};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
    Relu,
    Clip {
        min: f32,
        max: f32,
    },
    HardSwish,
    HardSigmoid,
    Sigmoid,
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Cos,
    Cosh,
    Erf,
    Exp,
    Floor,
    Log,
    Mish,
    Neg,
    Reciprocal,
    /// Halves go to the even neighbour.
    Round,
    Sign,
    Sin,
    Sinh,
    Softplus,
    Sqrt,
    Square,
    Tan,
    Tanh,
    /// `scale · x` above 0, `scale · alpha · (exp(x) − 1)` below.
    Elu {
        alpha: f32,
        scale: f32,
    },
    /// `x` above 0, `alpha · (exp(x / alpha) − 1)` below.
    Celu {
        alpha: f32,
    },
    LeakyRelu {
        slope: f32,
    },
    /// `x` above the limit, 0 elsewhere.
    Threshold {
        limit: f32,
    },
    /// With the error function, or with the hyperbolic tangent that comes near it.
    Gelu {
        tanh: bool,
    },
}

impl Unary {
    pub(super) const fn facts(self) -> Facts {
        const KEPT: Integers = Integers::KeepsParameters;
        match self {
            Self::Relu => Facts::module("ReLU").on(KEPT).channels(Channels::Kept),
            Self::Clip { min: 0.0, max: 6.0 } => Facts::module("ReLU6").on(KEPT),
            Self::Clip { .. } => Facts::function("clamp").on(KEPT),
            Self::HardSwish => Facts::module("Hardswish").on(Integers::Computes),
            Self::HardSigmoid => Facts::module("Hardsigmoid").on(Integers::FixedRange).score(Score::Probability),
            Self::Sigmoid => Facts::module("Sigmoid").on(Integers::FixedRange).score(Score::Probability),
            Self::Abs => Facts::function("abs"),
            Self::Acos => Facts::function("acos"),
            Self::Acosh => Facts::function("acosh"),
            Self::Asin => Facts::function("asin"),
            Self::Asinh => Facts::function("asinh"),
            Self::Atan => Facts::function("atan"),
            Self::Atanh => Facts::function("atanh"),
            Self::Ceil => Facts::function("ceil"),
            Self::Cos => Facts::function("cos"),
            Self::Cosh => Facts::function("cosh"),
            Self::Erf => Facts::function("erf"),
            Self::Exp => Facts::function("exp"),
            Self::Floor => Facts::function("floor"),
            Self::Log => Facts::function("log"),
            Self::Mish => Facts::module("Mish"),
            Self::Neg => Facts::function("neg"),
            Self::Reciprocal => Facts::function("reciprocal"),
            Self::Round => Facts::function("round"),
            Self::Sign => Facts::function("sign"),
            Self::Sin => Facts::function("sin"),
            Self::Sinh => Facts::function("sinh"),
            Self::Softplus => Facts::module("Softplus"),
            Self::Sqrt => Facts::function("sqrt"),
            Self::Square => Facts::function("square"),
            Self::Tan => Facts::function("tan"),
            Self::Tanh => Facts::module("Tanh").score(Score::OddInLogit),
            Self::Elu { scale: 1.0, .. } => Facts::module("ELU"),
            Self::Elu { .. } => Facts::module("SELU"),
            Self::Celu { .. } => Facts::module("CELU"),
            Self::LeakyRelu { .. } => Facts::module("LeakyReLU"),
            Self::Threshold { .. } => Facts::module("Threshold"),
            Self::Gelu { .. } => Facts::module("GELU"),
        }
    }

    /// The function in PyTorch's words.
    #[must_use]
    pub const fn torch_name(self) -> &'static str {
        self.facts().name
    }
}
