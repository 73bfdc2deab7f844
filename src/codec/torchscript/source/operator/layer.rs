//! Convolutions and linear layers.

use super::{list, rectified};
use crate::graph::op::{ConvGeometry, Layer};
use crate::graph::quantization::QParams;

/// A layer in float.
pub(in super::super) fn float(layer: &Layer, x: &str, weight: &str, bias: &str) -> String {
    match layer {
        Layer::Conv { geometry, relu, .. } => rectified(*relu, conv(x, weight, bias, geometry)),
        Layer::Linear { relu, .. } => rectified(*relu, format!("torch.linear({x}, {weight}, {bias})")),
    }
}

pub(in super::super) fn conv(x: &str, weight: &str, bias: &str, g: &ConvGeometry) -> String {
    format!("torch.conv2d({x}, {weight}, {bias}{})", geometry(g))
}

/// A layer on integers, with packed weights.
pub(in super::super) fn int8(layer: &Layer, x: &str, packed: &str, q: QParams) -> String {
    let function = match layer {
        Layer::Conv { relu: false, .. } => "conv2d",
        Layer::Conv { relu: true, .. } => "conv2d_relu",
        Layer::Linear { relu: false, .. } => "linear",
        Layer::Linear { relu: true, .. } => "linear_relu",
    };
    format!("ops.quantized.{function}({x}, {packed}, {:?}, {})", q.scale, q.zero_point)
}

/// How the engine packs a layer's integer weights.
pub(in super::super) struct Packing {
    /// The class of packed parameters is `{class}PackedParamsBase`.
    pub(in super::super) class: &'static str,
    /// The operators are `{prefix}_prepack` and `{prefix}_unpack`.
    pub(in super::super) prefix: &'static str,
    /// What the first takes beside weight and bias, with a leading comma.
    pub(in super::super) geometry: String,
}

pub(in super::super) fn packing(layer: &Layer) -> Packing {
    match layer {
        Layer::Conv { geometry: g, .. } => Packing { class: "Conv2d", prefix: "conv2d", geometry: geometry(g) },
        Layer::Linear { .. } => Packing { class: "Linear", prefix: "linear", geometry: String::new() },
    }
}

/// The trailing arguments of a convolution or its prepacking, with a leading comma.
pub(super) fn geometry(g: &ConvGeometry) -> String {
    format!(", {}, {}, {}, {}", list(&g.stride), list(&g.padding), list(&g.dilation), g.groups)
}
