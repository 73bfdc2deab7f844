//! File formats: each format's reader and writer in one place, the graph between them.

mod form;
pub mod onnx;
pub mod torchscript;

pub use form::{Form, Inputs};
