//! Calls of oneDNN that compute a convolution and the activation after it.

use super::layer::geometry;
use super::{FLOAT32, channels_last, list};
use crate::graph::Op;
use crate::graph::op::{ConvGeometry, Layer, Unary};
use crate::graph::quantization::QParams;

/// An activation as oneDNN's operators take it.
#[derive(Clone, Copy)]
pub(in super::super) struct Activation {
    name: &'static str,
    bounds: Option<(f32, f32)>,
}

impl Activation {
    /// `None` for what is not an activation, or not one of oneDNN's.
    pub(in super::super) fn of(op: &Op) -> Option<Self> {
        let plain = |name| Some(Self { name, bounds: None });
        match *op {
            Op::Layer(Layer::Conv { relu: true, .. }) | Op::Unary(Unary::Relu) => plain("relu"),
            Op::Unary(Unary::HardSwish) => plain("hardswish"),
            Op::Unary(Unary::Clip { min, max }) if min.is_finite() && max.is_finite() => {
                Some(Self { name: "hardtanh", bounds: Some((min, max)) })
            }
            Op::Input
            | Op::Constant(_)
            | Op::Layer(_)
            | Op::Normalize(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Pool(_)
            | Op::Layout(_) => None,
        }
    }
}

/// The three last arguments of oneDNN's operators.
fn post_operation(activation: Option<&Activation>) -> String {
    let name = activation.map_or("none", |activation| activation.name);
    let bounds = activation.and_then(|activation| activation.bounds);
    let bounds = bounds.map_or_else(String::new, |(min, max)| format!("{:?}, {:?}", f64::from(min), f64::from(max)));
    format!("\"{name}\", annotate(List[Optional[number]], [{bounds}]), \"\"")
}

/// An activation in the place of what it is given.
pub(in super::super) fn activated(activation: Option<Activation>, x: String) -> String {
    match activation {
        None => x,
        Some(Activation { name, bounds: Some((min, max)) }) => {
            format!("torch.{name}_({x}, {:?}, {:?})", f64::from(min), f64::from(max))
        }
        Some(Activation { name, bounds: None }) => format!("torch.{name}_({x})"),
    }
}

/// A float weight in oneDNN's order.
pub(in super::super) fn ordered_weight(weight: &str, g: &ConvGeometry, image: &[usize]) -> String {
    format!(
        "ops.mkldnn._reorder_convolution_weight({weight}, {}, {}, {}, {}, {})",
        list(&g.padding),
        list(&g.stride),
        list(&g.dilation),
        g.groups,
        list(image)
    )
}

/// The float weight of a convolution of single pixels in oneDNN's order for a linear layer.
pub(in super::super) fn ordered_linear(weight: &str) -> String {
    format!("ops.mkldnn._reorder_linear_weight(torch.flatten({weight}, 1), None)")
}

/// A float convolution with its activation in one call of oneDNN, on channels-last images.
pub(in super::super) fn fused_float(
    x: &str,
    weight: &str,
    bias: &str,
    g: &ConvGeometry,
    activation: Option<Activation>,
) -> String {
    format!(
        "ops.mkldnn._convolution_pointwise({}, {weight}, {bias}, {}, {}, {}, {}, {})",
        channels_last(x),
        list(&g.padding),
        list(&g.stride),
        list(&g.dilation),
        g.groups,
        post_operation(activation.as_ref())
    )
}

/// Integer weights in oneDNN's order.
pub(in super::super) fn packed_weight(
    integers: &str,
    scales: &str,
    input: QParams,
    g: &ConvGeometry,
    image: &[usize],
) -> String {
    let QParams { scale, zero_point } = input;
    format!("ops.onednn.qconv_prepack({integers}, {scales}, {scale:?}, {zero_point}{}, {})", geometry(g), list(image))
}

/// A convolution of bytes with its activation in one call of oneDNN, which gives float, or bytes of these
/// parameters; `weights` are packed integers, scales, zero points and bias.
pub(in super::super) fn fused_int8(
    x: &str,
    input: QParams,
    output: Option<QParams>,
    weights: &[&str; 4],
    g: &ConvGeometry,
    activation: Option<Activation>,
) -> String {
    let QParams { scale, zero_point } = input;
    let [packed, scales, zeros, bias] = weights;
    let given = output.map_or_else(
        || format!("1., 0, {FLOAT32}"),
        |QParams { scale, zero_point }| format!("{scale:?}, {zero_point}, None"),
    );
    format!(
        "ops.onednn.qconv2d_pointwise({x}, {scale:?}, {zero_point}, {packed}, {scales}, {zeros}, {bias}{}, {given}, {})",
        geometry(g),
        post_operation(activation.as_ref())
    )
}
