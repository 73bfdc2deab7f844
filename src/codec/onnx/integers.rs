//! Integer tensors known at import: shapes, indices and paddings, as exporters compute them. The
//! batch size stays a symbol.

use super::attributes::Attributes;
use super::proto::NodeProto;
use crate::tensor::{Data, Tensor};

/// More elements than any shape or padding needs.
const MOST_ELEMENTS: usize = 4096;

/// An element of a shape computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Int {
    Batch,
    Known(i64),
}

/// An integer tensor of at most two dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ints {
    shape: Vec<usize>,
    pub(super) values: Vec<Int>,
}

impl Ints {
    pub(super) fn vector(values: Vec<Int>) -> Self {
        Self { shape: vec![values.len()], values }
    }

    pub(super) fn numbers_of(values: &[i64]) -> Self {
        Self::vector(values.iter().map(|&v| Int::Known(v)).collect())
    }

    pub(super) fn scalar(value: i64) -> Self {
        Self { shape: Vec::new(), values: vec![Int::Known(value)] }
    }

    /// An integer tensor of the file, if it is small enough to be a shape or an index.
    pub(super) fn of_tensor(tensor: &Tensor) -> Option<Self> {
        let Data::I64(values) = tensor.data() else { return None };
        let fits = tensor.shape().len() <= 2 && values.len() <= MOST_ELEMENTS;
        fits.then(|| Self { shape: tensor.shape().to_vec(), ..Self::numbers_of(values) })
    }

    /// What `Shape` says of it.
    pub(super) fn dims(&self) -> Vec<Int> {
        self.shape.iter().map(|&d| Int::Known(d as i64)).collect()
    }

    /// The numbers, where none of them is the batch size.
    pub(super) fn numbers(&self) -> Option<Vec<i64>> {
        let number = |int: &Int| if let Int::Known(value) = int { Some(*value) } else { None };
        self.values.iter().map(number).collect()
    }

    /// The numbers as real ones, where none of them is the batch size.
    pub(super) fn as_floats(&self) -> Option<Tensor> {
        let values = self.numbers()?.into_iter().map(|number| number as f32).collect();
        Tensor::f32(self.shape.clone(), values).ok()
    }

    fn one_number(&self) -> Option<i64> {
        self.numbers().filter(|numbers| numbers.len() == 1).map(|numbers| numbers[0])
    }

    /// Rows along the first axis, each of equal length.
    fn rows(&self) -> Vec<&[Int]> {
        let rows = self.shape.first().copied().unwrap_or(1).max(1);
        self.values.chunks((self.values.len() / rows).max(1)).collect()
    }
}

/// A possibly negative ONNX index, clamped to `0..=len`.
pub(super) fn index(raw: i64, len: usize) -> usize {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_start = if raw < 0 { raw.saturating_add(len) } else { raw };
    usize::try_from(from_start.clamp(0, len)).unwrap_or(0)
}

/// The result of a node all of whose operands are integers known now.
pub(super) fn fold(node: &NodeProto, inputs: &[&Ints]) -> Result<Ints, String> {
    match (node.op_type.as_str(), inputs) {
        ("Identity" | "Cast", [only]) => Ok((*only).clone()),
        ("Size", [only]) => Ok(Ints::scalar(i64::try_from(only.values.len()).unwrap_or(i64::MAX))),
        ("Unsqueeze", [only, ..]) if only.shape.is_empty() => Ok(Ints::vector(only.values.clone())),
        ("Squeeze", [only, ..]) if only.values.len() == 1 => {
            Ok(Ints { shape: Vec::new(), values: only.values.clone() })
        }
        ("Gather", [data, at]) => gather(data, at),
        ("Concat", parts) if parts.iter().all(|part| part.shape.len() == 1) => {
            Ok(Ints::vector(parts.iter().flat_map(|part| part.values.clone()).collect()))
        }
        ("Slice", [data, starts, ends, rest @ ..]) => slice(data, starts, ends, rest),
        ("Reshape", [data, target]) => reshape(data, target),
        ("Transpose", [data]) => transpose(data),
        ("ConstantOfShape", [shape]) => filled(node, shape),
        ("Add" | "Sub" | "Mul" | "Div", [left, right]) => arithmetic(&node.op_type, left, right),
        _ => Err("requant cannot compute this on integers".into()),
    }
}

fn gather(data: &Ints, at: &Ints) -> Result<Ints, String> {
    let places = at.numbers().ok_or("it gathers at the batch size")?;
    let length = i64::try_from(data.values.len()).unwrap_or(i64::MAX);
    let inside = |place: &i64| (-length..length).contains(place);
    let pick = |place: i64| Some(place).filter(inside).map(|place| data.values[index(place, data.values.len())]);
    let values = places.into_iter().map(pick).collect::<Option<Vec<_>>>();
    values.map(|values| Ints { shape: at.shape.clone(), values }).ok_or_else(|| "index out of bounds".into())
}

/// A slice along the first axis, with any step but zero.
fn slice(data: &Ints, starts: &Ints, ends: &Ints, rest: &[&Ints]) -> Result<Ints, String> {
    let (Some(start), Some(end)) = (starts.one_number(), ends.one_number()) else {
        return Err("its range is not one number".into());
    };
    if rest.first().is_some_and(|axes| axes.one_number() != Some(0)) {
        return Err("only the first axis can be sliced here".into());
    }
    let step = rest.get(1).map_or(Some(1), |steps| steps.one_number()).filter(|&step| step != 0).ok_or("bad step")?;
    let rows = data.rows();
    let n = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let place = |raw: i64, low: i64, high: i64| if raw < 0 { raw.saturating_add(n) } else { raw }.clamp(low, high);
    // Going down, the range may start at the last element and end before the first.
    let (mut at, end) = if step > 0 {
        (place(start, 0, n), place(end, 0, n))
    } else {
        (place(start, -1, n - 1), place(end, -1, n - 1))
    };
    let mut values = Vec::new();
    let mut taken = 0;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        values.extend_from_slice(rows[usize::try_from(at).map_err(|_| "index out of bounds")?]);
        taken += 1;
        at = at.saturating_add(step);
    }
    let shape = std::iter::once(taken).chain(data.shape.iter().skip(1).copied()).collect();
    Ok(Ints { shape, values })
}

fn reshape(data: &Ints, target: &Ints) -> Result<Ints, String> {
    let target =
        target.numbers().filter(|target| target.len() <= 2).ok_or("its target is not a short list of numbers")?;
    let named: i64 = target.iter().filter(|&&d| d != -1).fold(1, |product, &d| product.saturating_mul(d));
    let total = i64::try_from(data.values.len()).unwrap_or(i64::MAX);
    let dim = |&d: &i64| if d == -1 { total.checked_div(named) } else { Some(d) };
    let shape = target.iter().map(dim).map(|d| usize::try_from(d?).ok()).collect::<Option<Vec<_>>>();
    shape
        .filter(|shape| shape.iter().product::<usize>() == data.values.len())
        .map(|shape| Ints { shape, values: data.values.clone() })
        .ok_or_else(|| "its target does not hold its elements".into())
}

fn transpose(data: &Ints) -> Result<Ints, String> {
    let &[rows, columns] = data.shape.as_slice() else { return Err("only a matrix can be transposed here".into()) };
    let values = (0..columns).flat_map(|c| (0..rows).map(move |r| data.values[r * columns + c])).collect();
    Ok(Ints { shape: vec![columns, rows], values })
}

/// `ConstantOfShape` with an integer value.
fn filled(node: &NodeProto, shape: &Ints) -> Result<Ints, String> {
    let count = shape.one_number().and_then(|n| usize::try_from(n).ok()).filter(|&n| n <= MOST_ELEMENTS);
    let count = count.ok_or("only a short vector can be made here")?;
    let value = match Attributes::of(node).tensor("value") {
        Some(stored) => super::constant::read(stored).ok().and_then(|tensor| Ints::of_tensor(&tensor)),
        None => None,
    };
    let value = value.and_then(|value| value.one_number()).ok_or("its value is not one integer")?;
    Ok(Ints::numbers_of(&vec![value; count]))
}

fn arithmetic(operator: &str, left: &Ints, right: &Ints) -> Result<Ints, String> {
    let long = if left.values.len() >= right.values.len() { left } else { right };
    let at = |ints: &Ints, i: usize| ints.values.get(if ints.values.len() == 1 { 0 } else { i }).copied();
    let values = (0..long.values.len())
        .map(|i| {
            let (a, b) = at(left, i).zip(at(right, i)).ok_or("lengths differ")?;
            combine(operator, a, b).ok_or("it computes with the batch size, or overflows")
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Ints { shape: long.shape.clone(), values })
}

fn combine(operator: &str, a: Int, b: Int) -> Option<Int> {
    let (x, y) = match (operator, a, b) {
        (_, Int::Known(x), Int::Known(y)) => (x, y),
        ("Mul" | "Div", Int::Batch, Int::Known(1)) | ("Mul", Int::Known(1), Int::Batch) => return Some(Int::Batch),
        _ => return None,
    };
    match operator {
        "Add" => x.checked_add(y),
        "Sub" => x.checked_sub(y),
        "Mul" => x.checked_mul(y),
        _ => x.checked_div(y),
    }
    .map(Int::Known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(operator: &str) -> NodeProto {
        NodeProto { op_type: operator.into(), ..NodeProto::default() }
    }

    #[test]
    fn the_padding_chain_of_pytorchs_older_exporter_folds() {
        // F.pad(x, (1, 2, 3, 4)): last axis first, to be reversed into ONNX's order.
        let pads = Ints::numbers_of(&[1, 2, 3, 4, 0, 0, 0, 0]);
        let pairs = fold(&node("Reshape"), &[&pads, &Ints::numbers_of(&[-1, 2])]).unwrap();
        let (start, end, axis, step) = (-1, -i64::MAX, 0, -1);
        let numbers = [start, end, axis, step].map(|n| Ints::numbers_of(&[n]));
        let [start, end, axis, step] = &numbers;
        let reversed = fold(&node("Slice"), &[&pairs, start, end, axis, step]).unwrap();
        let turned = fold(&node("Transpose"), &[&reversed]).unwrap();
        let flat = fold(&node("Reshape"), &[&turned, &Ints::numbers_of(&[-1])]).unwrap();
        assert_eq!(flat.numbers().unwrap(), [0, 0, 3, 1, 0, 0, 4, 2]);
    }

    #[test]
    fn hostile_ranges_are_refused_or_empty() {
        let data = Ints::numbers_of(&[1, 2, 3]);
        let one = |n| Ints::numbers_of(&[n]);
        let sliced = fold(&node("Slice"), &[&data, &one(i64::MIN), &one(i64::MAX)]).unwrap();
        assert_eq!(sliced.numbers().unwrap(), [1, 2, 3]);
        assert!(fold(&node("Gather"), &[&data, &one(9)]).is_err());
        assert!(fold(&node("Reshape"), &[&data, &one(0)]).is_err());
        assert!(fold(&node("Mul"), &[&one(i64::MAX), &one(2)]).is_err());
    }
}
