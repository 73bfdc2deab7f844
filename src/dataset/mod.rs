//! Samples: where they come from, which are chosen, and how their pixels arrive in batches.

mod arithmetic;
mod cifar;
mod container;
mod csv_rows;
mod error;
mod fingerprint;
pub mod guess;
mod idx;
mod image_folder;
mod labels;
mod picture;
mod preprocess;
mod stream;
mod subset;

pub use arithmetic::{Threads, fitting, preprocess};
pub use error::{DatasetError, endings};
pub use fingerprint::{Album, Twins};
pub use labels::{Labels, are_shuffled_numbers, labels};
pub use preprocess::{PreprocessError, crop_start, output_size, resized};
pub use stream::{Piece, decoded, held, most_bytes, pieces};
pub use subset::{Chosen, List, Pool, choose};

use std::collections::BTreeMap;
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

impl Image {
    /// One channel of three, as Pillow's `convert("L")` has it: `(19595 R + 38470 G + 7471 B + 2^15) / 2^16` (ITU-R 601-2).
    #[must_use]
    pub fn gray(&self) -> Self {
        let size = self.height * self.width;
        let [red, green, blue] = [0, 1, 2].map(|channel| self.pixels.get(channel * size..(channel + 1) * size));
        let (Some(red), Some(green), Some(blue)) = (red, green, blue) else { return self.clone() };
        let one = |((r, g), b): ((&u8, &u8), &u8)| {
            let sum = 19_595 * u32::from(*r) + 38_470 * u32::from(*g) + 7_471 * u32::from(*b) + (1 << 15);
            u8::try_from(sum >> 16).unwrap_or(u8::MAX)
        };
        let pixels = red.iter().zip(green).zip(blue).map(one).collect();
        Self { channels: 1, pixels, ..*self }
    }
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

/// What a look at an image tells without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// `[channels, height, width]`, as it will be decoded.
    pub shape: [usize; 3],
    /// Whether EXIF says that it is to be turned or mirrored for a viewer.
    pub turned: bool,
}

impl Look {
    /// Of an image that says nothing of its orientation.
    const fn plain(shape: [usize; 3]) -> Self {
        Self { shape, turned: false }
    }
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
        DatasetFormat::Cifar10 => Box::new(cifar::Cifar::open(needed()?, &cifar::TEN, &settings.classes)?),
        DatasetFormat::Cifar100 => Box::new(cifar::Cifar::open(needed()?, &cifar::HUNDRED, &settings.classes)?),
        DatasetFormat::Idx => Box::new(idx::Idx::open(needed()?, &settings.classes)?),
    })
}
