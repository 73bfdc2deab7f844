//! Functions of real numbers that have no INT8 form: of each value, of two values, over axes, and what brings
//! values to one scale.

use std::sync::Arc;

use crate::tensor::Tensor;

/// A function of each value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
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
    /// The function in PyTorch's words.
    #[must_use]
    pub const fn torch_name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Acos => "acos",
            Self::Acosh => "acosh",
            Self::Asin => "asin",
            Self::Asinh => "asinh",
            Self::Atan => "atan",
            Self::Atanh => "atanh",
            Self::Ceil => "ceil",
            Self::Cos => "cos",
            Self::Cosh => "cosh",
            Self::Erf => "erf",
            Self::Exp => "exp",
            Self::Floor => "floor",
            Self::Log => "log",
            Self::Mish => "Mish",
            Self::Neg => "neg",
            Self::Reciprocal => "reciprocal",
            Self::Round => "round",
            Self::Sign => "sign",
            Self::Sin => "sin",
            Self::Sinh => "sinh",
            Self::Softplus => "Softplus",
            Self::Sqrt => "sqrt",
            Self::Square => "square",
            Self::Tan => "tan",
            Self::Tanh => "Tanh",
            Self::Elu { scale: 1.0, .. } => "ELU",
            Self::Elu { .. } => "SELU",
            Self::Celu { .. } => "CELU",
            Self::LeakyRelu { .. } => "LeakyReLU",
            Self::Threshold { .. } => "Threshold",
            Self::Gelu { .. } => "GELU",
        }
    }
}

/// A function of two values, the smaller tensor repeated to the size of the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    Sub,
    Div,
    Pow,
    Maximum,
    Minimum,
}

impl Binary {
    /// The function in PyTorch's words.
    #[must_use]
    pub const fn torch_name(self) -> &'static str {
        match self {
            Self::Sub => "sub",
            Self::Div => "div",
            Self::Pow => "pow",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
        }
    }
}

/// What becomes of the values along some axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    LogSumExp,
}

impl Reduction {
    /// The function in PyTorch's words.
    #[must_use]
    pub const fn torch_name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Max => "amax",
            Self::Min => "amin",
            Self::Prod => "prod",
            Self::LogSumExp => "logsumexp",
        }
    }
}

/// The values that a normalization takes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// Those of all axes from this one on; mean and variance.
    Layer { axis: usize },
    /// The same, divided by their root mean square alone.
    Rms { axis: usize },
    /// Those of so many groups of channels, each in each image; mean and variance.
    Groups(usize),
}

/// A normalization by statistics of the values at hand. Weight and bias have the shape of the axes that are taken
/// together, or one number per channel for groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardize {
    pub together: Together,
    pub weight: Option<Arc<Tensor>>,
    pub bias: Option<Arc<Tensor>>,
    pub epsilon: f32,
}

impl Standardize {
    /// The module in PyTorch's words.
    #[must_use]
    pub const fn torch_name(&self) -> &'static str {
        match self.together {
            Together::Layer { .. } => "LayerNorm",
            Together::Rms { .. } => "RMSNorm",
            Together::Groups(_) => "GroupNorm",
        }
    }
}
