//! Functions of each value of one tensor.

use std::f64::consts::PI;

use super::{no_int8_form, number};
use crate::graph::op::Unary;
use crate::graph::quantization::QParams;

pub(in super::super) fn float(function: Unary, x: &str) -> String {
    let of = |name: &str| format!("torch.{name}({x})");
    let wide = f64::from;
    match function {
        Unary::Relu => of("relu"),
        Unary::Clip { min, max } => {
            format!("torch.clamp({x}, {}, {})", bound(min, f32::NEG_INFINITY), bound(max, f32::INFINITY))
        }
        Unary::HardSwish => of("hardswish"),
        Unary::HardSigmoid => of("hardsigmoid"),
        Unary::Sigmoid => of("sigmoid"),
        Unary::Abs => of("abs"),
        Unary::Acos => of("acos"),
        Unary::Acosh => of("acosh"),
        Unary::Asin => of("asin"),
        Unary::Asinh => of("asinh"),
        Unary::Atan => of("atan"),
        Unary::Atanh => of("atanh"),
        Unary::Ceil => of("ceil"),
        Unary::Cos => of("cos"),
        Unary::Cosh => of("cosh"),
        Unary::Erf => of("erf"),
        Unary::Exp => of("exp"),
        Unary::Floor => of("floor"),
        Unary::Log => of("log"),
        Unary::Mish => of("mish"),
        Unary::Neg => of("neg"),
        Unary::Reciprocal => of("reciprocal"),
        Unary::Round => of("round"),
        Unary::Sign => of("sign"),
        Unary::Sin => of("sin"),
        Unary::Sinh => of("sinh"),
        Unary::Softplus => of("softplus"),
        Unary::Sqrt => of("sqrt"),
        Unary::Square => of("square"),
        Unary::Tan => of("tan"),
        Unary::Tanh => of("tanh"),
        Unary::Elu { alpha, scale } => format!("torch.elu({x}, {:?}, {:?})", wide(alpha), wide(scale)),
        Unary::Celu { alpha } => format!("torch.celu({x}, {:?})", wide(alpha)),
        Unary::LeakyRelu { slope } => format!("torch.leaky_relu({x}, {:?})", wide(slope)),
        Unary::Threshold { limit } => format!("torch.threshold({x}, {:?}, 0.)", wide(limit)),
        // In archives of this version `gelu` has no other form.
        Unary::Gelu { tanh: false } => of("gelu"),
        Unary::Gelu { tanh: true } => {
            let inner = format!("torch.add({x}, torch.mul(torch.pow({x}, 3), 0.044715))");
            let bent = format!("torch.add(torch.tanh(torch.mul({inner}, {:?})), 1.)", (2.0 / PI).sqrt());
            format!("torch.mul(torch.mul({x}, 0.5), {bent})")
        }
    }
}

/// Hard-swish alone is given scale and zero point of its output. The others take them from their input or have fixed ones.
pub(in super::super) fn int8(function: Unary, x: &str, q: QParams) -> String {
    match function {
        Unary::HardSwish => format!("ops.quantized.hardswish({x}, {:?}, {})", q.scale, q.zero_point),
        Unary::Relu | Unary::Clip { .. } | Unary::HardSigmoid | Unary::Sigmoid => float(function, x),
        Unary::Abs
        | Unary::Acos
        | Unary::Acosh
        | Unary::Asin
        | Unary::Asinh
        | Unary::Atan
        | Unary::Atanh
        | Unary::Ceil
        | Unary::Cos
        | Unary::Cosh
        | Unary::Erf
        | Unary::Exp
        | Unary::Floor
        | Unary::Log
        | Unary::Mish
        | Unary::Neg
        | Unary::Reciprocal
        | Unary::Round
        | Unary::Sign
        | Unary::Sin
        | Unary::Sinh
        | Unary::Softplus
        | Unary::Sqrt
        | Unary::Square
        | Unary::Tan
        | Unary::Tanh
        | Unary::Elu { .. }
        | Unary::Celu { .. }
        | Unary::LeakyRelu { .. }
        | Unary::Threshold { .. }
        | Unary::Gelu { .. } => no_int8_form(function.torch_name()),
    }
}

/// A bound that changes nothing is left out.
fn bound(value: f32, unbounded: f32) -> String {
    if value == unbounded { "None".into() } else { number(value) }
}
