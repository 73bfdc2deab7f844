//! Convolutions and linear layers: operators with weights that make channels.

use std::sync::Arc;

use super::facts::{Channels, Facts, Integers, Score};
use crate::graph::shape::{Dim, Shape, ShapeError, window};
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

/// A layer with weights; `relu` marks a rectifier fused into its output.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    Conv { weights: Weights, geometry: ConvGeometry, relu: bool },
    Linear { weights: Weights, relu: bool },
}

impl Layer {
    pub(super) fn facts(&self) -> Facts {
        let facts = match self {
            Self::Conv { relu: false, .. } => Facts::module("Conv2d").score(Score::Logit),
            Self::Conv { relu: true, .. } => Facts::module("ConvReLU2d"),
            Self::Linear { relu: false, .. } => Facts::module("Linear").score(Score::Logit),
            Self::Linear { relu: true, .. } => Facts::module("LinearReLU"),
        };
        let channels = if self.reads_by_position() { Channels::ReadByPosition } else { Channels::Remade };
        facts.on(Integers::Computes).channels(channels)
    }

    /// A convolution of several groups reads channels by their position, unless each group is one channel.
    fn reads_by_position(&self) -> bool {
        match self {
            Self::Conv { geometry, weights, .. } => geometry.groups != 1 && !is_depthwise(weights, geometry),
            Self::Linear { .. } => false,
        }
    }

    #[must_use]
    pub const fn weights(&self) -> &Weights {
        match self {
            Self::Conv { weights, .. } | Self::Linear { weights, .. } => weights,
        }
    }

    /// The axis of its output that its channels, or features, lie along; `rank` is the output's.
    #[must_use]
    pub const fn channel_axis(&self, rank: usize) -> usize {
        match self {
            Self::Conv { .. } => 1,
            Self::Linear { .. } => rank.saturating_sub(1),
        }
    }

    /// How many input channels each output sums over; `None` for a convolution of several groups.
    #[must_use]
    pub fn dense_inputs(&self) -> Option<usize> {
        match self {
            Self::Conv { weights, geometry, .. } => {
                weights.weight.shape().get(1).copied().filter(|_| geometry.groups == 1)
            }
            Self::Linear { weights, .. } => weights.weight.shape().get(1).copied(),
        }
    }

    pub const fn weights_mut(&mut self) -> &mut Weights {
        match self {
            Self::Conv { weights, .. } | Self::Linear { weights, .. } => weights,
        }
    }

    pub(super) const fn relu_mut(&mut self) -> &mut bool {
        match self {
            Self::Conv { relu, .. } | Self::Linear { relu, .. } => relu,
        }
    }

    pub(super) fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        let Weights { weight, bias } = self.weights();
        let bias = bias.iter().map(|bias| ("bias", &**bias));
        std::iter::once(("weight", &**weight)).chain(bias).collect()
    }

    pub(super) fn shape(&self, input: &Shape) -> Result<Shape, ShapeError> {
        match self {
            Self::Conv { weights, geometry, .. } => conv(weights, geometry, input),
            Self::Linear { weights, .. } => linear(weights, input),
        }
    }
}

/// One filter for each channel, and no more.
fn is_depthwise(weights: &Weights, geometry: &ConvGeometry) -> bool {
    matches!(weights.weight.shape(), [out, 1, ..] if *out == geometry.groups)
}

fn conv(weights: &Weights, geometry: &ConvGeometry, input: &Shape) -> Result<Shape, ShapeError> {
    let weight = weights.weight.shape();
    let wrong = || ShapeError::Input { op: "Conv2d", wanted: "[batch, channels, height, width]", found: input.clone() };
    let (&[n, Dim::Known(c), Dim::Known(h), Dim::Known(w)], &[out, per_group, kh, kw]) = (input.as_slice(), weight)
    else {
        return Err(wrong());
    };
    let even = geometry.groups > 0 && out.is_multiple_of(geometry.groups);
    let biased = weights.bias.as_ref().is_none_or(|bias| bias.shape() == [out]);
    if per_group.checked_mul(geometry.groups) != Some(c) || weight.contains(&0) || !even || !biased {
        return Err(ShapeError::Weights { op: "Conv2d", weight: weight.to_vec(), found: input.clone() });
    }
    let side = |size, kernel, axis: usize| {
        window(size, kernel, geometry.stride[axis], geometry.padding[axis], geometry.dilation[axis], false)
    };
    let (Some(oh), Some(ow)) = (side(h, kh, 0), side(w, kw, 1)) else { return Err(wrong()) };
    Ok(vec![n, Dim::Known(out), Dim::Known(oh), Dim::Known(ow)])
}

fn linear(weights: &Weights, input: &Shape) -> Result<Shape, ShapeError> {
    match (input.as_slice(), weights.weight.shape()) {
        ([rest @ .., Dim::Known(features)], [outputs, inputs]) if inputs == features => {
            Ok(rest.iter().copied().chain([Dim::Known(*outputs)]).collect())
        }
        (found, _) => Err(ShapeError::Input { op: "Linear", wanted: "[batch, features]", found: found.to_vec() }),
    }
}
