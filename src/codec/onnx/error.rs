//! Why an ONNX file could not be read.

use crate::base::explain::{Cause, Explain};
use crate::graph::shape::ShapeError;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("it is {bytes} bytes, more than an ONNX file can be")]
    TooLarge { bytes: usize },
    #[error("it is not a readable ONNX file: {reason}")]
    NotOnnx { reason: String },
    #[error("opset {opset} is outside {}..={}", super::OPSETS.start(), super::OPSETS.end())]
    Opset { opset: i64 },
    #[error("the graph needs exactly one {what}, it has {found}")]
    Interface { what: &'static str, found: usize },
    #[error("input `{name}` must be a float image [batch, channels, height, width] with known sizes")]
    Input { name: String },
    #[error("node `{node}` uses operator `{operator}` (opset {opset}), which requant does not support")]
    Unsupported { node: String, operator: String, opset: i64 },
    #[error("node `{node}` ({operator}, opset {opset}): {reason}")]
    Form { node: String, operator: String, opset: i64, reason: String },
    #[error("node `{node}` reads `{value}`, which nothing produces")]
    Dangling { node: String, value: String },
    #[error("tensor `{name}`: {reason}")]
    Tensor { name: String, reason: String },
    #[error("tensor `{name}` is stored in another file")]
    External { name: String },
    #[error("node `{node}`: {source}")]
    Shape { node: String, source: ShapeError },
}

impl Explain for ImportError {
    fn class(&self) -> Cause {
        Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::TooLarge { .. } => "requant reads single-file models below 2 GiB".into(),
            Self::NotOnnx { .. } => {
                "the file may be cut short: export or copy it again and compare its SHA-256".into()
            }
            Self::Opset { .. } => "export the model again with `opset_version=17`".into(),
            Self::Interface { .. } => "wrap the model so that `forward` takes one image batch and returns one tensor".into(),
            Self::External { .. } => {
                "export as one file with `torch.onnx.export(…, external_data=False)`, so that one digest pins all of it"
                    .into()
            }
            Self::Input { .. } => "export with an example input of fixed height and width; only the batch may be dynamic".into(),
            Self::Unsupported { .. } | Self::Form { .. } => {
                "replace the operation before exporting, or run `onnxsim` to simplify the file; docs/operators.md lists the operators read".into()
            }
            Self::Shape { .. } => {
                "each image is computed by itself, in the forms that docs/operators.md lists: change the operation \
                 before exporting, or check the file with `onnx.checker.check_model`"
                    .into()
            }
            Self::Dangling { .. } | Self::Tensor { .. } => {
                "check the file with `onnx.checker.check_model`, then export it again".into()
            }
        })
    }
}
