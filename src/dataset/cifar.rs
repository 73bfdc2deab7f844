//! The binary versions of CIFAR-10 and CIFAR-100 (A. Krizhevsky, 2009): records of one label byte
//! (CIFAR-100: coarse, then fine) and 3 × 32 × 32 pixels, channel by channel.

use std::path::Path;

use super::{DatasetError, Entry, Source};
use crate::base::digest::Digest;
use crate::base::progress::Meter;
use crate::container::Container;
use crate::picture::{Image, Look};

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;

/// What tells the two apart.
pub(super) struct Edition {
    classes: usize,
    /// Label bytes before the pixels; the last is the label.
    labels: usize,
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
}

pub(super) const TEN: Edition = Edition {
    classes: 10,
    labels: 1,
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: "test_batch.bin",
    names: "batches.meta.txt",
};

pub(super) const HUNDRED: Edition =
    Edition { classes: 100, labels: 2, train: &["train.bin"], test: "test.bin", names: "fine_label_names.txt" };

pub(super) struct Cifar {
    container: Container,
    record: usize,
    classes: Vec<String>,
    batches: Vec<Batch>,
}

/// One file of records.
struct Batch {
    split: &'static str,
    name: &'static str,
    /// The place of its first record.
    first: usize,
    content: Vec<u8>,
}

impl Cifar {
    pub(super) fn open(path: &Path, edition: &Edition, wanted: &[String]) -> Result<Self, DatasetError> {
        let container = Container::open(path)?;
        let record = edition.labels + PIXELS;
        let training = edition.train.iter().map(|name| ("train", *name));
        let mut batches: Vec<Batch> = Vec::new();
        for (split, name) in training.chain([("test", edition.test)]) {
            let Some(content) = find(&container, name)? else { continue };
            let malformed = |reason: String| DatasetError::Form { path: path.to_owned(), file: name.into(), reason };
            if content.is_empty() || content.len() % record != 0 {
                return Err(malformed(format!("{} bytes are no whole number of {record}-byte records", content.len())));
            }
            let label = content.chunks(record).map(|record| record[edition.labels - 1]).max().unwrap_or(0);
            if usize::from(label) >= edition.classes {
                return Err(malformed(format!("label {label} is not below {}", edition.classes)));
            }
            let first = batches.last().map_or(0, |batch| batch.first + batch.content.len() / record);
            batches.push(Batch { split, name: name.trim_end_matches(".bin"), first, content });
        }
        if batches.is_empty() {
            let wanted = edition.train.iter().chain([&edition.test]).map(|name| (*name).to_owned()).collect();
            return Err(DatasetError::NoFiles { path: path.to_owned(), wanted });
        }
        let classes = class_names(&container, edition, wanted)?;
        Ok(Self { container, record, classes, batches })
    }

    fn record(&self, place: usize) -> &[u8] {
        let batch = &self.batches[self.batches.partition_point(|batch| batch.first <= place) - 1];
        &batch.content[(place - batch.first) * self.record..][..self.record]
    }
}

/// The file of that name, in whatever folder it lies.
fn find(container: &Container, name: &str) -> Result<Option<Vec<u8>>, DatasetError> {
    let place = container.only(|full| full.rsplit('/').next() == Some(name))?;
    Ok(place.map(|place| container.read(place)).transpose()?)
}

fn class_names(container: &Container, edition: &Edition, wanted: &[String]) -> Result<Vec<String>, DatasetError> {
    if !wanted.is_empty() {
        return Ok(wanted.to_vec());
    }
    let listed = find(container, edition.names)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let listed: Vec<String> =
        listed.unwrap_or_default().lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    if listed.len() == edition.classes {
        return Ok(listed);
    }
    Ok((0..edition.classes).map(|class| class.to_string()).collect())
}

impl Source for Cifar {
    fn digest(&self, meter: &dyn Meter) -> Result<Digest, DatasetError> {
        Ok(self.container.digest(meter)?)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn splits(&self) -> Vec<String> {
        let mut names: Vec<String> = self.batches.iter().map(|batch| batch.split.to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError> {
        let mut entries = Vec::new();
        for batch in self.batches.iter().filter(|batch| batch.split == name) {
            let labels = batch.content.chunks(self.record).map(|record| record[self.record - PIXELS - 1]);
            entries.extend(labels.enumerate().map(|(row, label)| Entry {
                id: format!("{}/{row}", batch.name),
                class: usize::from(label),
                place: batch.first + row,
            }));
        }
        if entries.is_empty() {
            return Err(DatasetError::no_split(self.container.path(), name, self.splits()));
        }
        Ok(entries)
    }

    /// The pixels alone, so that an image is the same under two labels.
    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
        Ok(self.record(entry.place)[self.record - PIXELS..].to_vec())
    }

    fn look(&self, _: &Entry, _: &[u8]) -> Result<Look, DatasetError> {
        Ok(Look::plain([3, SIDE, SIDE]))
    }

    fn decode(&self, _: &Entry, bytes: &[u8]) -> Result<Image, DatasetError> {
        Ok(Image { channels: 3, height: SIDE, width: SIDE, pixels: bytes.to_vec(), full: u8::MAX })
    }
}
