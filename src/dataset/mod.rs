//! Samples: where they come from, which are chosen, and how their pixels arrive in batches.

mod cifar;
mod container;
mod csv_rows;
mod error;
pub mod guess;
mod idx;
mod image_folder;
mod picture;
mod preprocess;
mod stream;
mod subset;

pub use error::DatasetError;
pub use preprocess::{ImageArithmetic, PreprocessError, crop_start, output_size, resized};
pub use stream::{Piece, decoded, held, pieces};
pub use subset::{Chosen, List, Pool, choose};

use std::path::Path;

use crate::base::digest::Digest;
use crate::base::progress::Meter;
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
    fn digest(&self, meter: &dyn Meter) -> Result<Digest, DatasetError>;

    /// Class names in label order.
    fn classes(&self) -> &[String];

    /// The names of the splits, sorted.
    fn splits(&self) -> Vec<String>;

    /// The samples of a split, in the dataset's own order.
    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError>;

    /// The stored bytes of a sample.
    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError>;

    /// `[channels, height, width]` of the image in those bytes; of a compressed one, what its
    /// beginning says.
    fn shape(&self, entry: &Entry, bytes: &[u8]) -> Result<[usize; 3], DatasetError>;

    /// The image in those bytes.
    fn decode(&self, entry: &Entry, bytes: &[u8]) -> Result<Image, DatasetError>;
}

/// Opens the dataset that a manifest names; `path` is where its file or folder lies.
pub fn open(settings: &Dataset, path: Option<&Path>) -> Result<Box<dyn Source>, DatasetError> {
    let needed = || path.ok_or(DatasetError::NoPath);
    Ok(match settings.format {
        DatasetFormat::Digits | DatasetFormat::Csv => Box::new(csv_rows::CsvRows::open(settings, path)?),
        DatasetFormat::ImageFolder => Box::new(image_folder::ImageFolder::open(needed()?, &settings.classes)?),
        DatasetFormat::Cifar10 => Box::new(cifar::Cifar::open(needed()?, &cifar::TEN, &settings.classes)?),
        DatasetFormat::Cifar100 => Box::new(cifar::Cifar::open(needed()?, &cifar::HUNDRED, &settings.classes)?),
        DatasetFormat::Idx => Box::new(idx::Idx::open(needed()?, &settings.classes)?),
    })
}
