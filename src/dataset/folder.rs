//! Image folders `<split>/<class>/<image>`, in a directory or straight from a tar of one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use image::ImageReader;

use super::tar_index::{self, Span};
use super::{DatasetError, Entry, Image, Source};
use crate::base::digest::Digest;
use crate::base::files::{self, FileError};

/// Decoded images larger than this are refused: a few bytes must not become gigabytes.
const MAX_SIDE: u32 = 16_384;
const MAX_DECODED_BYTES: u64 = 1 << 30;

enum Store {
    Directory,
    Tar { file: File, spans: Vec<Span> },
}

pub(super) struct ImageFolder {
    path: PathBuf,
    digest: Digest,
    store: Store,
    /// Paths inside the dataset, sorted; an entry's place is its index here.
    files: Vec<String>,
    classes: Vec<String>,
    /// Split → class → places.
    splits: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    /// The folder above the splits, where the archive has one.
    root: String,
}

impl ImageFolder {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        if path.is_dir() {
            let files = files::walk(path)?;
            let digest = listing_digest(path, &files)?;
            return Self::arrange(path, digest, Store::Directory, files);
        }
        let digest = Digest::of_reader(files::open(path)?).map_err(|e| FileError::new("read", path, e))?;
        let (files, spans) = tar_index::read(path)?.into_iter().unzip();
        Self::arrange(path, digest, Store::Tar { file: files::open(path)?, spans }, files)
    }

    fn arrange(path: &Path, digest: Digest, store: Store, files: Vec<String>) -> Result<Self, DatasetError> {
        let root = common_root(&files);
        let mut splits: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
        for (place, file) in files.iter().enumerate() {
            let Some(inside) = file.strip_prefix(&root).filter(|_| !is_hidden(file)) else { continue };
            match inside.split('/').collect::<Vec<_>>().as_slice() {
                &[split, class, _] => {
                    splits.entry(split.into()).or_default().entry(class.into()).or_default().push(place);
                }
                // A README beside the splits is no sample; an image below a class folder might be.
                [_] | [_, _] => {}
                _ => return Err(DatasetError::TooDeep { path: path.to_owned(), file: file.clone() }),
            }
        }
        if splits.is_empty() {
            return Err(DatasetError::NoImages { path: path.to_owned() });
        }
        let classes: BTreeSet<String> = splits.values().flat_map(|classes| classes.keys().cloned()).collect();
        let classes = classes.into_iter().collect();
        Ok(Self { path: path.to_owned(), digest, store, files, classes, splits, root })
    }
}

/// Files and folders that tools leave behind, such as `.DS_Store`.
fn is_hidden(file: &str) -> bool {
    file.split('/').any(|part| part.starts_with('.'))
}

/// The single folder that every image lies below, with its slash, where the splits are not on top.
fn common_root(files: &[String]) -> String {
    let images = || files.iter().filter(|file| !is_hidden(file) && file.matches('/').count() >= 2);
    let deep = images().all(|file| file.matches('/').count() >= 3);
    let first = images().next().and_then(|file| file.split_once('/')).map_or("", |(root, _)| root);
    let shared = images().all(|file| file.split_once('/').is_some_and(|(root, _)| root == first));
    if deep && shared && !first.is_empty() { format!("{first}/") } else { String::new() }
}

/// SHA-256 of the lines that `sha256sum` prints for the sorted files of a folder.
fn listing_digest(root: &Path, files: &[String]) -> Result<Digest, DatasetError> {
    use rayon::prelude::*;
    let line = |file: &String| -> Result<String, DatasetError> {
        let path = root.join(file);
        let digest = Digest::of_reader(files::open(&path)?).map_err(|e| FileError::new("read", &path, e))?;
        Ok(format!("{digest}  {file}\n"))
    };
    let lines = files.par_iter().map(line).collect::<Result<Vec<_>, _>>()?;
    Ok(Digest::of_parts(lines.iter().map(String::as_bytes)))
}

impl Source for ImageFolder {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError> {
        let classes = self.splits.get(name).ok_or_else(|| DatasetError::NoSplit {
            path: self.path.clone(),
            split: name.to_owned(),
            known: self.splits.keys().cloned().collect(),
        })?;
        let missing: Vec<_> = self.classes.iter().filter(|class| !classes.contains_key(*class)).cloned().collect();
        if !missing.is_empty() {
            return Err(DatasetError::MissingClass { path: self.path.clone(), split: name.to_owned(), missing });
        }
        let entry =
            |class: usize, place: usize| Entry { id: self.files[place][self.root.len()..].to_owned(), class, place };
        let mut entries: Vec<Entry> = Vec::new();
        for (class, places) in self.classes.iter().enumerate().map(|(i, name)| (i, &classes[name])) {
            entries.extend(places.iter().map(|&place| entry(class, place)));
        }
        Ok(entries)
    }

    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
        match &self.store {
            Store::Directory => Ok(files::read(&self.path.join(&self.files[entry.place]))?),
            Store::Tar { file, spans } => {
                let Span { offset, length } = spans[entry.place];
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
                file.read_exact_at(&mut bytes, offset).map_err(|e| FileError::new("read", &self.path, e))?;
                Ok(bytes)
            }
        }
    }

    fn decode(&self, entry: &Entry, bytes: &[u8]) -> Result<Image, DatasetError> {
        let fail = |reason: String| DatasetError::Image { id: entry.id.clone(), reason };
        let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
        let mut reader = reader.map_err(|error| fail(error.to_string()))?;
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_DECODED_BYTES);
        reader.limits(limits);
        let rgb = reader.decode().map_err(|error| fail(error.to_string()))?.into_rgb8();
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        Ok(Image { channels: 3, height, width, pixels: planes(rgb.as_raw()), full: u8::MAX })
    }
}

/// Interleaved RGB as three planes.
fn planes(interleaved: &[u8]) -> Vec<u8> {
    let (pixels, _) = interleaved.as_chunks::<3>();
    (0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_top_folder_is_not_a_split() {
        let files = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(common_root(&files(&["c/train/a/1.jpg", "c/test/a/2.jpg"])), "c/");
        assert_eq!(common_root(&files(&["train/a/1.jpg", "test/a/2.jpg"])), "");
        assert_eq!(common_root(&files(&["train/a/1.jpg", "README"])), "");
        assert_eq!(common_root(&files(&["c/README", "c/train/a/1.jpg", "c/test/.x/y/z"])), "c/");
    }

    #[test]
    fn planes_separate_the_channels() {
        assert_eq!(planes(&[1, 2, 3, 4, 5, 6]), [1, 4, 2, 5, 3, 6]);
    }
}
