//! Moves: elements change places and nothing else, whatever their type.

use std::sync::Arc;

use super::{
    Call, Folded, Int, MOST_ELEMENTS, Operand, Unfolded, Value, axes_of, axis_of, index, places, squeezed, steps,
    strided, unsqueezed, volume,
};
use crate::tensor::{Data, Tensor};

/// A constant of this many elements or fewer may be made larger by repeating.
const MOST_REPEATED: usize = 1 << 22;

fn shape(operand: &Operand) -> Vec<usize> {
    match operand {
        Operand::Float { tensor, .. } | Operand::Quantized(tensor) => tensor.shape().to_vec(),
        Operand::Value(value) => value.shape.clone(),
        Operand::Node(_) => Vec::new(),
    }
}

fn at<T: Copy>(values: &[T], places: impl Iterator<Item = usize>) -> Vec<T> {
    places.map(|place| values[place]).collect()
}

/// The elements of `operand` at these places; a float constant keeps its name.
fn picked(operand: &Operand, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Result<Operand, Unfolded> {
    if let Operand::Value(value) = operand {
        return Ok(Operand::Value(value.picked(shape, places)));
    }
    let (Operand::Float { tensor, .. } | Operand::Quantized(tensor)) = operand else { return Err(Unfolded::Runs) };
    let data = match tensor.data() {
        Data::F32(values) => Data::F32(at(values, places)),
        Data::F64(values) => Data::F64(at(values, places)),
        Data::F16(values) => Data::F16(at(values, places)),
        Data::BF16(values) => Data::BF16(at(values, places)),
        Data::I8(values) => Data::I8(at(values, places)),
        Data::U8(values) => Data::U8(at(values, places)),
        Data::I64(values) => Data::I64(at(values, places)),
    };
    same_sort(operand, Tensor::new(shape, data).map_err(|error| error.to_string())?)
}

fn same_sort(operand: &Operand, tensor: Tensor) -> Result<Operand, Unfolded> {
    match operand {
        Operand::Float { name, .. } => Ok(Operand::Float { name: name.clone(), tensor: Arc::new(tensor) }),
        Operand::Quantized(_) => Ok(Operand::Quantized(Arc::new(tensor))),
        Operand::Value(_) | Operand::Node(_) => Err(Unfolded::Runs),
    }
}

/// The same elements in another shape.
fn reshaped(operand: &Operand, shape: Vec<usize>) -> Folded {
    let count = volume(&shape)?;
    if count != super::size_of(operand) {
        return Err(format!("{} elements do not fill {shape:?}", super::size_of(operand)).into());
    }
    Ok(vec![picked(operand, shape, 0..count)?])
}

pub(super) fn identity(call: &Call<'_>) -> Folded {
    Ok(vec![call.operand(0)?.clone()])
}

pub(super) fn reshape(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let own = shape(data);
    let zero_copies = !call.attributes.flag("allowzero")?;
    let target = call.numbers(1)?;
    let mut dims = Vec::with_capacity(target.len());
    for (position, &size) in target.iter().enumerate() {
        dims.push(match size {
            -1 => None,
            0 if zero_copies => Some(*own.get(position).ok_or("it copies a dimension that is not there")?),
            size => Some(usize::try_from(size).map_err(|_| "negative size")?),
        });
    }
    let named = volume(&dims.iter().copied().flatten().collect::<Vec<_>>())?;
    let unknown = dims.iter().filter(|dim| dim.is_none()).count();
    let rest = super::size_of(data).checked_div(named);
    if unknown > 1 || unknown == 1 && rest.is_none() {
        return Err("its target is ambiguous".into());
    }
    reshaped(data, dims.into_iter().map(|dim| dim.unwrap_or(rest.unwrap_or(0))).collect())
}

pub(super) fn flatten(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let own = shape(data);
    let axis = call.attributes.int("axis")?.unwrap_or(1);
    let axis = if axis == own.len() as i64 { own.len() } else { axis_of(axis, own.len())? };
    reshaped(data, vec![volume(&own[..axis])?, volume(&own[axis..])?])
}

/// Axes became an input with opset 13.
pub(super) fn squeeze(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let raw = call.numbers_from("axes", 1, 13)?;
    reshaped(data, squeezed(&shape(data), raw.as_deref(), 1)?)
}

pub(super) fn unsqueeze(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let raw = call.numbers_from("axes", 1, 13)?.ok_or("it names no axes")?;
    reshaped(data, unsqueezed(shape(data), &raw, 1)?)
}

pub(super) fn transpose(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let own = shape(data);
    let order: Vec<usize> = match call.attributes.ints("perm")? {
        Some(perm) => axes_of(perm, own.len())?,
        None => (0..own.len()).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..own.len()) {
        return Err("`perm` is not an order of its axes".into());
    }
    let strides = steps(&own);
    let turned: Vec<usize> = order.iter().map(|&axis| own[axis]).collect();
    let walk = strided(turned.clone(), order.iter().map(|&axis| strides[axis]).collect(), 0);
    Ok(vec![picked(data, turned, walk)?])
}

/// Ranges became inputs, and got steps, with opset 10.
pub(super) fn slice(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let mut dims = shape(data);
    let starts = call.numbers_from("starts", 1, 10)?.ok_or("it names no starts")?;
    let ends = call.numbers_from("ends", 2, 10)?.ok_or("it names no ends")?;
    let axes = call.numbers_from("axes", 3, 10)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let given = if call.opset < 10 { None } else { call.numbers_from("steps", 4, 10)? };
    let every = given.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), every.len()] != [starts.len(); 3] {
        return Err("starts, ends, axes and steps differ in length".into());
    }
    let mut strides = steps(&dims);
    let mut first = 0_isize;
    let mut named = Vec::new();
    for i in 0..starts.len() {
        let axis = axis_of(axes[i], dims.len())?;
        if named.contains(&axis) {
            return Err(format!("it names axis {axis} twice").into());
        }
        named.push(axis);
        let (start, count) = span(starts[i], ends[i], every[i], dims[axis])?;
        let step = isize::try_from(every[i]).map_err(|_| "bad step")?;
        first += strides[axis] * start.cast_signed();
        dims[axis] = count;
        // A step beyond the data is never taken.
        strides[axis] = strides[axis].checked_mul(step).unwrap_or(0);
    }
    let walk = strided(dims.clone(), strides, first.cast_unsigned());
    Ok(vec![picked(data, dims, walk)?])
}

/// The first place of a range along an axis of `size`, and how many it has.
fn span(start: i64, end: i64, step: i64, size: usize) -> Result<(usize, usize), Unfolded> {
    let n = i64::try_from(size).map_err(|_| "absurdly large")?;
    let place = |raw: i64, low: i64, high: i64| if raw < 0 { raw.saturating_add(n) } else { raw }.clamp(low, high);
    let (start, length) = match step {
        0 => return Err("its step is 0".into()),
        _ if n == 0 => (0, 0),
        1.. => (place(start, 0, n), place(end, 0, n) - place(start, 0, n)),
        // The specification begins at the first element, its reference evaluator does not begin at all.
        _ if start < -n => return Err("it goes down from before the first element".into()),
        // Going down, the range may start at the last element and end before the first.
        _ => (place(start, 0, n - 1), place(start, 0, n - 1) - place(end, -1, n - 1)),
    };
    let count = u64::try_from(length).unwrap_or(0).div_ceil(step.unsigned_abs());
    Ok((index(start, size), usize::try_from(count).map_err(|_| "absurdly large")?))
}

/// Slices along an axis, in the order of the indices, whose shape takes the axis's place.
pub(super) fn gather(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let own = shape(data);
    let axis = axis_of(call.attributes.int("axis")?.unwrap_or(0), own.len())?;
    let indices = call.value(1)?;
    let chosen = call.numbers(1)?;
    let (own_length, length) = (own[axis], own[axis] as i64);
    let inside = |&raw: &i64| (-length..length).contains(&raw).then(|| index(raw, own[axis]));
    let chosen: Vec<usize> = chosen.iter().map(inside).collect::<Option<_>>().ok_or("index out of bounds")?;
    let (outer, inner) = (volume(&own[..axis])?, volume(&own[axis + 1..])?);
    let target = [&own[..axis], &indices.shape, &own[axis + 1..]].concat();
    bounded(volume(&target)?)?;
    let walk = (0..outer).flat_map(|before| {
        chosen.iter().flat_map(move |&place| (0..inner).map(move |after| (before * own_length + place) * inner + after))
    });
    Ok(vec![picked(data, target.clone(), walk)?])
}

pub(super) fn concat(call: &Call<'_>) -> Folded {
    let parts = call.every()?;
    let first = shape(parts.first().ok_or("it joins nothing")?);
    let raw = call.attributes.int("axis")?.ok_or("it names no axis")?;
    let axis = axis_of(raw, first.len())?;
    let mut target = first.clone();
    target[axis] = 0;
    for part in &parts {
        let own = shape(part);
        let fits = own.len() == first.len() && (0..own.len()).all(|i| i == axis || own[i] == first[i]);
        if !fits {
            return Err(format!("{own:?} does not join {first:?}").into());
        }
        target[axis] += own[axis];
    }
    bounded(volume(&target)?)?;
    let outer = volume(&first[..axis])?;
    let sizes: Vec<usize> = parts.iter().map(|part| super::size_of(part) / outer.max(1)).collect();
    joined(&parts, &sizes, outer, target)
}

/// Blocks of `sizes` elements of each part in turn, `outer` times.
fn joined(parts: &[&Operand], sizes: &[usize], outer: usize, target: Vec<usize>) -> Folded {
    if let [only] = parts {
        return Ok(vec![(*only).clone()]);
    }
    let block = |values: &dyn Fn(usize, std::ops::Range<usize>)| {
        for row in 0..outer {
            for (part, &size) in sizes.iter().enumerate() {
                values(part, row * size..(row + 1) * size);
            }
        }
    };
    let floats: Option<Vec<&[f32]>> = parts
        .iter()
        .map(|part| if let Operand::Float { tensor, .. } = part { tensor.as_f32() } else { None })
        .collect();
    if let Some(floats) = floats {
        let values = std::cell::RefCell::new(Vec::new());
        block(&|part, range| values.borrow_mut().extend_from_slice(&floats[part][range]));
        let tensor = Tensor::f32(target, values.into_inner()).map_err(|error| error.to_string())?;
        return Ok(vec![same_sort(parts[0], tensor)?]);
    }
    let values = parts.iter().map(|part| super::as_value(part)).collect::<Result<Vec<Value>, _>>()?;
    if values.iter().any(|value| value.kind != values[0].kind) {
        return Err("it joins numbers of different types".into());
    }
    match &values[0].elements {
        super::Elements::Ints(_) => {
            let own: Vec<&[Int]> = values.iter().filter_map(Value::whole).collect();
            let all = std::cell::RefCell::new(Vec::new());
            block(&|part, range| all.borrow_mut().extend_from_slice(&own[part][range]));
            Ok(vec![Operand::Value(Value::ints(values[0].kind, target, all.into_inner()))])
        }
        super::Elements::Reals(_) => Err("it joins constants that are not 32-bit floats".into()),
    }
}

/// Sizes became an input with opset 13, and their number an attribute with 18.
pub(super) fn split(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let own = shape(data);
    let axis = axis_of(call.attributes.int("axis")?.unwrap_or(0), own.len())?;
    let parts =
        part_sizes(call.numbers_from("split", 1, 13)?, call.attributes.int("num_outputs")?, own[axis], call.node)?;
    let strides = steps(&own);
    let mut start = 0;
    let mut results = Vec::with_capacity(parts.len());
    for part in parts {
        let mut dims = own.clone();
        dims[axis] = part;
        let walk = strided(dims.clone(), strides.clone(), start * strides[axis].cast_unsigned());
        results.push(picked(data, dims, walk)?);
        start += part;
    }
    Ok(results)
}

/// The lengths of the parts of a split, which fill its axis; equal ones where none are given, and the last one
/// shorter only where their number is.
pub(in crate::codec::onnx) fn part_sizes(
    given: Option<Vec<i64>>,
    number: Option<i64>,
    size: usize,
    node: &super::NodeProto,
) -> Result<Vec<usize>, String> {
    let outputs = node.output.len();
    let parts: Vec<usize> = match (given, number) {
        (Some(_), Some(_)) => return Err("it names both sizes and a number of parts".into()),
        (Some(sizes), None) => {
            sizes.iter().map(|&s| usize::try_from(s)).collect::<Result<_, _>>().map_err(|_| "negative size")?
        }
        (None, number) => {
            let even = size.is_multiple_of(outputs.max(1));
            if number.is_some_and(|number| usize::try_from(number) != Ok(outputs)) || number.is_none() && !even {
                return Err(format!("{size} elements do not split into {outputs} equal parts"));
            }
            let each = size.div_ceil(outputs.max(1));
            (0..outputs).map(|part| size.saturating_sub(part * each).min(each)).collect()
        }
    };
    if parts.len() != outputs || parts.iter().copied().try_fold(0_usize, usize::checked_add) != Some(size) {
        return Err(format!("its parts {parts:?} are not {outputs} that fill {size}"));
    }
    Ok(parts)
}

pub(super) fn expand(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let own = shape(data);
    let target = call.numbers(1)?.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
    let target = super::broadcast(&own, &target.map_err(|_| "negative size")?)?;
    bounded(volume(&target)?)?;
    Ok(vec![picked(data, target.clone(), places(&own, &target))?])
}

pub(super) fn tile(call: &Call<'_>) -> Folded {
    let data = call.operand(0)?;
    let own = shape(data);
    let repeats = call.numbers(1)?.iter().map(|&often| usize::try_from(often)).collect::<Result<Vec<_>, _>>();
    let repeats = repeats.map_err(|_| "it repeats a negative number of times")?;
    if repeats.len() != own.len() {
        return Err("it does not name how often each axis is repeated".into());
    }
    // Each axis twice: which copy, and where in it.
    let target: Vec<usize> = own.iter().zip(&repeats).map(|(size, often)| size.saturating_mul(*often)).collect();
    bounded(volume(&target)?)?;
    let walk: Vec<usize> = repeats.iter().zip(&own).flat_map(|(&often, &size)| [often, size]).collect();
    let strides = steps(&own).into_iter().flat_map(|stride| [0, stride]).collect();
    Ok(vec![picked(data, target, strided(walk, strides, 0))?])
}

/// What repeats or gathers may make something much larger than the file.
fn bounded(count: usize) -> Result<(), Unfolded> {
    if count <= MOST_REPEATED.max(MOST_ELEMENTS) {
        Ok(())
    } else {
        Err(format!("its outcome is a constant of {count} elements, more than {MOST_REPEATED}").into())
    }
}
