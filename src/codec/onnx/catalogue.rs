//! What is said of an operator that is read. Each stands with the code that reads it.

/// An operator of the domain `ai.onnx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    pub name: &'static str,
    /// The opset it came with, or the oldest that is read.
    pub since: i64,
    pub takes: Takes,
}

/// What becomes of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// It has an INT8 form, or a part of it has: it computes in integers, or moves them.
    Integers,
    /// It stays in float in a quantized network.
    Reals,
    /// It is computed while the file is read.
    Constants,
}
