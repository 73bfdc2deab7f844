//! What moves, selects, joins or repeats values.

use super::{list, no_int8_form, number};
use crate::graph::op::Layout;
use crate::graph::quantization::QParams;
use crate::graph::{Dim, Shape};

/// `shape` is that of what is given.
pub(in super::super) fn float(layout: &Layout, shape: &Shape, inputs: &[String]) -> String {
    let x = &inputs[0];
    match layout {
        Layout::Flatten { axis } => format!("torch.flatten({x}, {axis})"),
        Layout::Reshape(_) => format!("torch.reshape({x}, [{}])", sizes(shape)),
        Layout::Transpose(order) => format!("torch.permute({x}, {})", list(order)),
        Layout::Concat { axis } => format!("torch.cat([{}], {axis})", inputs.join(", ")),
        Layout::Slice { axis, start, end, step } => format!("torch.slice({x}, {axis}, {start}, {end}, {step})"),
        Layout::Pad { amounts, value } => {
            format!("torch.constant_pad_nd({x}, {}, {})", list(amounts), number(*value))
        }
        Layout::Expand(_) => format!("torch.expand({x}, [{}])", sizes(shape)),
        Layout::Identity | Layout::Dropout => x.clone(),
    }
}

/// All but joining keep the parameters of the tensor that they take.
pub(in super::super) fn int8(layout: &Layout, shape: &Shape, inputs: &[String], q: QParams) -> String {
    match layout {
        Layout::Concat { axis } => {
            format!("ops.quantized.cat([{}], {axis}, {:?}, {})", inputs.join(", "), q.scale, q.zero_point)
        }
        Layout::Flatten { .. }
        | Layout::Reshape(_)
        | Layout::Transpose(_)
        | Layout::Slice { .. }
        | Layout::Identity
        | Layout::Dropout => float(layout, shape, inputs),
        Layout::Pad { .. } => no_int8_form("pad"),
        Layout::Expand(_) => no_int8_form("expand"),
    }
}

/// Every size but the batch, which is whatever is left.
fn sizes(shape: &Shape) -> String {
    let size = |dim: &Dim| dim.known().map_or_else(|| "-1".to_owned(), |size| size.to_string());
    shape.iter().map(size).collect::<Vec<_>>().join(", ")
}
