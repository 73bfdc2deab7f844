//! Shapes of tensors, and what operators' own shape rules have in common.

use std::fmt;

/// One dimension: the batch, which stays open, or a known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    Batch,
    Known(usize),
}

impl Dim {
    #[must_use]
    pub const fn known(&self) -> Option<usize> {
        match self {
            Self::Known(size) => Some(*size),
            Self::Batch => None,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch => f.write_str("batch"),
            Self::Known(size) => write!(f, "{size}"),
        }
    }
}

pub type Shape = Vec<Dim>;

/// One target dimension of a reshape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReshapeDim {
    /// As many images as came in.
    Batch,
    Known(usize),
    /// Whatever is left over; at most one.
    Rest,
}

/// A shape as a person writes it: `[batch, 3, 32, 32]`.
#[must_use]
pub fn shown(shape: &[Dim]) -> String {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(", "))
}

fn target(dims: &[ReshapeDim]) -> String {
    let word = |dim: &ReshapeDim| match dim {
        ReshapeDim::Batch => "batch".to_owned(),
        ReshapeDim::Known(size) => size.to_string(),
        ReshapeDim::Rest => "the rest".to_owned(),
    };
    format!("[{}]", dims.iter().map(word).collect::<Vec<_>>().join(", "))
}

/// Why an operator cannot take the shapes it is given.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    #[error("{op} takes a {wanted} input, not {}", shown(found))]
    Input { op: &'static str, wanted: &'static str, found: Shape },
    #[error("{op} with weights {weight:?} does not fit {}, its groups, or its bias", shown(found))]
    Weights { op: &'static str, weight: Vec<usize>, found: Shape },
    #[error("{op} cannot combine {} and {}", shown(left), shown(right))]
    Mismatch { op: &'static str, left: Shape, right: Shape },
    #[error("cannot reshape {} to {}", shown(from), target(to))]
    Reshape { from: Shape, to: Vec<ReshapeDim> },
    #[error("{op} has axis or range out of bounds for {}", shown(found))]
    Bounds { op: &'static str, found: Shape },
    #[error("{op} takes {wanted} inputs, not {found}")]
    Arity { op: &'static str, wanted: usize, found: usize },
}

/// `[batch, channels, height, width]` of images one by one: nothing of one of them is mixed with another's.
pub(super) fn image(op: &'static str, shape: &Shape) -> Result<[Dim; 4], ShapeError> {
    let wrong = || ShapeError::Input { op, wanted: "[batch, channels, height, width]", found: shape.clone() };
    let dims = <[Dim; 4]>::try_from(shape.as_slice()).map_err(|_| wrong())?;
    if dims[1..].contains(&Dim::Batch) { Err(wrong()) } else { Ok(dims) }
}

pub(super) fn out_of_bounds(op: &'static str, found: &Shape) -> ShapeError {
    ShapeError::Bounds { op, found: found.clone() }
}

/// `floor((size + 2·padding − dilation·(kernel − 1) − 1) / stride) + 1`, as PyTorch documents it.
pub(super) fn window(
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    ceil: bool,
) -> Option<usize> {
    let reach = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
    let room = padding.checked_mul(2)?.checked_add(size)?.checked_sub(reach)?;
    let mut steps = room.checked_div(stride)?;
    // With ceil mode the last window must still start inside the input or the leading padding.
    if ceil && !room.is_multiple_of(stride) && (steps + 1) * stride < size + padding {
        steps += 1;
    }
    Some(steps + 1)
}

pub(super) fn broadcast(op: &'static str, left: &Shape, right: &Shape) -> Result<Shape, ShapeError> {
    let rank = left.len().max(right.len());
    let at = |shape: &Shape, i: usize| (i + shape.len()).checked_sub(rank).map_or(Dim::Known(1), |i| shape[i]);
    (0..rank)
        .map(|i| match (at(left, i), at(right, i)) {
            (a, b) if a == b => Ok(a),
            (a, Dim::Known(1)) => Ok(a),
            (Dim::Known(1), b) => Ok(b),
            (Dim::Batch | Dim::Known(_), Dim::Batch | Dim::Known(_)) => {
                Err(ShapeError::Mismatch { op, left: left.clone(), right: right.clone() })
            }
        })
        .collect()
}

/// The product of known dimensions; the batch dimension counts as one.
pub(super) fn volume(dims: &[Dim]) -> usize {
    dims.iter().filter_map(Dim::known).fold(1, usize::saturating_mul)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceil_mode_follows_pytorch() {
        // MaxPool2d(3, 2, ceil_mode=True) on 31, 15 and 7, as SqueezeNet 1.1 uses it at 64 x 64.
        let ceil = |size| window(size, 3, 2, 0, 1, true);
        assert_eq!([ceil(31), ceil(15), ceil(8)], [Some(15), Some(7), Some(4)]);
        assert_eq!(window(2, 3, 1, 0, 1, false), None);
        assert_eq!(window(4, 0, 1, 0, 1, false), None);
    }
}
