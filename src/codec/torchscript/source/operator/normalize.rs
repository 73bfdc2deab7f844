//! Normalizations, and softmax.

use super::list;
use crate::graph::op::{Normalize, Standardize, Together};
use crate::graph::{Dim, Shape};
use crate::tensor::Tensor;

/// A normalization over an input of this shape; `part` gives the expression of one of its tensors.
pub(in super::super) fn float(
    own: &Normalize,
    shape: &Shape,
    x: &str,
    mut part: impl FnMut(&'static str, &Tensor) -> String,
) -> String {
    match own {
        Normalize::Batch(own) => {
            let parts = [(&own.gamma, "gamma"), (&own.beta, "beta"), (&own.mean, "mean"), (&own.variance, "variance")];
            let parts = parts.map(|(tensor, name)| part(name, tensor));
            format!("torch.batch_norm({x}, {}, False, 0.1, {:?}, True)", parts.join(", "), f64::from(own.epsilon))
        }
        Normalize::Standardize(own) => {
            let parts = [(&own.weight, "weight"), (&own.bias, "bias")];
            let parts = parts.map(|(tensor, name)| tensor.as_ref().map(|tensor| part(name, tensor)));
            let [weight, bias] = parts.map(|part| part.unwrap_or_else(|| "None".into()));
            standardize(own, shape, x, &weight, &bias)
        }
        Normalize::Softmax { axis } => format!("torch.softmax({x}, {axis})"),
        Normalize::LogSoftmax { axis } => format!("torch.log_softmax({x}, {axis})"),
    }
}

fn standardize(own: &Standardize, shape: &Shape, x: &str, weight: &str, bias: &str) -> String {
    let epsilon = f64::from(own.epsilon);
    let from = |axis: usize| list(&shape[axis..].iter().filter_map(Dim::known).collect::<Vec<_>>());
    match own.together {
        Together::Layer { axis } => format!("torch.layer_norm({x}, {}, {weight}, {bias}, {epsilon:?})", from(axis)),
        Together::Rms { axis } => format!("torch.rms_norm({x}, {}, {weight}, {epsilon:?})", from(axis)),
        Together::Groups(groups) => format!("torch.group_norm({x}, {groups}, {weight}, {bias}, {epsilon:?})"),
    }
}
