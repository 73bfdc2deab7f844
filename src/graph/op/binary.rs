//! Functions of two tensors.

use super::facts::{Channels, Facts, Integers, Score};
use crate::graph::shape::{Shape, ShapeError, broadcast};

/// But for the product of matrices, a function of two values, the smaller tensor repeated to the size of the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    Add {
        relu: bool,
    },
    Mul {
        relu: bool,
    },
    Sub,
    Div,
    Pow,
    Maximum,
    Minimum,
    /// The product of two running matrices, or of stacks of them.
    MatMul,
}

impl Binary {
    pub(super) const fn facts(self) -> Facts {
        let facts = match self {
            Self::Add { relu: false } => Facts::function("add").score(Score::LinearInLogits),
            Self::Add { relu: true } => Facts::function("add_relu"),
            Self::Mul { relu: false } => Facts::function("mul").score(Score::LinearInLogits),
            Self::Mul { relu: true } => Facts::function("mul_relu"),
            Self::Sub => Facts::function("sub").score(Score::LinearInLogits),
            Self::Div => Facts::function("div").score(Score::LinearInLogits),
            Self::Pow => Facts::function("pow"),
            Self::Maximum => Facts::function("maximum"),
            Self::Minimum => Facts::function("minimum"),
            Self::MatMul => Facts::function("matmul").score(Score::Logit),
        };
        match self {
            Self::Add { .. } => facts.of_two().on(Integers::Computes).channels(Channels::Kept),
            Self::Mul { .. } => facts.of_two().on(Integers::Computes).channels(Channels::Gated),
            Self::Sub | Self::Div | Self::Pow | Self::Maximum | Self::Minimum | Self::MatMul => facts.of_two(),
        }
    }

    pub(super) const fn relu_mut(&mut self) -> Option<&mut bool> {
        match self {
            Self::Add { relu } | Self::Mul { relu } => Some(relu),
            Self::Sub | Self::Div | Self::Pow | Self::Maximum | Self::Minimum | Self::MatMul => None,
        }
    }

    /// The function in PyTorch's words.
    #[must_use]
    pub const fn torch_name(self) -> &'static str {
        self.facts().name
    }

    pub(super) fn shape(self, left: &Shape, right: &Shape) -> Result<Shape, ShapeError> {
        match self {
            Self::Add { .. } | Self::Mul { .. } | Self::Sub | Self::Div | Self::Pow | Self::Maximum | Self::Minimum => {
                broadcast(self.torch_name(), left, right)
            }
            Self::MatMul => matmul(left, right),
        }
    }
}

fn matmul(left: &Shape, right: &Shape) -> Result<Shape, ShapeError> {
    let wrong = || ShapeError::Mismatch { op: "matmul", left: left.clone(), right: right.clone() };
    let ([stack_l @ .., m, k], [stack_r @ .., inner, n]) = (left.as_slice(), right.as_slice()) else {
        return Err(wrong());
    };
    if k != inner || k.known().is_none() {
        return Err(wrong());
    }
    let stack = broadcast("matmul", &stack_l.to_vec(), &stack_r.to_vec())?;
    Ok(stack.into_iter().chain([*m, *n]).collect())
}
