//! Shape inference: each operator's output shape from its input shapes.

use super::function::{Standardize, Together};
use super::op::{ConvGeometry, Op, PoolGeometry, ReshapeDim, Weights};

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

pub type Shape = Vec<Dim>;

/// Why an operator cannot take the shapes it is given.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    #[error("{op} takes a {wanted} input, not {found:?}")]
    Input { op: &'static str, wanted: &'static str, found: Shape },
    #[error("{op} with weights {weight:?} does not fit {found:?}, its groups, or its bias")]
    Weights { op: &'static str, weight: Vec<usize>, found: Shape },
    #[error("{op} cannot combine {left:?} and {right:?}")]
    Mismatch { op: &'static str, left: Shape, right: Shape },
    #[error("cannot reshape {from:?} to {to:?}")]
    Reshape { from: Shape, to: Vec<ReshapeDim> },
    #[error("{op} has axis or range out of bounds for {found:?}")]
    Bounds { op: &'static str, found: Shape },
    #[error("{op} takes {wanted} inputs, not {found}")]
    Arity { op: &'static str, wanted: usize, found: usize },
}

/// The output shape of `op`.
pub fn infer(op: &Op, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
    check_arity(op, inputs.len())?;
    match op {
        Op::Input => Ok(Shape::new()),
        Op::Constant(tensor) => Ok(tensor.shape().iter().map(|&d| Dim::Known(d)).collect()),
        Op::Conv { weights, geometry, .. } => conv(weights, geometry, inputs[0]),
        Op::Linear { weights, .. } => linear(weights, inputs[0]),
        Op::BatchNorm(norm) => batch_norm(norm.gamma.shape()[0], inputs[0]),
        Op::Add { .. } | Op::Mul { .. } => broadcast(op.torch_name(), inputs[0], inputs[1]),
        Op::Relu
        | Op::Clip { .. }
        | Op::HardSwish
        | Op::HardSigmoid
        | Op::Sigmoid
        | Op::Unary(_)
        | Op::Identity
        | Op::Dropout => Ok(inputs[0].clone()),
        Op::Binary(function) => broadcast(function.torch_name(), inputs[0], inputs[1]),
        Op::Reduce { axes, keep, .. } => reduce(op.torch_name(), axes, *keep, inputs[0]),
        Op::Standardize(own) => standardize(own, inputs[0]),
        Op::MatMul => matmul(inputs[0], inputs[1]),
        Op::Expand(target) => expand(target, inputs[0]),
        Op::GlobalAvgPool => image(op, inputs[0]).map(|[n, c, ..]| vec![n, c, Dim::Known(1), Dim::Known(1)]),
        Op::SpatialMean => image(op, inputs[0]).map(|[n, c, ..]| vec![n, c]),
        Op::AvgPool { geometry, .. } | Op::MaxPool(geometry) => pool(op, geometry, inputs[0]),
        Op::Flatten { axis } => flatten(*axis, inputs[0]),
        Op::Reshape(target) => reshape(target, inputs[0]),
        Op::Transpose(order) => transpose(order, inputs[0]),
        Op::Concat { axis } => concat(*axis, inputs),
        Op::Slice { axis, start, end, step } => slice(*axis, *start..*end, *step, inputs[0]),
        Op::Pad { amounts: [left, right, top, bottom], .. } => {
            let [n, c, h, w] = image(op, inputs[0])?;
            let grow = |dim: Dim, by: usize| dim.known().map_or(dim, |size| Dim::Known(size + by));
            Ok(vec![n, c, grow(h, top + bottom), grow(w, left + right)])
        }
        Op::Softmax { axis } | Op::LogSoftmax { axis } => {
            if inputs[0].get(*axis).is_some_and(|dim| *dim != Dim::Batch) {
                Ok(inputs[0].clone())
            } else {
                Err(out_of_bounds(op.torch_name(), inputs[0]))
            }
        }
    }
}

fn check_arity(op: &Op, found: usize) -> Result<(), ShapeError> {
    let wanted = match op {
        Op::Input | Op::Constant(_) => 0,
        Op::Add { .. } | Op::Mul { .. } | Op::Binary(_) | Op::MatMul => 2,
        Op::Concat { .. } => found.max(1),
        _ => 1,
    };
    if wanted == found { Ok(()) } else { Err(ShapeError::Arity { op: op.torch_name(), wanted, found }) }
}

/// Images one by one: nothing of one of them is mixed with another's.
fn image(op: &Op, shape: &Shape) -> Result<[Dim; 4], ShapeError> {
    let wrong =
        || ShapeError::Input { op: op.torch_name(), wanted: "[batch, channels, height, width]", found: shape.clone() };
    let dims = <[Dim; 4]>::try_from(shape.as_slice()).map_err(|_| wrong())?;
    if dims[1..].contains(&Dim::Batch) { Err(wrong()) } else { Ok(dims) }
}

fn out_of_bounds(op: &'static str, found: &Shape) -> ShapeError {
    ShapeError::Bounds { op, found: found.clone() }
}

/// `floor((size + 2·padding − dilation·(kernel − 1) − 1) / stride) + 1`, as PyTorch documents it.
fn window(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize, ceil: bool) -> Option<usize> {
    let reach = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
    let room = padding.checked_mul(2)?.checked_add(size)?.checked_sub(reach)?;
    let mut steps = room.checked_div(stride)?;
    // With ceil mode the last window must still start inside the input or the leading padding.
    if ceil && !room.is_multiple_of(stride) && (steps + 1) * stride < size + padding {
        steps += 1;
    }
    Some(steps + 1)
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

fn pool(op: &Op, g: &PoolGeometry, input: &Shape) -> Result<Shape, ShapeError> {
    let [n, c, h, w] = image(op, input)?;
    // libtorch refuses a window that could lie in padding alone.
    if (0..2).any(|axis| g.padding[axis] > g.kernel[axis] / 2) {
        return Err(out_of_bounds(op.torch_name(), input));
    }
    let side = |size: Dim, axis: usize| {
        window(size.known()?, g.kernel[axis], g.stride[axis], g.padding[axis], g.dilation[axis], g.ceil_mode)
    };
    match (side(h, 0), side(w, 1)) {
        (Some(oh), Some(ow)) => Ok(vec![n, c, Dim::Known(oh), Dim::Known(ow)]),
        _ => Err(out_of_bounds(op.torch_name(), input)),
    }
}

fn linear(weights: &Weights, input: &Shape) -> Result<Shape, ShapeError> {
    let weight = weights.weight.shape();
    match input.split_last() {
        Some((Dim::Known(features), rest)) if weight.len() == 2 && weight[1] == *features => {
            Ok(rest.iter().copied().chain([Dim::Known(weight[0])]).collect())
        }
        _ => Err(ShapeError::Input { op: "Linear", wanted: "[batch, features]", found: input.clone() }),
    }
}

fn batch_norm(channels: usize, input: &Shape) -> Result<Shape, ShapeError> {
    if input.get(1) == Some(&Dim::Known(channels)) {
        return Ok(input.clone());
    }
    Err(ShapeError::Input { op: "BatchNorm2d", wanted: "[batch, channels, …]", found: input.clone() })
}

fn broadcast(op: &'static str, left: &Shape, right: &Shape) -> Result<Shape, ShapeError> {
    let rank = left.len().max(right.len());
    let at = |shape: &Shape, i: usize| (i + shape.len()).checked_sub(rank).map_or(Dim::Known(1), |i| shape[i]);
    (0..rank)
        .map(|i| match (at(left, i), at(right, i)) {
            (a, b) if a == b => Ok(a),
            (a, Dim::Known(1)) => Ok(a),
            (Dim::Known(1), b) => Ok(b),
            _ => Err(ShapeError::Mismatch { op, left: left.clone(), right: right.clone() }),
        })
        .collect()
}

/// The product of known dimensions; the batch dimension counts as one.
fn volume(dims: &[Dim]) -> usize {
    dims.iter().filter_map(Dim::known).fold(1, usize::saturating_mul)
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

fn standardize(own: &Standardize, input: &Shape) -> Result<Shape, ShapeError> {
    let wrong = || out_of_bounds(own.torch_name(), input);
    let sizes = |dims: &[Dim]| dims.iter().map(Dim::known).collect::<Option<Vec<usize>>>();
    let wanted = match own.together {
        Together::Layer { axis } | Together::Rms { axis } if axis < input.len() => sizes(&input[axis..]),
        Together::Groups(groups) if input.len() > 1 && !input[1..].contains(&Dim::Batch) => {
            sizes(&input[1..2]).filter(|channels| groups > 0 && channels[0].is_multiple_of(groups))
        }
        _ => None,
    };
    let wanted = wanted.ok_or_else(wrong)?;
    let fits = [&own.weight, &own.bias].into_iter().flatten().all(|tensor| tensor.shape() == wanted);
    if fits { Ok(input.clone()) } else { Err(wrong()) }
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

fn expand(target: &[ReshapeDim], input: &Shape) -> Result<Shape, ShapeError> {
    let wrong = || ShapeError::Reshape { from: input.clone(), to: target.to_vec() };
    let Some(new) = target.len().checked_sub(input.len()) else { return Err(wrong()) };
    let dim = |(place, wanted): (usize, &ReshapeDim)| match (place.checked_sub(new).map(|own| input[own]), wanted) {
        (Some(Dim::Batch), ReshapeDim::Batch) => Ok(Dim::Batch),
        (None | Some(Dim::Known(1)), ReshapeDim::Known(size)) => Ok(Dim::Known(*size)),
        (Some(Dim::Known(own)), ReshapeDim::Known(size)) if own == *size => Ok(Dim::Known(own)),
        _ => Err(wrong()),
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
    fn ceil_mode_follows_pytorch() {
        // MaxPool2d(3, 2, ceil_mode=True) on 31, 15 and 7, as SqueezeNet 1.1 uses it at 64 x 64.
        let ceil = |size| window(size, 3, 2, 0, 1, true);
        assert_eq!([ceil(31), ceil(15), ceil(8)], [Some(15), Some(7), Some(4)]);
        assert_eq!(window(2, 3, 1, 0, 1, false), None);
        assert_eq!(window(4, 0, 1, 0, 1, false), None);
    }

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
