//! Which of the model's outputs a class folder stands for.

use std::collections::BTreeMap;
use std::path::Path;

use super::DatasetError;
use crate::base::digest::Digest;
use crate::base::files;
use crate::manifest::Dataset;

/// A list of names is short; a thousand classes have some tens of kilobytes.
const MOST_BYTES: u64 = 16 << 20;

/// What a manifest says of the label order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// Nothing: folders in byte order, or the data's own order.
    Found,
    /// Every output of the model by its name, from a list or from a file of them. Outputs without samples are no fault.
    Listed(Vec<String>),
    FromFile(Vec<String>),
    /// Folders by the place of their output.
    Indexed(BTreeMap<String, usize>),
}

/// The label order of a manifest; `file` is where its `classes_file` lies. The digest is that of the file.
pub fn labels(settings: &Dataset, file: Option<&Path>) -> Result<(Labels, Option<Digest>), DatasetError> {
    if let Some(path) = file {
        let bytes = files::read_at_most(path, MOST_BYTES)?;
        let digest = Digest::of(&bytes);
        let names = names(&bytes).map_err(|reason| DatasetError::ClassesFile { path: path.to_owned(), reason })?;
        return Ok((Labels::FromFile(names), Some(digest)));
    }
    let labels = match (settings.classes.as_slice(), &settings.class_index) {
        ([], index) if index.is_empty() => Labels::Found,
        ([], index) => Labels::Indexed(index.clone()),
        (classes, _) => Labels::Listed(classes.to_vec()),
    };
    Ok((labels, None))
}

/// A JSON array of names, or a line for each.
fn names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let names: Vec<String> = if text.trim_start().starts_with(['[', '{']) {
        serde_json::from_str(text).map_err(|error| format!("it is not a JSON array of names: {error}"))?
    } else {
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("it names `{}` twice", pair[0])),
        None if names.is_empty() => Err("it names no class".into()),
        None => Ok(names),
    }
}

impl Labels {
    /// The key of `[dataset]` that gives them.
    pub(super) const fn key(&self) -> &'static str {
        match self {
            Self::Found | Self::Listed(_) => "classes",
            Self::FromFile(_) => "classes_file",
            Self::Indexed(_) => "class_index",
        }
    }

    /// Names in label order, given the class folders that there are; and the folder that has no label.
    pub(super) fn order(&self, found: Vec<String>) -> Result<Vec<String>, String> {
        match self {
            Self::Found => Ok(found),
            Self::Listed(names) | Self::FromFile(names) => {
                match found.into_iter().find(|folder| !names.contains(folder)) {
                    None => Ok(names.clone()),
                    Some(folder) => Err(folder),
                }
            }
            Self::Indexed(places) => {
                if let Some(folder) = found.into_iter().find(|folder| !places.contains_key(folder)) {
                    return Err(folder);
                }
                let length = places.values().max().map_or(0, |last| last + 1);
                let mut names: Vec<String> = (0..length).map(|output| format!("output {output}")).collect();
                places.iter().for_each(|(folder, &output)| names[output].clone_from(folder));
                Ok(names)
            }
        }
    }
}

/// Whether folders are numbers, all or some of them, whose byte order is not their numeric order, as `0`, `1`, `10`, `2`.
#[must_use]
pub fn are_shuffled_numbers(classes: &[String]) -> bool {
    let numbers: Vec<i64> = classes.iter().filter_map(|class| class.parse().ok()).collect();
    !numbers.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_file_of_names_is_json_or_lines() {
        assert_eq!(names(b"[\"b\", \"a\"]").unwrap(), owned(&["b", "a"]));
        assert_eq!(names(b"b\r\na\n\n").unwrap(), owned(&["b", "a"]));
        assert!(names(b"{\"0\": \"a\"}").unwrap_err().contains("JSON array"));
        assert!(names(b"a\na\n").unwrap_err().contains("twice"));
        assert!(names(b"").is_err() && names(&[0xff]).is_err());
    }

    #[test]
    fn folders_get_the_outputs_that_they_are_given() {
        let index = Labels::Indexed([("tench".to_owned(), 1), ("dog".to_owned(), 3)].into());
        assert_eq!(index.order(owned(&["tench"])).unwrap(), owned(&["output 0", "tench", "output 2", "dog"]));
        assert_eq!(index.order(owned(&["cat"])).unwrap_err(), "cat");
        let listed = Labels::Listed(owned(&["b", "a", "c"]));
        assert_eq!(listed.order(owned(&["a"])).unwrap(), owned(&["b", "a", "c"]));
    }

    #[test]
    fn numbers_in_byte_order_are_noticed() {
        assert!(are_shuffled_numbers(&owned(&["0", "1", "10", "11", "2"])));
        assert!(!are_shuffled_numbers(&owned(&["00", "01", "10"])));
        assert!(!are_shuffled_numbers(&owned(&["0", "2", "a"])));
        assert!(are_shuffled_numbers(&owned(&["1", "10", "2", "other"])));
        assert!(are_shuffled_numbers(&owned(&["-1", "-10", "2"])));
    }
}
