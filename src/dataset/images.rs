//! Images without labels, at any depth: the folders on top are the splits, or `all` where an image lies on top.

use std::collections::BTreeMap;
use std::path::Path;

use super::image_folder::{ALL, ending, is_hidden};
use super::{DatasetError, Entry, Source};
use crate::base::digest::Digest;
use crate::base::progress::Meter;
use crate::container::Container;
use crate::picture::{Image, Look, decode};

pub(super) struct Images {
    container: Container,
    /// Split → places.
    splits: BTreeMap<String, Vec<usize>>,
    /// How many other files there are, by ending.
    passed_over: BTreeMap<String, usize>,
    /// Whether images are turned as EXIF says.
    turn: bool,
}

impl Images {
    pub(super) fn open(path: &Path, turn: bool) -> Result<Self, DatasetError> {
        let container = Container::open(path)?;
        let (splits, passed_over) = arrange(container.names());
        if splits.is_empty() {
            let path = path.to_owned();
            return Err(if passed_over.is_empty() {
                DatasetError::NoImagesAtAll { path }
            } else {
                DatasetError::OtherEndings { path, endings: passed_over }
            });
        }
        Ok(Self { container, splits, passed_over, turn })
    }
}

/// The images by split, and how many other files lie among them.
fn arrange(names: &[String]) -> (BTreeMap<String, Vec<usize>>, BTreeMap<String, usize>) {
    let shown = || names.iter().enumerate().filter(|(_, name)| !is_hidden(name));
    let images: Vec<(usize, &String)> = shown().filter(|(_, name)| decode::is_named_so(name)).collect();
    let mut passed_over = BTreeMap::new();
    for (_, name) in shown().filter(|(_, name)| !decode::is_named_so(name)) {
        *passed_over.entry(ending(name)).or_insert(0) += 1;
    }
    let are_split = images.iter().all(|(_, name)| name.contains('/'));
    let mut splits: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, name) in images {
        let split = name.split_once('/').map_or(ALL, |(top, _)| top);
        splits.entry(if are_split { split } else { ALL }.to_owned()).or_default().push(place);
    }
    (splits, passed_over)
}

impl Source for Images {
    fn digest(&self, meter: &dyn Meter) -> Result<Digest, DatasetError> {
        Ok(self.container.digest(meter)?)
    }

    fn classes(&self) -> &[String] {
        &[]
    }

    fn splits(&self) -> Vec<String> {
        self.splits.keys().cloned().collect()
    }

    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError> {
        let path = self.container.path();
        let places = self.splits.get(name).ok_or_else(|| DatasetError::no_split(path, name, self.splits()))?;
        Ok(places.iter().map(|&place| Entry { id: self.container.names()[place].clone(), class: 0, place }).collect())
    }

    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
        Ok(self.container.read(entry.place)?)
    }

    fn look(&self, entry: &Entry, bytes: &[u8]) -> Result<Look, DatasetError> {
        decode::look(bytes, self.turn).map_err(|reason| DatasetError::Image { id: entry.id.clone(), reason })
    }

    fn decode(&self, entry: &Entry, bytes: &[u8]) -> Result<Image, DatasetError> {
        decode::decode(bytes, self.turn).map_err(|reason| DatasetError::Image { id: entry.id.clone(), reason })
    }

    fn passed_over(&self) -> BTreeMap<String, usize> {
        self.passed_over.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(names: &[&str]) -> (Vec<(String, usize)>, usize) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (splits, others) = arrange(&names);
        (splits.into_iter().map(|(split, places)| (split, places.len())).collect(), others.values().sum())
    }

    #[test]
    fn folders_on_top_are_splits_unless_an_image_lies_beside_them() {
        let split = |name: &str, count: usize| (name.to_owned(), count);
        let names = ["train/a/1.png", "train/2.jpg", "val/deep/er/3.png", "README.md", ".x/4.png"];
        assert_eq!(arranged(&names), (vec![split("train", 2), split("val", 1)], 1));
        assert_eq!(arranged(&["1.png", "more/2.png", "notes.txt"]), (vec![split(ALL, 2)], 1));
        assert_eq!(arranged(&["notes.txt"]), (vec![], 1));
    }
}
