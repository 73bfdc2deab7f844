//! What brings values to one scale: by statistics that training kept, by those of the values at hand, and softmax.

use std::sync::Arc;

use super::facts::{Facts, Form, Score};
use crate::graph::shape::{Dim, Shape, ShapeError, out_of_bounds};
use crate::tensor::Tensor;

/// Parameters of an inference-time batch normalization, each `[channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    pub gamma: Arc<Tensor>,
    pub beta: Arc<Tensor>,
    pub mean: Arc<Tensor>,
    pub variance: Arc<Tensor>,
    pub epsilon: f32,
}

/// The values that a normalization takes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// Those of all axes from this one on; mean and variance.
    Layer { axis: usize },
    /// The same, divided by their root mean square alone.
    Rms { axis: usize },
    /// Those of each group of channels, image by image, for this number of groups; mean and variance.
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

#[derive(Debug, Clone, PartialEq)]
pub enum Normalize {
    Batch(BatchNorm),
    Standardize(Standardize),
    Softmax { axis: usize },
    LogSoftmax { axis: usize },
}

impl Normalize {
    pub(super) const fn facts(&self) -> Facts {
        match self {
            Self::Batch(_) => Facts::module("BatchNorm2d").score(Score::Logit),
            Self::Standardize(own) => Facts { name: own.torch_name(), form: Form::Module, ..Facts::function("") },
            Self::Softmax { .. } => Facts::module("Softmax"),
            Self::LogSoftmax { .. } => Facts::module("LogSoftmax"),
        }
    }

    pub(super) fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::Batch(own) => {
                vec![("scale", &*own.gamma), ("shift", &*own.beta), ("mean", &*own.mean), ("variance", &*own.variance)]
            }
            Self::Standardize(own) => {
                let weight = own.weight.iter().map(|weight| ("weight", &**weight));
                weight.chain(own.bias.iter().map(|bias| ("bias", &**bias))).collect()
            }
            Self::Softmax { .. } | Self::LogSoftmax { .. } => Vec::new(),
        }
    }

    pub(super) fn shape(&self, input: &Shape) -> Result<Shape, ShapeError> {
        match self {
            Self::Batch(own) => batch_norm(own.gamma.shape()[0], input),
            Self::Standardize(own) => standardize(own, input),
            Self::Softmax { axis } | Self::LogSoftmax { axis } => {
                let within_an_image = input.get(*axis).is_some_and(|dim| *dim != Dim::Batch);
                if within_an_image { Ok(input.clone()) } else { Err(out_of_bounds(self.facts().name, input)) }
            }
        }
    }
}

impl Standardize {
    const fn torch_name(&self) -> &'static str {
        match self.together {
            Together::Layer { .. } => "LayerNorm",
            Together::Rms { .. } => "RMSNorm",
            Together::Groups(_) => "GroupNorm",
        }
    }
}

fn batch_norm(channels: usize, input: &Shape) -> Result<Shape, ShapeError> {
    if input.get(1) == Some(&Dim::Known(channels)) {
        return Ok(input.clone());
    }
    Err(ShapeError::Input { op: "BatchNorm2d", wanted: "[batch, channels, …]", found: input.clone() })
}

fn standardize(own: &Standardize, input: &Shape) -> Result<Shape, ShapeError> {
    let wrong = || out_of_bounds(own.torch_name(), input);
    let sizes = |dims: &[Dim]| dims.iter().map(Dim::known).collect::<Option<Vec<usize>>>();
    let wanted = match own.together {
        Together::Layer { axis } | Together::Rms { axis } => {
            input.get(axis..).filter(|dims| !dims.is_empty()).and_then(sizes)
        }
        Together::Groups(groups) => {
            let divides = |channels: &Vec<usize>| groups > 0 && channels[0].is_multiple_of(groups);
            let within_an_image = input.len() > 1 && !input[1..].contains(&Dim::Batch);
            if within_an_image { sizes(&input[1..2]).filter(divides) } else { None }
        }
    };
    let wanted = wanted.ok_or_else(wrong)?;
    let fits = [&own.weight, &own.bias].into_iter().flatten().all(|tensor| tensor.shape() == wanted);
    if fits { Ok(input.clone()) } else { Err(wrong()) }
}
