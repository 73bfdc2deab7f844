//! What can be wrong with a manifest.

use std::path::PathBuf;

use crate::base::explain::{Cause, Explain};
use crate::base::files::FileError;

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error(transparent)]
    File(#[from] FileError),
    /// Not TOML, or not of the form a manifest has.
    #[error("`{}`: {problem}", path.display())]
    Form { path: PathBuf, problem: String, suggestion: Option<String> },
    /// Well formed, but the values cannot be meant together.
    #[error("`{}`: `{key}` {problem}", path.display())]
    Value { path: PathBuf, key: String, problem: String, suggestion: Option<String> },
}

impl Explain for ManifestError {
    fn class(&self) -> Cause {
        Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::File(error) => error.next_step(),
            Self::Form { suggestion, .. } | Self::Value { suggestion, .. } => suggestion.clone(),
        }
    }
}

/// The closest of several known words, where one is close enough to be meant.
#[must_use]
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}
