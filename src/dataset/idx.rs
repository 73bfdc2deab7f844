//! MNIST's IDX files (Y. LeCun, C. Cortes and C. Burges): big-endian header, then unsigned bytes.
//!
//! Images and labels are pairs of files, `<split>-images-idx3-ubyte` and `<split>-labels-idx1-ubyte`,
//! plain or gzipped; the split `t10k` is called `test`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;

use super::{DatasetError, Entry, Source};
use crate::base::digest::Digest;
use crate::base::progress::Meter;
use crate::container::{Container, MAX_FILE_BYTES};
use crate::picture::{Image, Look};

pub(super) struct Idx {
    container: Container,
    classes: Vec<String>,
    splits: BTreeMap<String, Split>,
    /// The splits in the order of their places.
    order: Vec<String>,
}

struct Split {
    /// The place of the first image.
    first: usize,
    labels: Vec<u8>,
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

impl Idx {
    pub(super) fn open(path: &Path, wanted: &[String]) -> Result<Self, DatasetError> {
        let container = Container::open(path)?;
        let mut splits = BTreeMap::new();
        let mut order = Vec::new();
        let mut first = 0;
        for (place, name) in container.names().iter().enumerate() {
            let Some((split, partner)) = images_of(name) else { continue };
            let Some(labels) = container.only(|other| without_gz(other) == partner)? else {
                return Err(DatasetError::NoFiles { path: path.to_owned(), wanted: vec![partner] });
            };
            // Two sets of files below one folder, or a file beside its gzipped self.
            container.only(|other| images_of(other).is_some_and(|(other, _)| other == split))?;
            let read = Split::read(path, &container, place, labels, first)?;
            first += read.labels.len();
            order.push(split.clone());
            splits.insert(split, read);
        }
        if splits.is_empty() {
            let wanted = vec!["train-images-idx3-ubyte".into(), "train-labels-idx1-ubyte".into()];
            return Err(DatasetError::NoFiles { path: path.to_owned(), wanted });
        }
        let highest = splits.values().flat_map(|split| &split.labels).max().copied().unwrap_or(0);
        let classes: Vec<String> = match wanted {
            [] => (0..=highest).map(|class| class.to_string()).collect(),
            wanted => wanted.to_vec(),
        };
        if usize::from(highest) >= classes.len() {
            let reason = format!("label {highest} is not below the {} of `dataset.classes`", classes.len());
            return Err(DatasetError::Form { path: path.to_owned(), file: "labels".into(), reason });
        }
        Ok(Self { container, classes, splits, order })
    }

    fn locate(&self, place: usize) -> (&Split, usize) {
        let at = self.order.partition_point(|name| self.splits[name].first <= place) - 1;
        let split = &self.splits[&self.order[at]];
        (split, place - split.first)
    }
}

fn without_gz(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

/// The split of an images file, and the name of its labels file.
fn images_of(name: &str) -> Option<(String, String)> {
    let plain = without_gz(name);
    for separator in ["-", "."] {
        if let Some(prefix) = plain.strip_suffix(&format!("-images{separator}idx3-ubyte")) {
            let split = prefix.rsplit('/').next().unwrap_or(prefix);
            let split = if split == "t10k" { "test" } else { split };
            return Some((split.to_owned(), format!("{prefix}-labels{separator}idx1-ubyte")));
        }
    }
    None
}

impl Split {
    fn read(
        path: &Path,
        container: &Container,
        images: usize,
        labels: usize,
        first: usize,
    ) -> Result<Self, DatasetError> {
        let load = |place: usize, dimensions: usize| -> Result<(Vec<usize>, Vec<u8>), DatasetError> {
            let malformed = |reason: String| DatasetError::Form {
                path: path.to_owned(),
                file: container.names()[place].clone(),
                reason,
            };
            let mut bytes = container.read(place)?;
            if bytes.starts_with(&[0x1f, 0x8b]) {
                let mut plain = Vec::new();
                let mut decoder = GzDecoder::new(bytes.as_slice()).take(MAX_FILE_BYTES);
                decoder.read_to_end(&mut plain).map_err(|error| malformed(error.to_string()))?;
                bytes = plain;
            }
            parse(bytes, dimensions).map_err(malformed)
        };
        let (shape, pixels) = load(images, 3)?;
        let (count, labels_read) = load(labels, 1)?;
        if count[0] != shape[0] {
            let reason = format!("{} labels for {} images", count[0], shape[0]);
            let file = container.names()[labels].clone();
            return Err(DatasetError::Form { path: path.to_owned(), file, reason });
        }
        Ok(Self { first, labels: labels_read, height: shape[1], width: shape[2], pixels })
    }
}

/// The dimensions and data of unsigned bytes.
fn parse(mut bytes: Vec<u8>, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>), String> {
    const UNSIGNED_BYTE: u8 = 8;
    let header = 4 + 4 * dimensions;
    match bytes.get(..4) {
        Some([0, 0, UNSIGNED_BYTE, found]) if usize::from(*found) == dimensions && bytes.len() >= header => {}
        _ => return Err(format!("not an IDX file of unsigned bytes with {dimensions} dimensions")),
    }
    let (sizes, _) = bytes[4..header].as_chunks::<4>();
    let shape: Vec<usize> = sizes.iter().map(|size| u32::from_be_bytes(*size) as usize).collect();
    let wanted = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    if wanted != Some(bytes.len() - header) || shape.contains(&0) {
        return Err(format!("{} bytes do not hold the {shape:?} that the header states", bytes.len() - header));
    }
    Ok((shape, bytes.split_off(header)))
}

impl Source for Idx {
    fn digest(&self, meter: &dyn Meter) -> Result<Digest, DatasetError> {
        Ok(self.container.digest(meter)?)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn splits(&self) -> Vec<String> {
        self.splits.keys().cloned().collect()
    }

    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError> {
        let split =
            self.splits.get(name).ok_or_else(|| DatasetError::no_split(self.container.path(), name, self.splits()))?;
        let entry = |(row, label): (usize, &u8)| Entry {
            id: format!("{name}/{row}"),
            class: usize::from(*label),
            place: split.first + row,
        };
        Ok(split.labels.iter().enumerate().map(entry).collect())
    }

    /// The pixels alone, so that an image is the same under two labels.
    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
        let (split, row) = self.locate(entry.place);
        let size = split.height * split.width;
        Ok(split.pixels[row * size..][..size].to_vec())
    }

    fn look(&self, entry: &Entry, _: &[u8]) -> Result<Look, DatasetError> {
        let (split, _) = self.locate(entry.place);
        Ok(Look::plain([1, split.height, split.width]))
    }

    fn decode(&self, entry: &Entry, bytes: &[u8]) -> Result<Image, DatasetError> {
        let (split, _) = self.locate(entry.place);
        let (height, width) = (split.height, split.width);
        Ok(Image { channels: 1, height, width, pixels: bytes.to_vec(), full: u8::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_held_to_the_data() {
        let file = |dims: &[u32], data: &[u8]| {
            let mut bytes = vec![0, 0, 8, u8::try_from(dims.len()).unwrap()];
            dims.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
            bytes.extend(data);
            bytes
        };
        assert_eq!(parse(file(&[2, 1, 2], &[1, 2, 3, 4]), 3).unwrap(), (vec![2, 1, 2], vec![1, 2, 3, 4]));
        assert!(parse(file(&[2, 1, 2], &[1, 2, 3]), 3).is_err());
        assert!(parse(file(&[u32::MAX, u32::MAX, u32::MAX], &[]), 3).is_err());
        assert!(parse(file(&[0], &[]), 1).is_err());
        assert!(parse(file(&[1], &[7]), 3).is_err());
        assert!(parse(vec![0, 0], 1).is_err());
    }

    #[test]
    fn pairs_of_files_are_splits() {
        let pair = |name: &str| images_of(name).unwrap();
        assert_eq!(pair("MNIST/t10k-images-idx3-ubyte.gz"), ("test".into(), "MNIST/t10k-labels-idx1-ubyte".into()));
        assert_eq!(pair("train-images.idx3-ubyte"), ("train".into(), "train-labels.idx1-ubyte".into()));
        assert!(images_of("train-labels-idx1-ubyte").is_none());
    }
}
