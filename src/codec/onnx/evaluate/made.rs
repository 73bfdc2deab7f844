//! Constants that a node makes: stored ones, repeated ones, ranges, and shapes.

use std::sync::Arc;

use super::{Call, Elements, Folded, Int, MOST_ELEMENTS, Operand, Value, index, shape_of, volume};
use crate::codec::onnx::constant::{self, Kind};
use crate::codec::onnx::external::External;
use crate::codec::onnx::network::{Import, constant_operand};
use crate::tensor::Tensor;

/// A repeated real number of more elements than this is no constant of a network.
const MOST_FILLED: usize = 1 << 22;

/// One of its attributes holds the value.
pub(super) fn constant(call: &Call<'_>) -> Folded {
    let attributes = call.attributes;
    let mut found = Vec::new();
    if let Some(stored) = attributes.tensor("value")? {
        let (kind, tensor) = constant::read(stored, &External::new(None)).map_err(|error| error.to_string())?;
        found.push(constant_operand(&call.name(), kind, tensor));
    }
    if let Some(value) = attributes.int("value_int")? {
        found.push(Operand::Value(Value::ints(Kind::I64, Vec::new(), vec![Int::Known(value)])));
    }
    if let Some(values) = attributes.ints("value_ints")? {
        found.push(Operand::Value(Value::dims(values.iter().map(|&value| Int::Known(value)).collect())));
    }
    let mut real = |tensor: Tensor| found.push(Operand::Float { name: call.name(), tensor: Arc::new(tensor) });
    if let Some(values) = attributes.floats("value_floats")? {
        real(Tensor::vector(values.to_vec()));
    }
    if let Some(value) = attributes.float_opt("value_float")? {
        real(Tensor::f32(Vec::new(), vec![value]).map_err(|error| error.to_string())?);
    }
    if found.len() == 1 { Ok(found) } else { Err(format!("it holds {} values, not one", found.len()).into()) }
}

/// `start` and `end` came with opset 15.
pub(super) fn shape(call: &Call<'_>, import: &Import) -> Folded {
    let dims = shape_of(call.operand(0)?, import);
    let place = |name: &str, default: i64| -> Result<usize, String> {
        let given = if call.opset < 15 { None } else { call.attributes.int(name)? };
        Ok(index(given.unwrap_or(default), dims.len()))
    };
    let (start, end) = (place("start", 0)?, place("end", i64::MAX)?);
    Ok(vec![Operand::Value(Value::dims(dims.get(start..end.max(start)).unwrap_or(&[]).to_vec()))])
}

pub(super) fn size(call: &Call<'_>, import: &Import) -> Folded {
    let mut product = Int::Known(1);
    for dim in shape_of(call.operand(0)?, import) {
        product = match (product, dim) {
            (Int::Known(a), Int::Known(b)) => Int::Known(a.checked_mul(b).ok_or("it is absurdly large")?),
            (Int::Known(1), Int::Batch) | (Int::Batch, Int::Known(1)) => Int::Batch,
            _ => return Err("it computes with the batch size".into()),
        };
    }
    Ok(vec![Operand::Value(Value::ints(Kind::I64, Vec::new(), vec![product]))])
}

/// One value, 0 unless it is given, in a known shape.
pub(super) fn filled(call: &Call<'_>) -> Folded {
    let value = call.value(0)?;
    let Some(sizes) = value.numbers() else { return Err("it repeats something for each image".into()) };
    let sizes = sizes.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
    let sizes = sizes.map_err(|_| "negative size")?;
    let count = volume(&sizes)?;
    let (kind, element) = match call.attributes.tensor("value")? {
        None => (Kind::F32, Elements::Reals(vec![0.0])),
        Some(stored) => {
            let (kind, tensor) = constant::read(stored, &External::new(None)).map_err(|error| error.to_string())?;
            let one = Value::of_tensor(kind, &tensor).filter(|value| value.len() == 1);
            (kind, one.ok_or("its value is not one number")?.elements)
        }
    };
    let most = if kind == Kind::F32 { MOST_FILLED } else { MOST_ELEMENTS };
    if count > most {
        return Err(format!("its outcome is a constant of {count} elements, more than {most}").into());
    }
    match element {
        Elements::Ints(one) => call.outcome(Value::ints(kind, sizes, vec![one[0]; count])),
        Elements::Reals(one) => call.outcome(Value::reals(kind, sizes, vec![one[0]; count])),
    }
}

/// From a start in equal steps up to a limit, which is not reached.
pub(super) fn range(call: &Call<'_>) -> Folded {
    let kind = call.value(0)?.kind;
    let mut numbers = Vec::with_capacity(3);
    for position in 0..3 {
        let value = call.value(position)?;
        match (value.kind == kind && value.shape.is_empty(), value.numbers().as_deref()) {
            (true, Some([number])) => numbers.push(*number),
            _ => return Err("its start, limit and step are not three integers of one type".into()),
        }
    }
    let [start, limit, step] = numbers[..] else { return Err("it takes three numbers".into()) };
    let length = i128::from(limit) - i128::from(start);
    if step == 0 {
        return Err("its step is 0".into());
    }
    let count =
        if (length > 0) == (step > 0) { length.unsigned_abs().div_ceil(u128::from(step.unsigned_abs())) } else { 0 };
    let count = usize::try_from(count).ok().filter(|&count| count <= MOST_ELEMENTS);
    let count = count.ok_or_else(|| format!("it counts more than {MOST_ELEMENTS} numbers"))?;
    let values = (0..count as i64).map(|i| Int::Known(start + i * step)).collect();
    Ok(vec![Operand::Value(Value::ints(kind, vec![count], values))])
}
