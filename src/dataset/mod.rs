//! Samples: where they come from, which are chosen, and how their pixels arrive in batches.

mod digits;
mod error;
mod folder;
mod preprocess;
mod stream;
mod subset;
mod tar_index;

pub use error::DatasetError;
pub use preprocess::{ImageArithmetic, PreprocessError};
pub use stream::batches;
pub use subset::{Chosen, choose};

use std::path::Path;

use crate::base::digest::Digest;
use crate::manifest::{Dataset, DatasetFormat};

/// Decoded pixels, channel by channel, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// `channels · height · width` values.
    pub pixels: Vec<u8>,
    /// The value that stands for full intensity.
    pub full: u8,
}

/// A sample before anything about its content is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path inside the dataset, or row number.
    pub id: String,
    /// Index into [`Source::classes`].
    pub class: usize,
    /// Where the source finds its bytes.
    pub(crate) place: usize,
}

/// A collection of labelled images, read sample by sample.
pub trait Source: Send + Sync {
    /// SHA-256 of the whole dataset: of the file, or of the listing of a folder.
    fn digest(&self) -> Digest;

    /// Class names in label order.
    fn classes(&self) -> &[String];

    /// The samples of a split, in the dataset's own order.
    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError>;

    /// The stored bytes of a sample.
    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError>;

    /// The image in those bytes.
    fn decode(&self, entry: &Entry, bytes: &[u8]) -> Result<Image, DatasetError>;
}

/// Opens the dataset that a manifest names; `path` is where its file or folder lies.
pub fn open(settings: &Dataset, path: Option<&Path>) -> Result<Box<dyn Source>, DatasetError> {
    match (settings.format, path) {
        (DatasetFormat::Digits, path) => Ok(Box::new(digits::Digits::open(path, &settings.splits)?)),
        (DatasetFormat::ImageFolder, Some(path)) => Ok(Box::new(folder::ImageFolder::open(path)?)),
        (DatasetFormat::ImageFolder, None) => Err(DatasetError::NoPath),
    }
}
