//! What can be wrong with a dataset.

use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::explain::{Cause, Explain};
use crate::base::files::FileError;
use crate::base::interrupt::Interrupted;

#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("the dataset has no path")]
    NoPath,
    #[error("`{}` is not a readable archive: {reason}", path.display())]
    Archive { path: PathBuf, reason: String },
    #[error("`{}` holds `{entry}`, {reason}", path.display())]
    HostileEntry { path: PathBuf, entry: String, reason: &'static str },
    #[error("`{entry}` in `{}` cannot be read: {reason}", path.display())]
    BrokenEntry { path: PathBuf, entry: String, reason: String },
    #[error("`{}` holds none of the files {}", path.display(), listed(wanted))]
    NoFiles { path: PathBuf, wanted: Vec<String> },
    #[error("`{file}` in `{}`: {reason}", path.display())]
    Form { path: PathBuf, file: String, reason: String },
    #[error("`{}` has no split `{split}`; it has {}", path.display(), listed(known))]
    NoSplit { path: PathBuf, split: String, known: Vec<String> },
    #[error("split `{split}` of `{}` lacks the class {} that other splits have", path.display(), listed(missing))]
    MissingClass { path: PathBuf, split: String, missing: Vec<String> },
    #[error("`{}` has the class folder `{class}`, which `dataset.classes` does not list", path.display())]
    UnlistedClass { path: PathBuf, class: String },
    #[error("split `{split}`: `{range}` is not a row range within 0..{rows}")]
    Rows { split: String, range: String, rows: usize },
    #[error("row {row} of `{}`: {reason}", path.display())]
    Row { path: PathBuf, row: usize, reason: String },
    #[error("image `{id}` cannot be decoded: {reason}")]
    Image { id: String, reason: String },
    #[error("sample `{id}` has changed since it was chosen: its SHA-256 was {chosen} and is {found}")]
    Changed { id: String, chosen: Digest, found: Digest },
    #[error("`{}` holds `{file}`, deeper than `<split>/<class>/<image>`", path.display())]
    TooDeep { path: PathBuf, file: String },
    #[error("`{}` holds images both as `<class>/<image>` and below, such as `{shallow}` and `{deep}`", path.display())]
    TwoDepths { path: PathBuf, shallow: String, deep: String },
    #[error("`{}` holds `{first}` and `{second}`, and either could be meant", path.display())]
    Twice { path: PathBuf, first: String, second: String },
    #[error("`{}` holds no `<split>/<class>/<image>`", path.display())]
    NoImages { path: PathBuf },
    #[error("{wanted} samples are wanted of {splits}, which hold {available}")]
    TooFew { splits: String, wanted: usize, available: usize },
    #[error("`{}` lists no samples", path.display())]
    EmptyList { path: PathBuf },
    #[error("line {line} of `{}`: no sample `{id}` in {splits}", path.display())]
    Unlisted { path: PathBuf, line: usize, id: String, splits: String, nearest: Option<String> },
    #[error("line {line} of `{}`: `{id}` is listed twice", path.display())]
    ListedTwice { path: PathBuf, line: usize, id: String },
    #[error("`{}` lists {listed} samples, and `samples` is {wanted}", path.display())]
    ListLength { path: PathBuf, listed: usize, wanted: usize },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ") }
}

impl DatasetError {
    pub(super) fn no_split(path: &Path, split: &str, known: Vec<String>) -> Self {
        Self::NoSplit { path: path.to_owned(), split: split.to_owned(), known }
    }

    /// The last part of the manifest key that the problem is about, if it is not the data itself.
    #[must_use]
    pub const fn key(&self) -> Option<&'static str> {
        match self {
            Self::NoSplit { .. } => Some("splits"),
            Self::TooFew { .. } | Self::ListLength { .. } => Some("samples"),
            Self::EmptyList { .. } | Self::Unlisted { .. } | Self::ListedTwice { .. } => Some("list"),
            _ => None,
        }
    }
}

impl Explain for DatasetError {
    fn class(&self) -> Cause {
        match self {
            Self::Interrupted(error) => error.class(),
            Self::Changed { .. } => Cause::Integrity,
            _ => Cause::Input,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.next_step(),
            Self::Interrupted(error) => return error.next_step(),
            Self::NoPath => "set `dataset.path`".into(),
            Self::Archive { .. } => "the file may be cut short: copy it again and compare its SHA-256".into(),
            Self::HostileEntry { .. } => {
                "rename or remove it; make an archive again from plain files and folders".into()
            }
            Self::BrokenEntry { .. } => "copy the archive again and compare its SHA-256".into(),
            Self::NoFiles { .. } | Self::Form { .. } => "correct `dataset.format`, or copy the data again".into(),
            Self::NoSplit { .. } => "correct `splits` in the manifest, or `dataset.path`".into(),
            Self::MissingClass { .. } => {
                "restore the class folder; labels would shift without it, and every accuracy with them".into()
            }
            Self::UnlistedClass { .. } => "add it to `dataset.classes` where the model's output has it".into(),
            Self::Rows { .. } => "write ranges as `first..end`, such as `train = \"0..1000\"`".into(),
            Self::Row { .. } => {
                "each row is a label and its pixels; correct it, or `dataset.shape` and `full_scale`".into()
            }
            Self::Image { .. } => "replace the file, or remove it from every split".into(),
            Self::Changed { .. } => {
                "nothing of this run is kept; find out what writes to the data, restore it and run again".into()
            }
            Self::TooDeep { .. } => "move it up into its class folder, or remove it".into(),
            Self::TwoDepths { .. } => {
                "lay all images out as `<split>/<class>/<image>`, or all as `<class>/<image>`".into()
            }
            Self::Twice { .. } => "name the folder of one of them as the path, or remove the other".into(),
            Self::NoImages { .. } => "lay the images out as `<split>/<class>/<image>`".into(),
            Self::TooFew { .. } => "lower `samples`, or add a split".into(),
            Self::EmptyList { .. } => "write one sample id per line".into(),
            Self::Unlisted { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Unlisted { .. } => "use ids as the `subsets/*.txt` of a run has them".into(),
            Self::ListedTwice { .. } => "list each sample once".into(),
            Self::ListLength { .. } => "remove `samples`, or correct the list".into(),
        })
    }
}
