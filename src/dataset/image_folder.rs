//! Image folders: `<split>/<class>/<image>`, or `<class>/<image>` as the one split `all`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::container::Container;
use super::{DatasetError, Entry, Image, Source, picture};
use crate::base::digest::Digest;
use crate::base::progress::Meter;

/// The split of a folder that has none.
const ALL: &str = "all";

pub(super) struct ImageFolder {
    container: Container,
    classes: Vec<String>,
    /// Split → class → places.
    splits: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    /// The folder above the splits, where the archive has one.
    root: String,
}

impl ImageFolder {
    /// `wanted` are the classes in label order; none takes the class folders as they come.
    pub(super) fn open(path: &Path, wanted: &[String]) -> Result<Self, DatasetError> {
        let container = Container::open(path)?;
        let root = common_root(container.names());
        let splits = arrange(path, container.names(), &root)?;
        if splits.is_empty() {
            return Err(DatasetError::NoImages { path: path.to_owned() });
        }
        let found: BTreeSet<&String> = splits.values().flat_map(BTreeMap::keys).collect();
        let classes: Vec<String> = if wanted.is_empty() {
            found.into_iter().cloned().collect()
        } else {
            if let Some(extra) = found.into_iter().find(|class| !wanted.contains(class)) {
                return Err(DatasetError::UnlistedClass { path: path.to_owned(), class: extra.clone() });
            }
            wanted.to_vec()
        };
        Ok(Self { container, classes, splits, root })
    }
}

fn arrange(
    path: &Path,
    names: &[String],
    root: &str,
) -> Result<BTreeMap<String, BTreeMap<String, Vec<usize>>>, DatasetError> {
    let mut splits: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    let names = names.iter().enumerate();
    let inside = names.filter_map(|(at, name)| Some((at, name.strip_prefix(root)?)).filter(|_| !is_hidden(name)));
    let (mut shallow, mut deep) = (None, None);
    for (place, name) in inside {
        // What a file manager or a person left beside the images is no sample.
        if !picture::is_named_so(name) {
            continue;
        }
        let (split, class) = match name.split('/').collect::<Vec<_>>().as_slice() {
            [_] => continue,
            &[class, _] => {
                shallow.get_or_insert(name);
                (ALL, class)
            }
            &[split, class, _] => {
                deep.get_or_insert(name);
                (split, class)
            }
            _ => return Err(DatasetError::TooDeep { path: path.to_owned(), file: name.to_owned() }),
        };
        splits.entry(split.into()).or_default().entry(class.into()).or_default().push(place);
    }
    if let Some((shallow, deep)) = shallow.zip(deep) {
        let (shallow, deep) = (shallow.to_owned(), deep.to_owned());
        return Err(DatasetError::TwoDepths { path: path.to_owned(), shallow, deep });
    }
    Ok(splits)
}

/// Files and folders that tools leave behind, such as `.DS_Store`.
fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

/// The single folder that every image lies below, with its slash, where the splits are not on top.
fn common_root(names: &[String]) -> String {
    let images = || names.iter().filter(|name| !is_hidden(name) && name.matches('/').count() >= 2);
    let deep = images().all(|name| name.matches('/').count() >= 3);
    let first = images().next().and_then(|name| name.split_once('/')).map_or("", |(root, _)| root);
    let shared = images().all(|name| name.split_once('/').is_some_and(|(root, _)| root == first));
    if deep && shared && !first.is_empty() { format!("{first}/") } else { String::new() }
}

impl Source for ImageFolder {
    fn digest(&self, meter: &dyn Meter) -> Result<Digest, DatasetError> {
        self.container.digest(meter)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn splits(&self) -> Vec<String> {
        self.splits.keys().cloned().collect()
    }

    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError> {
        let path = self.container.path();
        let classes = self.splits.get(name).ok_or_else(|| DatasetError::no_split(path, name, self.splits()))?;
        let missing: Vec<_> = self.classes.iter().filter(|class| !classes.contains_key(*class)).cloned().collect();
        if !missing.is_empty() {
            return Err(DatasetError::MissingClass { path: path.to_owned(), split: name.to_owned(), missing });
        }
        let id = |place: usize| self.container.names()[place][self.root.len()..].to_owned();
        let mut entries: Vec<Entry> = Vec::new();
        for (class, name) in self.classes.iter().enumerate() {
            entries.extend(classes[name].iter().map(|&place| Entry { id: id(place), class, place }));
        }
        Ok(entries)
    }

    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
        self.container.read(entry.place)
    }

    fn shape(&self, entry: &Entry, bytes: &[u8]) -> Result<[usize; 3], DatasetError> {
        picture::shape(bytes).map_err(|reason| DatasetError::Image { id: entry.id.clone(), reason })
    }

    fn decode(&self, entry: &Entry, bytes: &[u8]) -> Result<Image, DatasetError> {
        picture::decode(bytes).map_err(|reason| DatasetError::Image { id: entry.id.clone(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn a_single_top_folder_is_not_a_split() {
        assert_eq!(common_root(&names(&["c/train/a/1.jpg", "c/test/a/2.jpg"])), "c/");
        assert_eq!(common_root(&names(&["train/a/1.jpg", "test/a/2.jpg"])), "");
        assert_eq!(common_root(&names(&["train/a/1.jpg", "README"])), "");
        assert_eq!(common_root(&names(&["c/README", "c/train/a/1.jpg", "c/test/.x/y/z"])), "c/");
    }

    #[test]
    fn class_folders_alone_are_one_split() {
        let flat = names(&["README", "a/1.png", "b/.x", "b/2.png"]);
        let splits = arrange(Path::new("d"), &flat, "").unwrap();
        assert_eq!(splits.keys().collect::<Vec<_>>(), [ALL]);
        assert_eq!((splits[ALL]["a"].as_slice(), splits[ALL]["b"].as_slice()), (&[1][..], &[3][..]));
        let deep = names(&["train/a/1.png", "train/labels.csv"]);
        assert_eq!(arrange(Path::new("d"), &deep, "").unwrap().keys().collect::<Vec<_>>(), ["train"]);
        let mixed = names(&["a/1.png", "b/2.png", "b/more/3.png"]);
        assert!(matches!(arrange(Path::new("d"), &mixed, ""), Err(DatasetError::TwoDepths { .. })));
    }
}
