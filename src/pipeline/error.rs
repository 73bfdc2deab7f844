//! What can stop a run that no single room knows about.

use std::path::PathBuf;

use crate::base::digest::Digest;
use crate::base::explain::{Cause, Explain};

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A pinned digest does not match.
    #[error("`{key}` is pinned to {expected}, but {what} has {found}")]
    Pin { key: &'static str, what: String, expected: Digest, found: Digest },
    #[error("unknown recipe `{found}`")]
    Recipe { found: String, known: Vec<&'static str>, nearest: Option<&'static str> },
    #[error("unknown observer `{found}` for layers `{pattern}`")]
    Observer { pattern: String, found: String },
    #[error("`quantize.layer` pattern `{pattern}` {problem}")]
    Pattern { pattern: String, problem: String },
    #[error("variant `{variant}` needs {backend}, which is missing: {why}")]
    Missing { variant: String, backend: String, why: String, remedy: String },
    #[error("the model takes {wanted} images, but the dataset gives {found}")]
    Input { wanted: String, found: String },
    #[error("the model gives {model} classes, but the dataset has {dataset}")]
    Classes { model: usize, dataset: usize },
    #[error("the model's output is not one score per class, [batch, classes]")]
    NotAClassifier,
    #[error("model `{}`: {source}", path.display())]
    Model { path: PathBuf, source: crate::codec::onnx::ImportError },
}

impl Explain for RunError {
    fn class(&self) -> Cause {
        match self {
            Self::Pin { .. } => Cause::Integrity,
            Self::Missing { .. } => Cause::EngineMissing,
            _ => Cause::Input,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Pin { key, found, .. } => {
                format!("restore the file, or accept the change with `{key} = \"{found}\"`")
            }
            Self::Recipe { nearest: Some(close), .. } => format!("did you mean `{close}`?"),
            Self::Recipe { known, .. } => format!("choose one of {}", known.join(", ")),
            Self::Observer { .. } => "choose `histogram`, `minmax` or `percentile`".into(),
            Self::Pattern { .. } => "see the layer names in `layers.csv` of an earlier run, or remove the entry".into(),
            Self::Missing { remedy, .. } => {
                format!("{remedy}; or set `required = false` to report it as a missing row")
            }
            Self::Input { .. } => {
                "set `dataset.preprocess.resize`, `mean` and `std` to what the model was trained with".into()
            }
            Self::Classes { .. } => "use the dataset the model was trained for; labels must match its outputs".into(),
            Self::NotAClassifier => {
                "only image classifiers can be evaluated; add the pooling and flattening before exporting".into()
            }
            Self::Model { source, .. } => return source.next_step(),
        })
    }
}
