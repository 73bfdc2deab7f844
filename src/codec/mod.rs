//! File formats: each format's reader and writer in one place, the graph between them.

pub mod onnx;
pub mod torchscript;
