//! Constant folding of what exporters leave behind: shape arithmetic (`Shape`, `Gather`, `Concat`,
//! …), in which the batch size stays a symbol, and simple moves of float constants.

use std::sync::Arc;

use super::attributes::Attributes;
use super::constant;
use super::error::ImportError;
use super::import::{Import, Operand, constant_operand, label};
use super::proto::NodeProto;
use crate::graph::Dim;
use crate::tensor::{Data, Tensor};

/// An element of a shape computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Int {
    Batch,
    Known(i64),
}

/// An integer scalar or vector known at import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ints {
    pub(super) scalar: bool,
    pub(super) values: Vec<Int>,
}

impl Ints {
    pub(super) fn known(scalar: bool, values: &[i64]) -> Self {
        Self { scalar, values: values.iter().map(|&v| Int::Known(v)).collect() }
    }

    /// The numbers, where none of them is the batch size.
    pub(super) fn numbers(&self) -> Option<Vec<i64>> {
        let number = |int: &Int| if let Int::Known(value) = int { Some(*value) } else { None };
        self.values.iter().map(number).collect()
    }
}

/// Folds a node whose result is known without running the network; `None` where it must run.
pub(super) fn fold(
    import: &Import,
    node: &NodeProto,
    operands: &[Option<Operand>],
) -> Result<Option<Operand>, ImportError> {
    let form = |reason: String| ImportError::Form {
        node: label(node),
        operator: node.op_type.clone(),
        opset: import.opset,
        reason,
    };
    match node.op_type.as_str() {
        "Constant" => constant_node(node, form).map(Some),
        "Shape" => shape(import, node, operands).map_err(form).map(Some),
        _ => {
            let ints: Option<Vec<&Ints>> = operands
                .iter()
                .flatten()
                .map(|operand| if let Operand::Ints(ints) = operand { Some(ints) } else { None })
                .collect();
            if let Some(ints) = ints.filter(|list| !list.is_empty()) {
                let folded = integers(node, &ints).map_err(form)?;
                return Ok(Some(Operand::Ints(folded)));
            }
            floats(node, operands).map_err(form)
        }
    }
}

fn constant_node(node: &NodeProto, form: impl Fn(String) -> ImportError) -> Result<Operand, ImportError> {
    let attributes = Attributes::of(node);
    let name = node.output.first().cloned().unwrap_or_default();
    if let Some(tensor) = attributes.tensor("value") {
        return constant_operand(&name, constant::read(tensor)?);
    }
    if let Some(value) = attributes.int("value_int") {
        return Ok(Operand::Ints(Ints::known(true, &[value])));
    }
    if let Some(values) = attributes.ints("value_ints") {
        return Ok(Operand::Ints(Ints::known(false, values)));
    }
    if let Some(values) = attributes.floats("value_floats") {
        return Ok(Operand::Float { name, tensor: Arc::new(Tensor::vector(values.to_vec())) });
    }
    match attributes.float_opt("value_float").map(|value| Tensor::f32(Vec::new(), vec![value])) {
        Some(Ok(tensor)) => Ok(Operand::Float { name, tensor: Arc::new(tensor) }),
        _ => Err(form("it holds neither a float nor an integer value".into())),
    }
}

fn shape(import: &Import, node: &NodeProto, operands: &[Option<Operand>]) -> Result<Operand, String> {
    let dims: Vec<Int> = match operands.first() {
        Some(Some(Operand::Node(id))) => {
            let int = |dim: &Dim| dim.known().map_or(Int::Batch, |size| Int::Known(size as i64));
            import.graph.node(*id).shape.iter().map(int).collect()
        }
        Some(Some(Operand::Float { tensor, .. })) => tensor.shape().iter().map(|&d| Int::Known(d as i64)).collect(),
        Some(Some(Operand::Ints(ints))) if !ints.scalar => vec![Int::Known(ints.values.len() as i64)],
        Some(Some(Operand::Ints(_))) => Vec::new(),
        _ => return Err("it has no input".into()),
    };
    let attributes = Attributes::of(node);
    let start = index(attributes.int("start").unwrap_or(0), dims.len());
    let end = index(attributes.int("end").unwrap_or(i64::MAX), dims.len());
    let values = dims.get(start..end.max(start)).unwrap_or(&[]).to_vec();
    Ok(Operand::Ints(Ints { scalar: false, values }))
}

/// A possibly negative ONNX index, clamped to `0..=len`.
pub(super) fn index(raw: i64, len: usize) -> usize {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_start = if raw < 0 { raw.saturating_add(len) } else { raw };
    usize::try_from(from_start.clamp(0, len)).unwrap_or(0)
}

fn integers(node: &NodeProto, inputs: &[&Ints]) -> Result<Ints, String> {
    match (node.op_type.as_str(), inputs) {
        ("Identity" | "Cast", [only]) => Ok((*only).clone()),
        ("Unsqueeze", [only, ..]) if only.scalar => Ok(Ints { scalar: false, values: only.values.clone() }),
        ("Squeeze", [only, ..]) if only.values.len() == 1 => Ok(Ints { scalar: true, values: only.values.clone() }),
        ("Gather", [data, at]) => gather(data, at),
        ("Concat", parts) => {
            Ok(Ints { scalar: false, values: parts.iter().flat_map(|part| part.values.clone()).collect() })
        }
        ("Slice", [data, starts, ends, ..]) => slice(data, starts, ends, inputs.get(4).copied()),
        ("Add" | "Sub" | "Mul" | "Div", [left, right]) => arithmetic(&node.op_type, left, right),
        _ => Err("requant cannot compute this on integers".into()),
    }
}

fn gather(data: &Ints, at: &Ints) -> Result<Ints, String> {
    let places = at.numbers().ok_or("it gathers at the batch size")?;
    let pick = |place: i64| data.values.get(index(place, data.values.len())).copied();
    let values = places.into_iter().map(pick).collect::<Option<Vec<_>>>();
    values.map(|values| Ints { scalar: at.scalar, values }).ok_or_else(|| "index out of bounds".into())
}

fn slice(data: &Ints, starts: &Ints, ends: &Ints, steps: Option<&Ints>) -> Result<Ints, String> {
    let one = |ints: &Ints| ints.numbers().filter(|n| n.len() == 1).map(|n| n[0]);
    let (Some(start), Some(end)) = (one(starts), one(ends)) else { return Err("its range is not one number".into()) };
    if steps.is_some_and(|steps| one(steps) != Some(1)) {
        return Err("only a step of 1 is supported here".into());
    }
    let (start, end) = (index(start, data.values.len()), index(end, data.values.len()));
    Ok(Ints { scalar: false, values: data.values[start..end.max(start)].to_vec() })
}

fn arithmetic(operator: &str, left: &Ints, right: &Ints) -> Result<Ints, String> {
    let long = left.values.len().max(right.values.len());
    let at = |ints: &Ints, i: usize| ints.values.get(if ints.values.len() == 1 { 0 } else { i }).copied();
    let values = (0..long)
        .map(|i| {
            let (a, b) = at(left, i).zip(at(right, i)).ok_or("lengths differ")?;
            combine(operator, a, b).ok_or("it computes with the batch size, or overflows")
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Ints { scalar: left.scalar && right.scalar, values })
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

/// Moves of float constants that change no value.
fn floats(node: &NodeProto, operands: &[Option<Operand>]) -> Result<Option<Operand>, String> {
    let Some(Some(Operand::Float { name, tensor })) = operands.first() else { return Ok(None) };
    let moved = match node.op_type.as_str() {
        "Identity" => Arc::clone(tensor),
        "Cast" if Attributes::of(node).int("to") == Some(1) => Arc::clone(tensor),
        "Transpose" if tensor.shape().len() == 2 => Arc::new(transpose(tensor)?),
        _ => return Ok(None),
    };
    Ok(Some(Operand::Float { name: name.clone(), tensor: moved }))
}

/// Swaps the two axes of a float matrix.
pub(super) fn transpose(tensor: &Tensor) -> Result<Tensor, String> {
    let (&[rows, columns], Data::F32(values)) = (tensor.shape(), tensor.data()) else {
        return Err("only a float matrix can be transposed here".into());
    };
    let swapped = (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect();
    Tensor::f32(vec![columns, rows], swapped).map_err(|error| error.to_string())
}
