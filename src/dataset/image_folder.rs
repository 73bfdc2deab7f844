//! Image folders: `<split>/<class>/<image>`, or `<class>/<image>` as the one split `all`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{DatasetError, Entry, Labels, Source};
use crate::base::digest::Digest;
use crate::base::progress::Meter;
use crate::container::Container;
use crate::picture::{Image, Look, decode};

/// The split of a folder that has none.
pub(super) const ALL: &str = "all";

pub(super) struct ImageFolder {
    container: Container,
    classes: Vec<String>,
    /// Whether a split may lack a class: where their order was given, labels cannot shift.
    may_lack: bool,
    /// Split → class → places.
    splits: Splits,
    /// How many files of class folders are not read, by ending.
    passed_over: BTreeMap<String, usize>,
    /// The folder above the splits, where the archive has one.
    root: String,
    /// Whether images are turned as EXIF says.
    turn: bool,
}

type Splits = BTreeMap<String, BTreeMap<String, Vec<usize>>>;

impl ImageFolder {
    /// Classes get their labels by `labels`; where those say nothing, folders are taken as they come.
    pub(super) fn open(path: &Path, labels: &Labels, turn: bool) -> Result<Self, DatasetError> {
        let container = Container::open(path)?;
        let root = common_root(container.names());
        let (splits, passed_over) = arrange(path, container.names(), &root)?;
        if splits.is_empty() {
            let path = path.to_owned();
            let others = !passed_over.is_empty();
            return Err(if others {
                DatasetError::OtherEndings { path, endings: passed_over }
            } else {
                DatasetError::NoImages { path }
            });
        }
        let found: BTreeSet<&String> = splits.values().flat_map(BTreeMap::keys).collect();
        let classes = labels.order(found.into_iter().cloned().collect());
        let classes =
            classes.map_err(|class| DatasetError::UnlistedClass { path: path.to_owned(), class, key: labels.key() })?;
        Ok(Self { container, classes, may_lack: *labels != Labels::Found, splits, passed_over, root, turn })
    }
}

/// The images by split and class, and what else lies among them.
fn arrange(path: &Path, names: &[String], root: &str) -> Result<(Splits, BTreeMap<String, usize>), DatasetError> {
    let mut splits = Splits::new();
    let mut passed_over = BTreeMap::new();
    let names = names.iter().enumerate();
    let inside = names.filter_map(|(at, name)| Some((at, name.strip_prefix(root)?)).filter(|_| !is_hidden(name)));
    let (mut shallow, mut deep) = (None, None);
    for (place, name) in inside {
        // What a file manager or a person left beside the images is no sample, and is told.
        if !decode::is_named_so(name) {
            if name.contains('/') {
                *passed_over.entry(ending(name)).or_insert(0) += 1;
            }
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
    Ok((splits, passed_over))
}

/// Of files that lie in folders, how many have which ending.
pub(super) fn endings_in_folders(names: &[String]) -> BTreeMap<String, usize> {
    let mut endings = BTreeMap::new();
    for name in names.iter().filter(|name| name.contains('/') && !is_hidden(name)) {
        *endings.entry(ending(name)).or_insert(0) += 1;
    }
    endings
}

/// `.gif`; of a name without one, what it lacks.
pub(super) fn ending(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.')
        .map_or_else(|| "without an ending".to_owned(), |(_, ending)| format!(".{}", ending.to_lowercase()))
}

/// Files and folders that tools leave behind, such as `.DS_Store`.
pub(super) fn is_hidden(name: &str) -> bool {
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
        Ok(self.container.digest(meter)?)
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
        if !missing.is_empty() && !self.may_lack {
            return Err(DatasetError::MissingClass { path: path.to_owned(), split: name.to_owned(), missing });
        }
        let id = |place: usize| self.container.names()[place][self.root.len()..].to_owned();
        let mut entries: Vec<Entry> = Vec::new();
        for (class, name) in self.classes.iter().enumerate() {
            let places = classes.get(name).map_or(&[][..], Vec::as_slice);
            entries.extend(places.iter().map(|&place| Entry { id: id(place), class, place }));
        }
        Ok(entries)
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
        let (splits, passed_over) = arrange(Path::new("d"), &flat, "").unwrap();
        assert!(passed_over.is_empty(), "what lies on top, or is hidden, was never meant");
        assert_eq!(splits.keys().collect::<Vec<_>>(), [ALL]);
        assert_eq!((splits[ALL]["a"].as_slice(), splits[ALL]["b"].as_slice()), (&[1][..], &[3][..]));
        let deep = names(&["train/a/1.png", "train/labels.csv"]);
        assert_eq!(arrange(Path::new("d"), &deep, "").unwrap().0.keys().collect::<Vec<_>>(), ["train"]);
        let (_, others) = arrange(Path::new("d"), &names(&["a/1.png", "a/2.GIF", "b/3.JPG.txt", "b/x"]), "").unwrap();
        let counted: Vec<_> = others.iter().map(|(ending, count)| (ending.as_str(), *count)).collect();
        assert_eq!(counted, [(".gif", 1), (".txt", 1), ("without an ending", 1)]);
        let mixed = names(&["a/1.png", "b/2.png", "b/more/3.png"]);
        assert!(matches!(arrange(Path::new("d"), &mixed, ""), Err(DatasetError::TwoDepths { .. })));
    }
}
