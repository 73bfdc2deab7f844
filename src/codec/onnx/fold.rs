//! Constant folding of what exporters leave behind: shape arithmetic (`Shape`, `Gather`, `Concat`,
//! …) and simple moves of float constants.

use std::sync::Arc;

use super::attributes::Attributes;
use super::constant::kind;
use super::error::ImportError;
use super::import::{Import, Operand, constant_operand, label};
use super::integers::{self, Int, Ints, index};
use super::proto::NodeProto;
use super::{catalogue, constant};
use crate::graph::Dim;
use crate::tensor::{Data, Tensor};

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
    if !matches!(node.domain.as_str(), "" | "ai.onnx") || !catalogue::reads(&node.op_type, import.opset) {
        let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
        let operator = format!("{domain}{}", node.op_type);
        return Err(ImportError::Unsupported { node: label(node), operator, opset: import.opset });
    }
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
                // Whole numbers that become real ones are divided as such from there on.
                if let ("Cast", Some(kind::FLOAT), Some(tensor)) =
                    (node.op_type.as_str(), cast_to(node), ints[0].as_floats())
                {
                    let name = node.output.first().cloned().unwrap_or_default();
                    return Ok(Some(Operand::Float { name, tensor: Arc::new(tensor) }));
                }
                let folded = integers::fold(node, &ints).map_err(form)?;
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
        return Ok(Operand::Ints(Ints::scalar(value)));
    }
    if let Some(values) = attributes.ints("value_ints") {
        return Ok(Operand::Ints(Ints::numbers_of(values)));
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
        Some(Some(Operand::Quantized(tensor))) => tensor.shape().iter().map(|&d| Int::Known(d as i64)).collect(),
        Some(Some(Operand::Ints(ints))) => ints.dims(),
        _ => return Err("it has no input".into()),
    };
    let attributes = Attributes::of(node);
    let start = index(attributes.int("start").unwrap_or(0), dims.len());
    let end = index(attributes.int("end").unwrap_or(i64::MAX), dims.len());
    Ok(Operand::Ints(Ints::vector(dims.get(start..end.max(start)).unwrap_or(&[]).to_vec())))
}

/// The type of numbers that a `Cast` gives.
fn cast_to(node: &NodeProto) -> Option<i32> {
    Attributes::of(node).int("to").and_then(|to| i32::try_from(to).ok())
}

/// A float constant as whole numbers, where it holds nothing else.
fn as_ints(tensor: &Tensor) -> Option<Operand> {
    #[expect(clippy::cast_possible_truncation, reason = "small whole numbers")]
    let whole = |value: &f32| (value.fract() == 0.0 && value.abs() < 1e6).then_some(*value as i64);
    let values = tensor.as_f32()?.iter().map(whole).collect::<Option<Vec<i64>>>()?;
    let tensor = Tensor::new(tensor.shape().to_vec(), Data::I64(values)).ok()?;
    Ints::of_tensor(&tensor).map(Operand::Ints)
}

/// Moves of float constants that change no value.
fn floats(node: &NodeProto, operands: &[Option<Operand>]) -> Result<Option<Operand>, String> {
    let Some(Some(Operand::Float { name, tensor })) = operands.first() else { return Ok(None) };
    let moved = match node.op_type.as_str() {
        "Identity" => Arc::clone(tensor),
        "Cast" if cast_to(node) == Some(kind::FLOAT) => Arc::clone(tensor),
        "Cast" if cast_to(node) == Some(kind::INT64) => return Ok(as_ints(tensor)),
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
