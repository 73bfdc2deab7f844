//! What can be wrong with a dataset.

use std::path::PathBuf;

use crate::base::explain::{Cause, Explain};
use crate::base::files::FileError;

#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the dataset has no path")]
    NoPath,
    #[error("`{}` is not a readable tar archive: {reason}", path.display())]
    Archive { path: PathBuf, reason: String },
    #[error("`{}` holds `{entry}`, {reason}", path.display())]
    HostileEntry { path: PathBuf, entry: String, reason: &'static str },
    #[error("`{}` has no split `{split}`; it has {}", path.display(), listed(known))]
    NoSplit { path: PathBuf, split: String, known: Vec<String> },
    #[error("split `{split}` of `{}` lacks the class {} that other splits have", path.display(), listed(missing))]
    MissingClass { path: PathBuf, split: String, missing: Vec<String> },
    #[error("split `{split}`: `{range}` is not a row range within 0..{rows}")]
    Rows { split: String, range: String, rows: usize },
    #[error("digits row {row}: {reason}")]
    Digits { row: usize, reason: String },
    #[error("image `{id}` cannot be decoded: {reason}")]
    Image { id: String, reason: String },
    #[error("`{}` holds `{file}`, deeper than `<split>/<class>/<image>`", path.display())]
    TooDeep { path: PathBuf, file: String },
    #[error("`{}` holds no `<split>/<class>/<image>`", path.display())]
    NoImages { path: PathBuf },
    #[error("{wanted} samples are wanted of {splits}, which hold {available}")]
    TooFew { splits: String, wanted: usize, available: usize },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ") }
}

impl Explain for DatasetError {
    fn class(&self) -> Cause {
        Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.next_step(),
            Self::NoPath => "set `dataset.path`".into(),
            Self::Archive { .. } => "the file may be cut short: copy it again and compare its SHA-256".into(),
            Self::HostileEntry { .. } => "make the archive again from plain files and folders".into(),
            Self::NoSplit { .. } => "correct `splits` in the manifest, or `dataset.path`".into(),
            Self::MissingClass { .. } => {
                "restore the class folder; labels would shift without it, and every accuracy with them".into()
            }
            Self::Rows { .. } => "write ranges as `first..end`, such as `train = \"0..1000\"`".into(),
            Self::Digits { .. } => "use the form `label,p00,…,p77` with labels 0..9 and pixels 0..16".into(),
            Self::Image { .. } => "replace the file, or remove it from every split".into(),
            Self::TooDeep { .. } => "move it up into its class folder, or remove it".into(),
            Self::NoImages { .. } => "lay the images out as `<split>/<class>/<image>`".into(),
            Self::TooFew { .. } => "lower `samples`, or add a split".into(),
        })
    }
}
