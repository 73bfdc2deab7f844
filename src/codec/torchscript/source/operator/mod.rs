//! Operators as TorchScript expressions, one file for each family of the graph's; `onednn` has the calls that compute a
//! convolution and its activation at once.
//!
//! `float` writes an operator on float tensors, `int8` on integer tensors; their inputs are expressions.

pub(super) mod binary;
pub(super) mod layer;
pub(super) mod layout;
pub(super) mod normalize;
pub(super) mod onednn;
pub(super) mod pool;
pub(super) mod unary;

/// `torch.float32` as TorchScript's number for it.
pub(super) const FLOAT32: u32 = 6;

fn list(values: &[usize]) -> String {
    format!("{values:?}")
}

const fn python(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

/// A number as TorchScript's source has it, which knows `inf`.
fn number(value: f32) -> String {
    format!("{:?}", f64::from(value))
}

fn rectified(relu: bool, call: String) -> String {
    if relu { format!("torch.relu({call})") } else { call }
}

/// The same values, pixel after pixel.
pub(super) fn channels_last(x: &str) -> String {
    format!("torch.contiguous({x}, memory_format=2)")
}

/// The plan puts no operator among integers that has no INT8 form.
fn no_int8_form(name: &str) -> ! {
    unreachable!("`{name}` has no INT8 form")
}
