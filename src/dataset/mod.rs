//! Samples: where they come from, which are chosen, and how their pictures arrive in batches.

mod album;
mod cifar;
mod csv_rows;
mod error;
pub mod guess;
mod idx;
mod image_folder;
mod images;
mod labels;
mod stream;
mod subset;

pub use album::{Album, Twins};
pub use error::{DatasetError, endings};
pub use labels::{Labels, are_shuffled_numbers, labels};
pub use stream::{Piece, decoded, held, most_bytes, pieces};
pub use subset::{Chosen, List, Pool, choose};

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::digest::Digest;
use crate::base::progress::Meter;
use crate::manifest::{Dataset, DatasetFormat};
use crate::picture::{Image, Look};

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

    /// A look at the image in those bytes; of a compressed one, what its beginning says.
    fn look(&self, entry: &Entry, bytes: &[u8]) -> Result<Look, DatasetError>;

    /// The image in those bytes.
    fn decode(&self, entry: &Entry, bytes: &[u8]) -> Result<Image, DatasetError>;

    /// Files among the samples that are none, as far as requant can read them: how many by ending.
    fn passed_over(&self) -> BTreeMap<String, usize> {
        BTreeMap::new()
    }
}

/// Opens the dataset that a manifest names; `path` is where its file or folder lies.
pub fn open(settings: &Dataset, path: Option<&Path>, labels: &Labels) -> Result<Box<dyn Source>, DatasetError> {
    let needed = || path.ok_or(DatasetError::NoPath);
    Ok(match settings.format {
        DatasetFormat::Digits | DatasetFormat::Csv => Box::new(csv_rows::CsvRows::open(settings, path)?),
        DatasetFormat::ImageFolder => {
            let turn = settings.preprocess.exif_orientation;
            Box::new(image_folder::ImageFolder::open(needed()?, labels, turn)?)
        }
        DatasetFormat::Images => Box::new(images::Images::open(needed()?, settings.preprocess.exif_orientation)?),
        DatasetFormat::Cifar10 => Box::new(cifar::Cifar::open(needed()?, &cifar::TEN, &settings.classes)?),
        DatasetFormat::Cifar100 => Box::new(cifar::Cifar::open(needed()?, &cifar::HUNDRED, &settings.classes)?),
        DatasetFormat::Idx => Box::new(idx::Idx::open(needed()?, &settings.classes)?),
    })
}
