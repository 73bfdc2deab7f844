//! Conversions between element types, as C++ and numpy convert.

use super::{Call, Elements, Folded, Int, Operand, Value};
use crate::codec::onnx::attributes::Attributes;
use crate::codec::onnx::constant::{Kind, type_name};

pub(super) fn cast(call: &Call<'_>) -> Folded {
    let to = match call.node.op_type.as_str() {
        "CastLike" => match call.operand(1)? {
            Operand::Node(_) | Operand::Float { .. } => Kind::F32,
            Operand::Value(value) => value.kind,
            Operand::Quantized(_) => return Err("it converts to the type of many integers".into()),
        },
        _ => wanted(call.attributes)?,
    };
    // It bears on 8-bit floats alone, which are not read.
    call.attributes.without_effect(&["saturate", "round_mode"]);
    if let (float @ Operand::Float { .. }, Kind::F32) = (call.operand(0)?, to) {
        return Ok(vec![float.clone()]);
    }
    let value = call.value(0)?;
    let elements = match (value.elements, to.is_real()) {
        (Elements::Ints(values), false) => {
            Elements::Ints(values.into_iter().map(|int| integer(int, to)).collect::<Result<_, _>>()?)
        }
        (Elements::Ints(values), true) => {
            Elements::Reals(values.into_iter().map(|int| real(int, to)).collect::<Result<_, _>>()?)
        }
        (Elements::Reals(values), false) => {
            let whole = values.into_iter().map(|value| truncated(value, to).map(Int::Known));
            Elements::Ints(whole.collect::<Result<_, _>>()?)
        }
        (Elements::Reals(values), true) => Elements::Reals(values.into_iter().map(|value| to.rounded(value)).collect()),
    };
    call.outcome(Value { kind: to, shape: value.shape, elements })
}

/// The type that a `Cast` names.
pub(in crate::codec::onnx) fn wanted(attributes: &Attributes<'_>) -> Result<Kind, String> {
    let code = attributes.int("to")?.ok_or("it does not say what it converts to")?;
    let code = i32::try_from(code).unwrap_or(-1);
    Kind::of(code).ok_or_else(|| format!("it converts to {}, which is not read", type_name(code)))
}

fn integer(int: Int, to: Kind) -> Result<Int, String> {
    match (int, to) {
        (Int::Known(value), Kind::U64) if value < 0 => Err(format!("{value} becomes a number beyond 63 bits")),
        (Int::Known(value), to) => Ok(Int::Known(to.wrapped(value))),
        // A batch has at least one image, and fewer than 31 bits can count.
        (Int::Batch, Kind::Bool) => Ok(Int::Known(1)),
        (Int::Batch, Kind::I32 | Kind::U32 | Kind::I64 | Kind::U64) => Ok(Int::Batch),
        (Int::Batch, to) => Err(format!("it converts the batch size to {}", to.name())),
    }
}

/// A 64-bit integer is rounded once, to the type that is asked for.
#[expect(clippy::cast_possible_truncation, reason = "checked to be exact")]
fn real(int: Int, to: Kind) -> Result<f64, String> {
    let Int::Known(value) = int else { return Err("it computes with the batch size".into()) };
    let wide = value as f64;
    match to {
        Kind::F32 => Ok(f64::from(value as f32)),
        _ if wide as i64 == value => Ok(to.rounded(wide)),
        _ => Err(format!("{value} has more digits than a double")),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bounds are looked at first")]
fn truncated(value: f64, to: Kind) -> Result<i64, String> {
    if to == Kind::Bool {
        return Ok(i64::from(value != 0.0));
    }
    // 2^63 is the first number that does not fit, and is exact.
    if !value.is_finite() || value.trunc() < -(2_f64.powi(63)) || value.trunc() >= 2_f64.powi(63) {
        return Err(format!("{value} is no {}", to.name()));
    }
    let whole = value.trunc() as i64;
    if to.holds(whole) { Ok(whole) } else { Err(format!("{value} is no {}", to.name())) }
}
