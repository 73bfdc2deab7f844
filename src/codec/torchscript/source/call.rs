//! One operator as one TorchScript expression.

use std::f64::consts::PI;

use crate::graph::function::{Reduction, Standardize, Together, Unary};
use crate::graph::op::{ConvGeometry, PoolGeometry};
use crate::graph::quantization::QParams;
use crate::graph::{Dim, Op, Shape};

/// `torch.float32` as TorchScript's number for it.
pub(super) const FLOAT32: u32 = 6;

fn list(values: &[usize]) -> String {
    format!("{values:?}")
}

/// The trailing arguments of a convolution or its prepacking, with a leading comma.
pub(super) fn geometry(g: &ConvGeometry) -> String {
    format!(", {}, {}, {}, {}", list(&g.stride), list(&g.padding), list(&g.dilation), g.groups)
}

fn pool_window(g: &PoolGeometry) -> String {
    format!("{}, {}, {}", list(&g.kernel), list(&g.stride), list(&g.padding))
}

/// An activation as oneDNN's operators take it.
#[derive(Clone, Copy)]
pub(super) struct Activation {
    name: &'static str,
    bounds: Option<(f32, f32)>,
}

impl Activation {
    /// `None` for what is not an activation, or not one of oneDNN's.
    pub(super) fn of(op: &Op) -> Option<Self> {
        match *op {
            Op::Conv { relu: true, .. } | Op::Relu => Some(Self { name: "relu", bounds: None }),
            Op::HardSwish => Some(Self { name: "hardswish", bounds: None }),
            Op::Clip { min, max } if min.is_finite() && max.is_finite() => {
                Some(Self { name: "hardtanh", bounds: Some((min, max)) })
            }
            _ => None,
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

const fn python(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

fn rectified(relu: bool, call: String) -> String {
    if relu { format!("torch.relu({call})") } else { call }
}

/// A float convolution or linear layer.
pub(super) fn float_layer(op: &Op, x: &str, weight: &str, bias: &str) -> String {
    match op {
        Op::Conv { geometry: g, relu, .. } => rectified(*relu, float_conv(x, weight, bias, g)),
        Op::Linear { relu, .. } => rectified(*relu, format!("torch.linear({x}, {weight}, {bias})")),
        other => unreachable!("{} has no weights", other.torch_name()),
    }
}

pub(super) fn float_conv(x: &str, weight: &str, bias: &str, g: &ConvGeometry) -> String {
    format!("torch.conv2d({x}, {weight}, {bias}{})", geometry(g))
}

/// The same values, pixel after pixel.
pub(super) fn channels_last(x: &str) -> String {
    format!("torch.contiguous({x}, memory_format=2)")
}

/// An activation in the place of what it is given.
pub(super) fn activated(activation: Option<Activation>, x: String) -> String {
    match activation {
        None => x,
        Some(Activation { name, bounds: Some((min, max)) }) => {
            format!("torch.{name}_({x}, {:?}, {:?})", f64::from(min), f64::from(max))
        }
        Some(Activation { name, bounds: None }) => format!("torch.{name}_({x})"),
    }
}

/// A float weight in oneDNN's order.
pub(super) fn ordered_weight(weight: &str, g: &ConvGeometry, image: &[usize]) -> String {
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
pub(super) fn ordered_linear(weight: &str) -> String {
    format!("ops.mkldnn._reorder_linear_weight(torch.flatten({weight}, 1), None)")
}

/// A float convolution with its activation in one call of oneDNN, on channels-last images.
pub(super) fn fused_float(
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
pub(super) fn packed_weight(integers: &str, scales: &str, input: QParams, g: &ConvGeometry, image: &[usize]) -> String {
    let QParams { scale, zero_point } = input;
    format!("ops.onednn.qconv_prepack({integers}, {scales}, {scale:?}, {zero_point}{}, {})", geometry(g), list(image))
}

/// A convolution of bytes with its activation in one call of oneDNN, which gives float, or bytes of these
/// parameters; `weights` are packed integers, scales, zero points and bias.
pub(super) fn fused_int8(
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

/// An INT8 convolution or linear layer.
pub(super) fn int8_layer(op: &Op, x: &str, packed: &str, q: QParams) -> String {
    let function = match op {
        Op::Conv { relu: false, .. } => "conv2d",
        Op::Conv { relu: true, .. } => "conv2d_relu",
        Op::Linear { relu: false, .. } => "linear",
        _ => "linear_relu",
    };
    format!("ops.quantized.{function}({x}, {packed}, {:?}, {})", q.scale, q.zero_point)
}

/// An operator without weights on integer tensors. Operators that keep their input's parameters
/// read them from the tensor itself.
pub(super) fn int8_plain(op: &Op, shape: &Shape, inputs: &[String], q: QParams) -> String {
    let (scale, zero) = (q.scale, q.zero_point);
    let binary = |function: &str| format!("ops.quantized.{function}({}, {scale:?}, {zero})", inputs.join(", "));
    match op {
        Op::Add { relu: false } => binary("add"),
        Op::Add { relu: true } => binary("add_relu"),
        Op::Mul { relu: false } => binary("mul"),
        Op::Mul { relu: true } => binary("mul_relu"),
        Op::HardSwish => binary("hardswish"),
        // The quantized mean refuses some layouts of images that have shrunk to a single pixel.
        Op::SpatialMean => format!("torch.flatten(torch.adaptive_avg_pool2d({}, [1, 1]), 1)", inputs.join(", ")),
        Op::Concat { axis } => format!("ops.quantized.cat([{}], {axis}, {scale:?}, {zero})", inputs.join(", ")),
        other => plain(other, shape, inputs),
    }
}

/// An operator without weights on float tensors, or one that works alike on integers.
pub(super) fn plain(op: &Op, shape: &Shape, inputs: &[String]) -> String {
    let x = inputs.first().map_or("", String::as_str);
    match op {
        Op::Add { relu } => rectified(*relu, format!("torch.add({})", inputs.join(", "))),
        Op::Mul { relu } => rectified(*relu, format!("torch.mul({})", inputs.join(", "))),
        Op::Relu => format!("torch.relu({x})"),
        Op::Clip { min, max } => {
            format!("torch.clamp({x}, {}, {})", bound(*min, f32::NEG_INFINITY), bound(*max, f32::INFINITY))
        }
        Op::HardSwish => format!("torch.hardswish({x})"),
        Op::HardSigmoid => format!("torch.hardsigmoid({x})"),
        Op::Sigmoid => format!("torch.sigmoid({x})"),
        Op::GlobalAvgPool => format!("torch.adaptive_avg_pool2d({x}, [1, 1])"),
        Op::SpatialMean => format!("torch.mean({x}, [2, 3])"),
        Op::AvgPool { geometry: g, count_include_pad } => format!(
            "torch.avg_pool2d({x}, {}, {}, {}, None)",
            pool_window(g),
            python(g.ceil_mode),
            python(*count_include_pad)
        ),
        Op::MaxPool(g) => {
            format!("torch.max_pool2d({x}, {}, {}, {})", pool_window(g), list(&g.dilation), python(g.ceil_mode))
        }
        Op::Flatten { axis } => format!("torch.flatten({x}, {axis})"),
        Op::Reshape(_) => format!("torch.reshape({x}, [{}])", sizes(shape)),
        Op::Transpose(order) => format!("torch.permute({x}, {})", list(order)),
        Op::Concat { axis } => format!("torch.cat([{}], {axis})", inputs.join(", ")),
        Op::Slice { axis, start, end, step } => format!("torch.slice({x}, {axis}, {start}, {end}, {step})"),
        Op::Pad { amounts, value } => format!("torch.constant_pad_nd({x}, {}, {})", list(amounts), number(*value)),
        Op::Softmax { axis } => format!("torch.softmax({x}, {axis})"),
        Op::LogSoftmax { axis } => format!("torch.log_softmax({x}, {axis})"),
        Op::Unary(function) => unary(*function, x),
        Op::Binary(function) => format!("torch.{}({})", function.torch_name(), inputs.join(", ")),
        Op::Reduce { how, axes, keep } => reduce(*how, axes, *keep, x),
        Op::MatMul => format!("torch.matmul({})", inputs.join(", ")),
        Op::Expand(_) => format!("torch.expand({x}, [{}])", sizes(shape)),
        Op::Identity | Op::Dropout => x.to_owned(),
        Op::Input | Op::Constant(_) | Op::Conv { .. } | Op::Linear { .. } | Op::BatchNorm(_) | Op::Standardize(_) => {
            unreachable!("{} is not an operator without weights", op.torch_name())
        }
    }
}

fn unary(function: Unary, x: &str) -> String {
    let wide = f64::from;
    match function {
        Unary::Elu { alpha, scale } => format!("torch.elu({x}, {:?}, {:?})", wide(alpha), wide(scale)),
        Unary::Celu { alpha } => format!("torch.celu({x}, {:?})", wide(alpha)),
        Unary::LeakyRelu { slope } => format!("torch.leaky_relu({x}, {:?})", wide(slope)),
        Unary::Threshold { limit } => format!("torch.threshold({x}, {:?}, 0.)", wide(limit)),
        // In archives of this version `gelu` has no other form.
        Unary::Gelu { tanh: false } => format!("torch.gelu({x})"),
        Unary::Gelu { tanh: true } => {
            let inner = format!("torch.add({x}, torch.mul(torch.pow({x}, 3), 0.044715))");
            let bent = format!("torch.add(torch.tanh(torch.mul({inner}, {:?})), 1.)", (2.0 / PI).sqrt());
            format!("torch.mul(torch.mul({x}, 0.5), {bent})")
        }
        plain => format!("torch.{}({x})", plain.torch_name().to_ascii_lowercase()),
    }
}

/// PyTorch multiplies along one axis at a time.
fn reduce(how: Reduction, axes: &[usize], keep: bool, x: &str) -> String {
    let (name, keep) = (how.torch_name(), python(keep));
    if how == Reduction::Prod {
        return axes.iter().rev().fold(x.to_owned(), |x, axis| format!("torch.prod({x}, {axis}, {keep})"));
    }
    format!("torch.{name}({x}, {}, {keep})", list(axes))
}

/// The mean over a whole image of this size, pixel after pixel: a window as large as the image is the faster form.
pub(super) fn whole_mean(x: &str, [height, width]: [usize; 2]) -> String {
    format!("torch.avg_pool2d({x}, [{height}, {width}], [1, 1], [0, 0], False, True, None)")
}

/// A normalization over an input of this shape, given its weight and bias.
pub(super) fn standardize(own: &Standardize, shape: &Shape, x: &str, weight: &str, bias: &str) -> String {
    let epsilon = f64::from(own.epsilon);
    let from = |axis: usize| list(&shape[axis..].iter().filter_map(Dim::known).collect::<Vec<_>>());
    match own.together {
        Together::Layer { axis } => format!("torch.layer_norm({x}, {}, {weight}, {bias}, {epsilon:?})", from(axis)),
        Together::Rms { axis } => format!("torch.rms_norm({x}, {}, {weight}, {epsilon:?})", from(axis)),
        Together::Groups(groups) => format!("torch.group_norm({x}, {groups}, {weight}, {bias}, {epsilon:?})"),
    }
}

/// Every size but the batch, which is whatever is left.
fn sizes(shape: &Shape) -> String {
    let size = |dim: &Dim| dim.known().map_or_else(|| "-1".to_owned(), |size| size.to_string());
    shape.iter().map(size).collect::<Vec<_>>().join(", ")
}

/// A bound that changes nothing is left out.
fn bound(value: f32, unbounded: f32) -> String {
    if value == unbounded { "None".into() } else { number(value) }
}

/// A number as TorchScript's source has it, which knows `inf`.
fn number(value: f32) -> String {
    format!("{:?}", f64::from(value))
}
