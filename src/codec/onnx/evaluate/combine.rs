//! Arithmetic, comparisons and choices, element by element, and reductions. Integers that leave their type's range
//! are refused: no exporter means them to wrap around.

use super::{Call, Elements, Folded, Int, Unfolded, Value, axes_of, broadcast, places, volume};
use crate::codec::onnx::constant::Kind;

/// Both operands repeated to one shape.
fn aligned(left: &Value, right: &Value) -> Result<(Vec<usize>, Value, Value), Unfolded> {
    let shape = broadcast(&left.shape, &right.shape)?;
    if volume(&shape)? > super::MOST_ELEMENTS {
        return Err(Unfolded::Runs);
    }
    let whole = |value: &Value| value.picked(shape.clone(), places(&value.shape, &shape));
    Ok((shape.clone(), whole(left), whole(right)))
}

fn same_kind(left: &Value, right: &Value) -> Result<Kind, Unfolded> {
    if left.kind == right.kind {
        Ok(left.kind)
    } else {
        Err(format!("it combines {} and {}", left.kind.name(), right.kind.name()).into())
    }
}

/// Two operands, or for `Min` and `Max` any number of them.
pub(super) fn arithmetic(call: &Call<'_>) -> Folded {
    let name = call.node.op_type.as_str();
    let c_sign = name == "Mod" && call.attributes.flag("fmod")?;
    let operands = call.every()?;
    let several = matches!(name, "Min" | "Max");
    if operands.is_empty() || !several && operands.len() != 2 {
        return Err(format!("it takes two inputs, not {}", operands.len()).into());
    }
    let values = operands.into_iter().map(super::as_value).collect::<Result<Vec<_>, _>>()?;
    let (first, rest) = values.split_first().ok_or("it has no input")?;
    let outcome = rest.iter().try_fold(first.clone(), |so_far, next| pair(name, c_sign, &so_far, next))?;
    call.outcome(outcome)
}

fn pair(name: &str, c_sign: bool, left: &Value, right: &Value) -> Result<Value, Unfolded> {
    let kind = same_kind(left, right)?;
    let (shape, left, right) = aligned(left, right)?;
    let elements = match (&left.elements, &right.elements) {
        (Elements::Ints(a), Elements::Ints(b)) => {
            let one = |(a, b): (&Int, &Int)| match integer(name, c_sign, *a, *b)? {
                Int::Known(value) if !kind.holds(value) => Err(format!("{value} is no {}", kind.name())),
                within => Ok(within),
            };
            Elements::Ints(a.iter().zip(b).map(one).collect::<Result<_, _>>()?)
        }
        (Elements::Reals(a), Elements::Reals(b)) => {
            let one = |(a, b): (&f64, &f64)| real(name, *a, *b).map(|value| kind.rounded(value));
            Elements::Reals(a.iter().zip(b).map(one).collect::<Option<_>>().ok_or(Unfolded::Runs)?)
        }
        _ => return Err("it combines integers and real numbers".into()),
    };
    Ok(Value { kind, shape, elements })
}

/// Division truncates; a remainder has the sign of the divisor, or of the dividend where C's is asked for.
fn integer(name: &str, c_sign: bool, a: Int, b: Int) -> Result<Int, String> {
    let (x, y) = match (name, a, b) {
        (_, Int::Known(x), Int::Known(y)) => (x, y),
        ("Mul" | "Div", Int::Batch, Int::Known(1))
        | ("Mul", Int::Known(1), Int::Batch)
        | ("Add" | "Sub", Int::Batch, Int::Known(0))
        | ("Add", Int::Known(0), Int::Batch)
        | ("Min" | "Max", Int::Batch, Int::Batch) => return Ok(Int::Batch),
        ("Mul", Int::Batch, Int::Known(0)) | ("Mul", Int::Known(0), Int::Batch) => return Ok(Int::Known(0)),
        _ => return Err("it computes with the batch size".into()),
    };
    let outcome = match name {
        "Add" => x.checked_add(y),
        "Sub" => x.checked_sub(y),
        "Mul" => x.checked_mul(y),
        "Div" => x.checked_div(y),
        "Mod" if c_sign => x.checked_rem(y),
        "Mod" => x.checked_rem(y).map(|rest| if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }),
        "Min" => Some(x.min(y)),
        "Max" => Some(x.max(y)),
        other => return Err(format!("requant does not compute `{other}` on integers")),
    };
    outcome.map(Int::Known).ok_or_else(|| "it divides by 0, or leaves 64 bits".into())
}

/// `None` for what has more than one right answer in the last bit, or for what is not a number.
fn real(name: &str, a: f64, b: f64) -> Option<f64> {
    match name {
        "Add" => Some(a + b),
        "Sub" => Some(a - b),
        "Mul" => Some(a * b),
        "Div" => Some(a / b),
        "Min" if !a.is_nan() && !b.is_nan() => Some(if b < a { b } else { a }),
        "Max" if !a.is_nan() && !b.is_nan() => Some(if b > a { b } else { a }),
        _ => None,
    }
}

/// The batch size is at least 1 and, beyond that, equal to itself alone.
pub(super) fn comparison(call: &Call<'_>) -> Folded {
    let (left, right) = (call.value(0)?, call.value(1)?);
    same_kind(&left, &right)?;
    let (shape, left, right) = aligned(&left, &right)?;
    let name = call.node.op_type.as_str();
    let holds: Vec<bool> = match (&left.elements, &right.elements) {
        (Elements::Ints(a), Elements::Ints(b)) => a
            .iter()
            .zip(b)
            .map(|(a, b)| compared(name, *a, *b))
            .collect::<Option<_>>()
            .ok_or("it compares the batch size")?,
        (Elements::Reals(a), Elements::Reals(b)) => {
            // What is no number compares as nothing.
            let ordered = |(a, b): (&f64, &f64)| a.partial_cmp(b).map_or(Some(false), |order| told(name, order));
            a.iter().zip(b).map(ordered).collect::<Option<_>>().ok_or(Unfolded::Runs)?
        }
        _ => return Err("it compares integers with real numbers".into()),
    };
    call.outcome(flags(shape, holds))
}

fn compared(name: &str, a: Int, b: Int) -> Option<bool> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (a, b) {
        (Int::Known(a), Int::Known(b)) => a.cmp(&b),
        (Int::Batch, Int::Batch) => Equal,
        (Int::Batch, Int::Known(b)) if b < 1 => Greater,
        (Int::Known(a), Int::Batch) if a < 1 => Less,
        _ => return None,
    };
    told(name, order)
}

/// What an operator says of two numbers in this order; `None` for an operator that compares none.
fn told(name: &str, order: std::cmp::Ordering) -> Option<bool> {
    match name {
        "Equal" => Some(order.is_eq()),
        "Less" => Some(order.is_lt()),
        "LessOrEqual" => Some(order.is_le()),
        "Greater" => Some(order.is_gt()),
        "GreaterOrEqual" => Some(order.is_ge()),
        _ => None,
    }
}

fn flags(shape: Vec<usize>, values: Vec<bool>) -> Value {
    Value::ints(Kind::Bool, shape, values.into_iter().map(|flag| Int::Known(i64::from(flag))).collect())
}

pub(super) fn logic(call: &Call<'_>) -> Folded {
    let (left, right) = (call.value(0)?, call.value(1)?);
    if same_kind(&left, &right)? != Kind::Bool {
        return Err("it takes truth values".into());
    }
    let (shape, left, right) = aligned(&left, &right)?;
    let known = |value: &Value| value.numbers().ok_or("it computes with the batch size");
    let one = |(a, b): (i64, i64)| match call.node.op_type.as_str() {
        "And" => Some(a & b != 0),
        "Or" => Some(a | b != 0),
        "Xor" => Some(a != b),
        _ => None,
    };
    let values = known(&left)?.into_iter().zip(known(&right)?).map(one).collect::<Option<_>>().ok_or(Unfolded::Runs)?;
    call.outcome(flags(shape, values))
}

/// `Where`: the one or the other, by a truth value.
pub(super) fn choice(call: &Call<'_>) -> Folded {
    let (condition, yes, no) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let kind = same_kind(&yes, &no)?;
    let (shape, yes, no) = aligned(&yes, &no)?;
    let whole = broadcast(&condition.shape, &shape)?;
    if condition.kind != Kind::Bool || volume(&whole)? > super::MOST_ELEMENTS {
        return Err(Unfolded::Runs);
    }
    let repeated = |value: &Value| value.picked(whole.clone(), places(&value.shape, &whole));
    let chosen = repeated(&condition).numbers().ok_or("it computes with the batch size")?;
    let elements = match (repeated(&yes).elements, repeated(&no).elements) {
        (Elements::Ints(a), Elements::Ints(b)) => Elements::Ints(chosen_of(&chosen, &a, &b)),
        (Elements::Reals(a), Elements::Reals(b)) => Elements::Reals(chosen_of(&chosen, &a, &b)),
        _ => return Err("it chooses between integers and real numbers".into()),
    };
    call.outcome(Value { kind, shape: whole, elements })
}

fn chosen_of<T: Copy>(chosen: &[i64], yes: &[T], no: &[T]) -> Vec<T> {
    chosen.iter().zip(yes.iter().zip(no)).map(|(&flag, (yes, no))| if flag == 0 { *no } else { *yes }).collect()
}

/// Functions of each element.
pub(super) fn each(call: &Call<'_>) -> Folded {
    let value = call.value(0)?;
    let (name, kind) = (call.node.op_type.as_str(), value.kind);
    let elements = match &value.elements {
        Elements::Ints(values) => {
            let one = |int: &Int| match int {
                Int::Known(value) => whole(name, kind, *value).map(Int::Known),
                Int::Batch if matches!(name, "Abs") => Ok(Int::Batch),
                Int::Batch if matches!(name, "Sign") => Ok(Int::Known(1)),
                Int::Batch => Err("it computes with the batch size".to_owned()),
            };
            Elements::Ints(values.iter().map(one).collect::<Result<_, _>>()?)
        }
        Elements::Reals(values) => {
            let one = |value: &f64| function(name, *value).map(|value| kind.rounded(value));
            Elements::Reals(values.iter().map(one).collect::<Option<_>>().ok_or(Unfolded::Runs)?)
        }
    };
    call.outcome(Value { kind, shape: value.shape.clone(), elements })
}

fn whole(name: &str, kind: Kind, value: i64) -> Result<i64, String> {
    let outcome = match (name, kind == Kind::Bool) {
        ("Not", true) => Some(1 - value),
        ("Neg", false) => value.checked_neg(),
        ("Abs", false) => value.checked_abs(),
        ("Sign", false) => Some(value.signum()),
        _ => return Err(format!("requant does not compute `{name}` of {}", kind.name())),
    };
    outcome.filter(|&value| kind.holds(value)).ok_or_else(|| format!("{value} has no negative in its type"))
}

fn function(name: &str, value: f64) -> Option<f64> {
    match name {
        "Neg" => Some(-value),
        "Abs" => Some(value.abs()),
        "Floor" => Some(value.floor()),
        "Ceil" => Some(value.ceil()),
        "Sqrt" => Some(value.sqrt()),
        "Reciprocal" => Some(1.0 / value),
        _ => None,
    }
}

/// Axes became an input of `ReduceSum` with opset 13, and of the others with 18. Sums of real numbers depend on
/// their order, and run.
pub(super) fn reduction(call: &Call<'_>) -> Folded {
    let name = call.node.op_type.as_str();
    let value = call.value(0)?;
    let since = if name == "ReduceSum" { 13 } else { 18 };
    let raw = call.numbers_from("axes", 1, since)?.unwrap_or_default();
    let nothing = call.opset >= since && call.attributes.flag("noop_with_empty_axes")?;
    let keep = call.attributes.int("keepdims")?.unwrap_or(1) != 0;
    let rank = value.shape.len();
    let mut axes = axes_of(&raw, rank)?;
    if axes.is_empty() && !nothing {
        axes = (0..rank).collect();
    }
    let Some(numbers) = value.numbers() else {
        return if value.kind.is_real() { Err(Unfolded::Runs) } else { Err("it computes with the batch size".into()) };
    };
    let kept: Vec<usize> = (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { value.shape[axis] }).collect();
    let count = volume(&kept)?;
    if numbers.is_empty() {
        return Err("it reduces nothing".into());
    }
    let mut outcome: Vec<Option<i64>> = vec![None; count];
    for (place, number) in places(&kept, &value.shape).zip(numbers) {
        let so_far = outcome[place];
        let next = so_far.map_or(Some(number), |so_far| reduced(name, so_far, number));
        outcome[place] = Some(next.filter(|&next| value.kind.holds(next)).ok_or("it leaves its type's range")?);
    }
    let values = outcome.into_iter().map(|number| number.map(Int::Known)).collect::<Option<_>>();
    let shape =
        if keep { kept } else { (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| value.shape[axis]).collect() };
    call.outcome(Value::ints(value.kind, shape, values.ok_or("it reduces nothing")?))
}

fn reduced(name: &str, so_far: i64, number: i64) -> Option<i64> {
    match name {
        "ReduceSum" => so_far.checked_add(number),
        "ReduceProd" => so_far.checked_mul(number),
        "ReduceMax" => Some(so_far.max(number)),
        "ReduceMin" => Some(so_far.min(number)),
        _ => None,
    }
}
