//! What can be wrong with a dataset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::explain::{Cause, Explain};
use crate::base::files::FileError;
use crate::base::interrupt::Interrupted;
use crate::base::units::counted;
use crate::container::ContainerError;

#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("the dataset has no path")]
    NoPath,
    #[error("`{}` holds none of the files {}", path.display(), listed(wanted))]
    NoFiles { path: PathBuf, wanted: Vec<String> },
    #[error("`{file}` in `{}`: {reason}", path.display())]
    Form { path: PathBuf, file: String, reason: String },
    #[error("`{}` has no split `{split}`; it has {}", path.display(), listed(known))]
    NoSplit { path: PathBuf, split: String, known: Vec<String> },
    #[error("split `{split}` of `{}` lacks the class {} that other splits have", path.display(), listed(missing))]
    MissingClass { path: PathBuf, split: String, missing: Vec<String> },
    #[error("`{}` has the class folder `{class}`, which `dataset.{key}` does not list", path.display())]
    UnlistedClass { path: PathBuf, class: String, key: &'static str },
    #[error("split `{split}`: `{range}` is not a row range within 0..{rows}")]
    Rows { split: String, range: String, rows: usize },
    #[error("row {row} of `{}`: {reason}", path.display())]
    Row { path: PathBuf, row: usize, reason: String },
    #[error("image `{id}` cannot be decoded: {reason}")]
    Image { id: String, reason: String },
    #[error("sample `{id}` was there when it was chosen, and cannot be read now: {reason}")]
    Gone { id: String, reason: String },
    #[error("sample `{id}` has changed since it was chosen: its SHA-256 was {chosen} and is {found}")]
    Changed { id: String, chosen: Digest, found: Digest },
    #[error("{} cannot be decoded: {}", counted(broken.len(), "image"), reasons(broken))]
    Images { broken: Vec<(String, String)> },
    #[error("`{}` is no list of classes: {reason}", path.display())]
    ClassesFile { path: PathBuf, reason: String },
    #[error("`{}` has {} in its class folders, and none that can be read", path.display(), self::endings(endings))]
    OtherEndings { path: PathBuf, endings: BTreeMap<String, usize> },
    #[error("`{}` holds `{file}`, deeper than `<split>/<class>/<image>`", path.display())]
    TooDeep { path: PathBuf, file: String },
    #[error("`{}` holds images both as `<class>/<image>` and below, such as `{shallow}` and `{deep}`", path.display())]
    TwoDepths { path: PathBuf, shallow: String, deep: String },
    #[error("`{}` holds no `<split>/<class>/<image>`", path.display())]
    NoImages { path: PathBuf },
    #[error("`{}` holds no images", path.display())]
    NoImagesAtAll { path: PathBuf },
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

/// Names that a message shows at most.
const SHOWN: usize = 5;

fn more(all: usize) -> String {
    if all > SHOWN { format!(" and {} more", all - SHOWN) } else { String::new() }
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".into() } else { shown.join(", ") + &more(names.len()) }
}

fn reasons(broken: &[(String, String)]) -> String {
    let shown: Vec<String> = broken.iter().take(SHOWN).map(|(id, reason)| format!("`{id}` ({reason})")).collect();
    shown.join(", ") + &more(broken.len())
}

/// `12 .gif and 3 .txt files`
#[must_use]
pub fn endings(counts: &BTreeMap<String, usize>) -> String {
    let mut sorted: Vec<(&String, &usize)> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let each: Vec<String> = sorted.iter().take(SHOWN).map(|(ending, count)| format!("{count} {ending}")).collect();
    let files = if counts.values().sum::<usize>() == 1 { "file" } else { "files" };
    format!("{}{} {files}", each.join(", "), more(counts.len()))
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
            Self::Container(error) => error.class(),
            Self::Changed { .. } | Self::Gone { .. } => Cause::Integrity,
            _ => Cause::Input,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.next_step(),
            Self::Interrupted(error) => return error.next_step(),
            Self::Container(error) => return error.next_step(),
            Self::NoPath => "set `dataset.path`".into(),
            Self::NoFiles { .. } | Self::Form { .. } => "correct `dataset.format`, or copy the data again".into(),
            Self::NoSplit { .. } => "correct `splits` in the manifest, or `dataset.path`".into(),
            Self::MissingClass { .. } => {
                "list every class in `dataset.classes`, in the order of the model's outputs: a split may then lack samples of \
                 some; without the list labels would shift"
                    .into()
            }
            Self::UnlistedClass { key: "class_index", .. } => {
                "give it the number of its output in `dataset.class_index`, or remove the folder".into()
            }
            Self::UnlistedClass { key, .. } => {
                format!("add it to `dataset.{key}` where the model's output has it, or remove the folder")
            }
            Self::Rows { .. } => "write ranges as `first..end`, such as `train = \"0..1000\"`".into(),
            Self::Row { .. } => {
                "each row is a label and its pixels; correct it, or `dataset.shape` and `full_scale`".into()
            }
            Self::ClassesFile { .. } => {
                "write one class name per line, or a JSON array of them, in the order of the model's outputs".into()
            }
            Self::OtherEndings { .. } => {
                "convert them, for example to PNG; read are PNG, JPEG, BMP, WebP, TIFF and PPM/PGM".into()
            }
            Self::Images { .. } => "replace these files, or remove them from every split".into(),
            Self::Image { .. } => "replace the file, or remove it from every split".into(),
            Self::Changed { .. } | Self::Gone { .. } => {
                "nothing of this run is kept; find out what writes to the data, restore it and run again".into()
            }
            Self::TooDeep { .. } => "move it up into its class folder, or remove it".into(),
            Self::TwoDepths { .. } => {
                "lay all images out as `<split>/<class>/<image>`, or all as `<class>/<image>`".into()
            }
            Self::NoImages { .. } => "lay the images out as `<split>/<class>/<image>`".into(),
            Self::NoImagesAtAll { .. } => "correct `dataset.path`; read are PNG, JPEG, BMP, WebP, TIFF and PPM/PGM".into(),
            Self::TooFew { .. } => "lower `samples`, or add a split".into(),
            Self::EmptyList { .. } => "write one sample id per line".into(),
            Self::Unlisted { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Unlisted { .. } => "use ids as the `subsets/*.txt` of a run has them".into(),
            Self::ListedTwice { .. } => "list each sample once".into(),
            Self::ListLength { .. } => "remove `samples`, or correct the list".into(),
        })
    }
}
