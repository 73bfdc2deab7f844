//! The operators of the graph, with their weights and attributes.

use std::sync::Arc;

use super::function::{Binary, Reduction, Standardize, Unary};
use crate::tensor::Tensor;

/// Weight and optional bias of a convolution or linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// `[out, in / groups, kh, kw]` for a convolution, `[out, in]` for a linear layer.
    pub weight: Arc<Tensor>,
    /// `[out]`.
    pub bias: Option<Arc<Tensor>>,
}

/// Geometry of a 2-D convolution; pairs are `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvGeometry {
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub groups: usize,
}

/// Geometry of a 2-D pooling window; pairs are `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolGeometry {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub ceil_mode: bool,
}

/// Parameters of an inference-time batch normalization, each `[channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    pub gamma: Arc<Tensor>,
    pub beta: Arc<Tensor>,
    pub mean: Arc<Tensor>,
    pub variance: Arc<Tensor>,
    pub epsilon: f32,
}

/// One target dimension of a reshape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReshapeDim {
    /// As many images as came in.
    Batch,
    Known(usize),
    /// Whatever is left over; at most one.
    Rest,
}

/// An operator. `relu` marks a rectifier fused into the operator's own output.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    Input,
    Constant(Arc<Tensor>),
    Conv {
        weights: Weights,
        geometry: ConvGeometry,
        relu: bool,
    },
    Linear {
        weights: Weights,
        relu: bool,
    },
    BatchNorm(Normalization),
    Add {
        relu: bool,
    },
    Mul {
        relu: bool,
    },
    Relu,
    Clip {
        min: f32,
        max: f32,
    },
    HardSwish,
    HardSigmoid,
    Sigmoid,
    GlobalAvgPool,
    /// Mean over height and width that drops both dimensions.
    SpatialMean,
    AvgPool {
        geometry: PoolGeometry,
        count_include_pad: bool,
    },
    MaxPool(PoolGeometry),
    Flatten {
        axis: usize,
    },
    Reshape(Vec<ReshapeDim>),
    Transpose(Vec<usize>),
    Concat {
        axis: usize,
    },
    /// Zero-based half-open range with a step along one axis.
    Slice {
        axis: usize,
        start: usize,
        end: usize,
        step: usize,
    },
    /// Constant padding as `[left, right, top, bottom]`.
    Pad {
        amounts: [usize; 4],
        value: f32,
    },
    Softmax {
        axis: usize,
    },
    LogSoftmax {
        axis: usize,
    },
    Unary(Unary),
    Binary(Binary),
    Reduce {
        how: Reduction,
        /// In ascending order.
        axes: Vec<usize>,
        /// Whether they stay, of length 1.
        keep: bool,
    },
    Standardize(Standardize),
    /// The product of two running matrices, or of stacks of them.
    MatMul,
    /// Repeated to this shape along dimensions of length 1.
    Expand(Vec<ReshapeDim>),
    Identity,
    Dropout,
}

impl Op {
    /// The operator in PyTorch's words, as module listings print it.
    #[must_use]
    pub const fn torch_name(&self) -> &'static str {
        match self {
            Self::Input => "Input",
            Self::Constant(_) => "Constant",
            Self::Conv { relu: false, .. } => "Conv2d",
            Self::Conv { relu: true, .. } => "ConvReLU2d",
            Self::Linear { relu: false, .. } => "Linear",
            Self::Linear { relu: true, .. } => "LinearReLU",
            Self::BatchNorm(_) => "BatchNorm2d",
            Self::Add { relu: false } => "add",
            Self::Add { relu: true } => "add_relu",
            Self::Mul { relu: false } => "mul",
            Self::Mul { relu: true } => "mul_relu",
            Self::Relu => "ReLU",
            Self::Clip { .. } => self.clip_name(),
            Self::HardSwish => "Hardswish",
            Self::HardSigmoid => "Hardsigmoid",
            Self::Sigmoid => "Sigmoid",
            Self::GlobalAvgPool => "AdaptiveAvgPool2d",
            Self::SpatialMean => "mean",
            Self::AvgPool { .. } => "AvgPool2d",
            Self::MaxPool(_) => "MaxPool2d",
            Self::Flatten { .. } => "flatten",
            Self::Reshape(_) => "reshape",
            Self::Transpose(_) => "permute",
            Self::Concat { .. } => "cat",
            Self::Slice { .. } => "slice",
            Self::Pad { .. } => "pad",
            Self::Softmax { .. } => "Softmax",
            Self::LogSoftmax { .. } => "LogSoftmax",
            Self::Unary(function) => function.torch_name(),
            Self::Binary(function) => function.torch_name(),
            Self::Reduce { how, .. } => how.torch_name(),
            Self::Standardize(own) => own.torch_name(),
            Self::MatMul => "matmul",
            Self::Expand(_) => "expand",
            Self::Identity => "Identity",
            Self::Dropout => "Dropout",
        }
    }

    const fn clip_name(&self) -> &'static str {
        match self {
            Self::Clip { min: 0.0, max: 6.0 } => "ReLU6",
            _ => "clamp",
        }
    }

    /// Whether PyTorch counts it as a module (`nn.Module`) rather than a function call.
    #[must_use]
    pub fn is_module(&self) -> bool {
        self.torch_name().starts_with(|c: char| c.is_ascii_uppercase())
            && !matches!(self, Self::Input | Self::Constant(_))
    }

    #[must_use]
    pub const fn weights(&self) -> Option<&Weights> {
        match self {
            Self::Conv { weights, .. } | Self::Linear { weights, .. } => Some(weights),
            _ => None,
        }
    }

    /// The tensors that belong to the operator, and what each is.
    #[must_use]
    pub fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::Constant(tensor) => vec![("constant", &**tensor)],
            Self::Conv { weights, .. } | Self::Linear { weights, .. } => {
                let bias = weights.bias.iter().map(|bias| ("bias", &**bias));
                std::iter::once(("weight", &*weights.weight)).chain(bias).collect()
            }
            Self::BatchNorm(own) => {
                vec![("scale", &*own.gamma), ("shift", &*own.beta), ("mean", &*own.mean), ("variance", &*own.variance)]
            }
            Self::Standardize(own) => {
                let weight = own.weight.iter().map(|weight| ("weight", &**weight));
                weight.chain(own.bias.iter().map(|bias| ("bias", &**bias))).collect()
            }
            Self::Input
            | Self::Add { .. }
            | Self::Mul { .. }
            | Self::Relu
            | Self::Clip { .. }
            | Self::HardSwish
            | Self::HardSigmoid
            | Self::Sigmoid
            | Self::GlobalAvgPool
            | Self::SpatialMean
            | Self::AvgPool { .. }
            | Self::MaxPool(_)
            | Self::Flatten { .. }
            | Self::Reshape(_)
            | Self::Transpose(_)
            | Self::Concat { .. }
            | Self::Slice { .. }
            | Self::Pad { .. }
            | Self::Softmax { .. }
            | Self::LogSoftmax { .. }
            | Self::Unary(_)
            | Self::Binary(_)
            | Self::Reduce { .. }
            | Self::MatMul
            | Self::Expand(_)
            | Self::Identity
            | Self::Dropout => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::function::Together;

    #[test]
    fn an_operator_hands_out_every_tensor_that_it_has() {
        let tensor = || Arc::new(Tensor::f32(vec![1], vec![1.0]).unwrap());
        let names = |op: &Op| op.tensors().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let weights = Weights { weight: tensor(), bias: Some(tensor()) };
        assert_eq!(names(&Op::Linear { weights, relu: false }), ["weight", "bias"]);
        let together = Together::Groups(1);
        let own = Standardize { together, weight: Some(tensor()), bias: Some(tensor()), epsilon: 0.0 };
        assert_eq!(names(&Op::Standardize(own)), ["weight", "bias"]);
        assert_eq!(names(&Op::Constant(tensor())), ["constant"]);
        assert_eq!(names(&Op::Relu), [""; 0]);
    }
}
