//! Fewer values from many: windows over an image, means over all of it, and reductions along axes.

use super::facts::{Channels, Facts, Integers, Score};
use crate::graph::shape::{Dim, Shape, ShapeError, image, out_of_bounds, window};

/// Geometry of a 2-D pooling window; pairs are `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolGeometry {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub ceil_mode: bool,
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pool {
    /// The mean over height and width, which stay with length 1.
    GlobalAverage,
    /// The same without the two dimensions.
    SpatialMean,
    Average {
        geometry: PoolGeometry,
        count_include_pad: bool,
    },
    Max(PoolGeometry),
    Reduce {
        how: Reduction,
        /// In ascending order.
        axes: Vec<usize>,
        /// Whether they stay, of length 1.
        keep: bool,
    },
}

impl Pool {
    pub(super) const fn facts(&self) -> Facts {
        let facts = match self {
            Self::GlobalAverage => Facts::module("AdaptiveAvgPool2d").score(Score::AsInput),
            Self::SpatialMean => Facts::function("mean").score(Score::AsInput),
            Self::Average { .. } => Facts::module("AvgPool2d").score(Score::AsInput),
            Self::Max(_) => Facts::module("MaxPool2d"),
            Self::Reduce { how: Reduction::Mean, .. } => {
                return Facts::function(Reduction::Mean.torch_name()).score(Score::AsInput);
            }
            Self::Reduce { how, .. } => return Facts::function(how.torch_name()),
        };
        facts.on(Integers::KeepsParameters).channels(Channels::Kept)
    }

    pub(super) fn shape(&self, input: &Shape) -> Result<Shape, ShapeError> {
        let name = self.facts().name;
        match self {
            Self::GlobalAverage => image(name, input).map(|[n, c, ..]| vec![n, c, Dim::Known(1), Dim::Known(1)]),
            Self::SpatialMean => image(name, input).map(|[n, c, ..]| vec![n, c]),
            Self::Average { geometry, .. } | Self::Max(geometry) => pool(name, geometry, input),
            Self::Reduce { axes, keep, .. } => reduce(name, axes, *keep, input),
        }
    }
}

fn pool(op: &'static str, g: &PoolGeometry, input: &Shape) -> Result<Shape, ShapeError> {
    let [n, c, h, w] = image(op, input)?;
    // libtorch refuses a window that could lie in padding alone.
    if (0..2).any(|axis| g.padding[axis] > g.kernel[axis] / 2) {
        return Err(out_of_bounds(op, input));
    }
    let side = |size: Dim, axis: usize| {
        window(size.known()?, g.kernel[axis], g.stride[axis], g.padding[axis], g.dilation[axis], g.ceil_mode)
    };
    let (Some(oh), Some(ow)) = (side(h, 0), side(w, 1)) else { return Err(out_of_bounds(op, input)) };
    Ok(vec![n, c, Dim::Known(oh), Dim::Known(ow)])
}

fn reduce(op: &'static str, axes: &[usize], keep: bool, input: &Shape) -> Result<Shape, ShapeError> {
    let whole = |axis: &usize| input.get(*axis).is_some_and(|dim| dim.known().is_some_and(|size| size > 0));
    if axes.is_empty() || !axes.is_sorted_by(|a, b| a < b) || !axes.iter().all(whole) {
        return Err(out_of_bounds(op, input));
    }
    let dims = input.iter().enumerate();
    let kept = |(axis, dim): (usize, &Dim)| match (axes.contains(&axis), keep) {
        (false, _) => Some(*dim),
        (true, true) => Some(Dim::Known(1)),
        (true, false) => None,
    };
    Ok(dims.filter_map(kept).collect())
}
