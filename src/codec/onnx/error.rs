//! Why an ONNX file could not be read.

use crate::base::explain::{Cause, Explain};
use crate::graph::shape::ShapeError;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("it is {bytes} bytes, more than an ONNX file can be")]
    TooLarge { bytes: usize },
    #[error("it is not a readable ONNX file: {reason}")]
    NotOnnx { reason: String },
    #[error("it names {count} versions of ONNX's operators, and must name one")]
    Opsets { count: usize },
    #[error("it has {count} nodes, and at most {} are read", super::MAX_NODES)]
    Nodes { count: usize },
    #[error("opset {opset} is outside {}..={}", super::OPSETS.start(), super::OPSETS.end())]
    Opset { opset: i64 },
    #[error("it has functions of its own, which are not read")]
    Functions,
    #[error("it is given {} inputs ({}), and must be given one batch of images", names.len(), list(names))]
    Inputs { names: Vec<String> },
    #[error("it gives {} outputs ({}), and one must be chosen", names.len(), list(names))]
    Outputs { names: Vec<String> },
    #[error("it has no tensor `{name}`; its outputs are {}", list(names))]
    NoOutput { name: String, names: Vec<String> },
    #[error("output `{name}` does not depend on the input")]
    Fixed { name: String },
    #[error("input `{name}` is {found}, not a batch of images with known channels, height and width")]
    Input { name: String, found: String, trouble: InputTrouble },
    #[error("node `{node}` uses operator `{operator}` (opset {opset}), which requant does not support")]
    Unsupported { node: String, operator: String, opset: i64 },
    #[error("node `{node}` ({operator}, opset {opset}): {reason}")]
    Form { node: String, operator: String, opset: i64, reason: String, next: Option<&'static str> },
    #[error("node `{node}` reads `{value}`, which nothing produces")]
    Dangling { node: String, value: String },
    #[error("`{value}` is given a value twice")]
    Twice { value: String },
    #[error("tensor `{name}`: {reason}")]
    Tensor { name: String, reason: String },
    #[error("tensor `{name}` holds {kind} numbers, which are not read")]
    ElementType { name: String, kind: String },
    #[error("tensor `{name}` is stored in another file")]
    External { name: String },
    #[error("tensor `{name}` is stored in `{location}`, which is not a file of the model's folder")]
    Outside { name: String, location: String },
    #[error("tensor `{name}` is stored in `{location}`: {reason}")]
    Beside { name: String, location: String, reason: String },
    #[error("node `{node}`: {source}")]
    Shape { node: String, source: ShapeError },
}

/// How a manifest names the tensor with the scores.
pub const NAME_OUTPUT: &str = "with `output = \"…\"` in `[model]`";

/// What is wrong with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputTrouble {
    Type,
    Rank,
    Unknown,
}

/// The first five names.
fn list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|name| format!("`{name}`")).collect();
    let rest = names.len() - shown.len();
    if rest == 0 { shown.join(", ") } else { format!("{}, and {rest} more", shown.join(", ")) }
}

impl Explain for ImportError {
    fn class(&self) -> Cause {
        Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::TooLarge { .. } => "requant reads models below 2 GiB; keep the weights in a file beside it".into(),
            Self::NotOnnx { .. } => {
                "the file may be cut short: export or copy it again and compare its SHA-256".into()
            }
            Self::Opsets { .. } => "the file is not valid ONNX (`onnx.checker.check_model`): export it again".into(),
            Self::Nodes { .. } => "export it without loops that are written out, or with its constants folded".into(),
            Self::Opset { opset } if opset < super::OPSETS.start() => {
                "export the model again with `opset_version=17`, or convert it with `onnx.version_converter`".into()
            }
            Self::Opset { .. } => format!("export the model again with `opset_version={}`", super::OPSETS.end()),
            Self::Functions => "inline them with `onnx.inliner.inline_local_functions`".into(),
            Self::Inputs { .. } => "wrap the model so that `forward` takes one image batch alone".into(),
            Self::Outputs { .. } | Self::NoOutput { .. } => {
                format!("name the one that holds the classes' scores {NAME_OUTPUT}, or set `task = \"fidelity\"` to judge every output")
            }
            Self::Fixed { .. } => "check that the exported function uses its argument".into(),
            Self::Input { trouble, .. } => match trouble {
                InputTrouble::Type => {
                    "export it for float or uint8 images; `Cast` can be put in front with `onnx.compose`".into()
                }
                InputTrouble::Rank => "requant judges networks of images, [batch, channels, height, width]".into(),
                InputTrouble::Unknown => {
                    "fix the sizes, in the order that the file has them: `python -m onnxruntime.tools.make_dynamic_shape_fixed \
                     --input_name NAME --input_shape 1,3,224,224 MODEL FIXED`, or `1,224,224,3` where channels come last; the batch \
                     may stay open"
                        .into()
                }
            },
            Self::Unsupported { operator, .. } => unsupported(operator),
            Self::Form { next: Some(next), .. } => (*next).into(),
            Self::Form { .. } => {
                "change that operation in the model's code and export again; docs/operators.md lists the forms that are read"
                    .into()
            }
            Self::Shape { .. } => {
                "each image is computed by itself, in the forms that docs/operators.md lists: change the operation \
                 before exporting, or check the file with `onnx.checker.check_model`"
                    .into()
            }
            Self::Beside { .. } => "put the model's data file beside it, under the name that the model gives it".into(),
            Self::External { .. } => "put the model into a folder with the file that holds its weights".into(),
            Self::Outside { .. } => {
                "move the weights beside the model and save it again: `onnx.save(onnx.load(MODEL), NEW, save_as_external_data=True)`"
                    .into()
            }
            Self::ElementType { .. } => "export the weights as 32-bit or 16-bit floats".into(),
            Self::Dangling { .. } | Self::Tensor { .. } | Self::Twice { .. } => {
                "the file is not valid ONNX (`onnx.checker.check_model`): export it again".into()
            }
        })
    }
}

/// What helps with an operator that is not read.
fn unsupported(operator: &str) -> String {
    match operator {
        "ArgMax" | "TopK" => {
            return format!(
                "it gives classes without their scores: name the tensor before it {NAME_OUTPUT}, or export the model without it"
            );
        }
        _ if operator.starts_with("com.microsoft.") => {
            "it is ONNX Runtime's own: name the file as it was before ONNX Runtime optimized it"
        }
        "If" | "Loop" | "Scan" => {
            "control flow is not read: export with fixed sizes, so that it can be decided while exporting"
        }
        _ => "use another operation in the model's code and export again; docs/operators.md lists the operators that are read",
    }
    .into()
}
