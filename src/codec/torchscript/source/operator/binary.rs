//! Functions of two tensors.

use super::{no_int8_form, rectified};
use crate::graph::op::Binary;
use crate::graph::quantization::QParams;

pub(in super::super) fn float(function: Binary, inputs: &[String]) -> String {
    let of = |name: &str| format!("torch.{name}({})", inputs.join(", "));
    match function {
        Binary::Add { relu } => rectified(relu, of("add")),
        Binary::Mul { relu } => rectified(relu, of("mul")),
        Binary::Sub => of("sub"),
        Binary::Div => of("div"),
        Binary::Pow => of("pow"),
        Binary::Maximum => of("maximum"),
        Binary::Minimum => of("minimum"),
        Binary::MatMul => of("matmul"),
    }
}

pub(in super::super) fn int8(function: Binary, inputs: &[String], q: QParams) -> String {
    let name = match function {
        Binary::Add { relu: false } => "add",
        Binary::Add { relu: true } => "add_relu",
        Binary::Mul { relu: false } => "mul",
        Binary::Mul { relu: true } => "mul_relu",
        Binary::Sub | Binary::Div | Binary::Pow | Binary::Maximum | Binary::Minimum | Binary::MatMul => {
            no_int8_form(function.torch_name())
        }
    };
    format!("ops.quantized.{name}({}, {:?}, {})", inputs.join(", "), q.scale, q.zero_point)
}
