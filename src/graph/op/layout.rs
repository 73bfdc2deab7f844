//! What moves, selects, joins or repeats values without computing any.

use super::facts::{Arity, Channels, Facts, Integers, Score};
use crate::graph::shape::{Dim, ReshapeDim, Shape, ShapeError, image, out_of_bounds, volume};

#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
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
    /// Repeated to this shape along dimensions of length 1.
    Expand(Vec<ReshapeDim>),
    Identity,
    Dropout,
}

impl Layout {
    pub(super) const fn facts(&self) -> Facts {
        const KEPT: Integers = Integers::KeepsParameters;
        match self {
            Self::Flatten { axis: 1 } => {
                Facts::function("flatten").on(KEPT).channels(Channels::KeptWherePooled).score(Score::AsInput)
            }
            Self::Flatten { .. } => Facts::function("flatten").on(KEPT).score(Score::AsInput),
            Self::Reshape(_) => Facts::function("reshape").on(KEPT).score(Score::AsInput),
            Self::Transpose(_) => Facts::function("permute").on(KEPT).score(Score::AsInput),
            Self::Concat { .. } => {
                Facts { arity: Arity::AtLeastOne, ..Facts::function("cat").on(Integers::SharesParameters) }
            }
            Self::Slice { .. } => Facts::function("slice").on(KEPT).score(Score::AsInput),
            Self::Pad { .. } => Facts::function("pad"),
            Self::Expand(_) => Facts::function("expand"),
            Self::Identity => Facts::module("Identity").on(KEPT).channels(Channels::Kept).score(Score::AsInput),
            Self::Dropout => Facts::module("Dropout").on(KEPT).channels(Channels::Kept).score(Score::AsInput),
        }
    }

    pub(super) fn shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = inputs[0];
        match self {
            Self::Flatten { axis } => flatten(*axis, input),
            Self::Reshape(target) => reshape(target, input),
            Self::Transpose(order) => transpose(order, input),
            Self::Concat { axis } => concat(*axis, inputs),
            Self::Slice { axis, start, end, step } => slice(*axis, *start..*end, *step, input),
            Self::Pad { amounts: [left, right, top, bottom], .. } => {
                let [n, c, h, w] = image("pad", input)?;
                let grow = |dim: Dim, by: usize| dim.known().map_or(dim, |size| Dim::Known(size + by));
                Ok(vec![n, c, grow(h, top + bottom), grow(w, left + right)])
            }
            Self::Expand(target) => expand(target, input),
            Self::Identity | Self::Dropout => Ok(input.clone()),
        }
    }
}

fn expand(target: &[ReshapeDim], input: &Shape) -> Result<Shape, ShapeError> {
    let wrong = || ShapeError::Reshape { from: input.clone(), to: target.to_vec() };
    let Some(new) = target.len().checked_sub(input.len()) else { return Err(wrong()) };
    let dim = |(place, wanted): (usize, &ReshapeDim)| match (place.checked_sub(new).map(|own| input[own]), wanted) {
        (Some(Dim::Batch), ReshapeDim::Batch) => Ok(Dim::Batch),
        (None | Some(Dim::Known(1)), ReshapeDim::Known(size)) => Ok(Dim::Known(*size)),
        (Some(Dim::Known(own)), ReshapeDim::Known(size)) if own == *size => Ok(Dim::Known(own)),
        (None | Some(Dim::Batch | Dim::Known(_)), ReshapeDim::Batch | ReshapeDim::Known(_) | ReshapeDim::Rest) => {
            Err(wrong())
        }
    };
    target.iter().enumerate().map(dim).collect()
}

fn flatten(axis: usize, input: &Shape) -> Result<Shape, ShapeError> {
    if axis != 1 || input.first() != Some(&Dim::Batch) {
        return Err(ShapeError::Input { op: "flatten", wanted: "[batch, …] with axis 1", found: input.clone() });
    }
    Ok(vec![Dim::Batch, Dim::Known(volume(&input[1..]))])
}

fn reshape(target: &[ReshapeDim], input: &Shape) -> Result<Shape, ShapeError> {
    let wrong = || ShapeError::Reshape { from: input.clone(), to: target.to_vec() };
    let known = |dim: &ReshapeDim| if let ReshapeDim::Known(size) = dim { Some(*size) } else { None };
    let named = target.iter().filter_map(known).fold(1, usize::saturating_mul);
    let (total, has_batch) = (volume(input), input.contains(&Dim::Batch));
    let rests = target.iter().filter(|d| **d == ReshapeDim::Rest).count();
    let batches = target.iter().filter(|d| **d == ReshapeDim::Batch).count();
    if rests > 1 || batches != usize::from(has_batch) || named == 0 || !total.is_multiple_of(named) {
        return Err(wrong());
    }
    if rests == 0 && named != total {
        return Err(wrong());
    }
    Ok(target
        .iter()
        .map(|dim| match dim {
            ReshapeDim::Batch => Dim::Batch,
            ReshapeDim::Known(n) => Dim::Known(*n),
            ReshapeDim::Rest => Dim::Known(total / named),
        })
        .collect())
}

fn transpose(order: &[usize], input: &Shape) -> Result<Shape, ShapeError> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..input.len()) {
        return Err(out_of_bounds("permute", input));
    }
    Ok(order.iter().map(|&axis| input[axis]).collect())
}

fn concat(axis: usize, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
    let first = inputs[0];
    let mut total = 0;
    for shape in inputs {
        let same_elsewhere = shape.len() == first.len() && (0..first.len()).all(|i| i == axis || shape[i] == first[i]);
        match shape.get(axis).and_then(Dim::known) {
            Some(size) if same_elsewhere => total = usize::saturating_add(total, size),
            _ => return Err(ShapeError::Mismatch { op: "cat", left: first.clone(), right: (*shape).clone() }),
        }
    }
    let mut shape = first.clone();
    shape[axis] = Dim::Known(total);
    Ok(shape)
}

fn slice(axis: usize, range: std::ops::Range<usize>, step: usize, input: &Shape) -> Result<Shape, ShapeError> {
    match input.get(axis).and_then(Dim::known) {
        Some(size) if range.start < range.end && range.end <= size && step > 0 => {
            let mut shape = input.clone();
            shape[axis] = Dim::Known(range.len().div_ceil(step));
            Ok(shape)
        }
        _ => Err(out_of_bounds("slice", input)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshape_keeps_the_batch_open_and_counts_elements() {
        let input = vec![Dim::Batch, Dim::Known(6), Dim::Known(4)];
        let ok = reshape(&[ReshapeDim::Batch, ReshapeDim::Rest], &input).unwrap();
        assert_eq!(ok, vec![Dim::Batch, Dim::Known(24)]);
        assert!(reshape(&[ReshapeDim::Rest, ReshapeDim::Rest], &input).is_err());
        assert!(reshape(&[ReshapeDim::Batch, ReshapeDim::Known(5)], &input).is_err());
        assert!(reshape(&[ReshapeDim::Known(24)], &input).is_err());
    }
}
