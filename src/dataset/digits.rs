//! UCI optical digits (E. Alpaydin and C. Kaynak, 1998, CC BY 4.0): 1 797 rows of a label and
//! 8 × 8 pixels from 0 to 16.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{DatasetError, Entry, Image, Source};
use crate::base::digest::Digest;
use crate::base::files;

/// The copy that requant carries.
const EMBEDDED: &[u8] = include_bytes!("digits.csv");

const SIDE: usize = 8;
const FULL: u8 = 16;
const CLASSES: usize = 10;

pub(super) struct Digits {
    path: PathBuf,
    digest: Digest,
    /// One text line per sample, without its end.
    rows: Vec<String>,
    classes: Vec<String>,
    splits: BTreeMap<String, String>,
}

impl Digits {
    pub(super) fn open(path: Option<&Path>, splits: &BTreeMap<String, String>) -> Result<Self, DatasetError> {
        let content = path.map_or_else(|| Ok(EMBEDDED.to_vec()), files::read)?;
        let text = String::from_utf8_lossy(&content);
        let rows = text.lines().skip(1).map(str::to_owned).collect();
        Ok(Self {
            path: path.unwrap_or(Path::new("digits")).to_owned(),
            digest: Digest::of(&content),
            rows,
            classes: (0..CLASSES).map(|class| class.to_string()).collect(),
            splits: splits.clone(),
        })
    }

    fn parse(&self, row: usize) -> Result<(usize, Vec<u8>), DatasetError> {
        let fail = |reason: String| DatasetError::Digits { row, reason };
        let cells = self.rows[row].split(',').map(|cell| cell.trim().parse::<u8>());
        let cells = cells.collect::<Result<Vec<u8>, _>>().map_err(|error| fail(error.to_string()))?;
        match cells.split_first() {
            Some((label, pixels)) if pixels.len() == SIDE * SIDE => {
                if usize::from(*label) >= CLASSES || pixels.iter().any(|&p| p > FULL) {
                    return Err(fail("a label above 9 or a pixel above 16".into()));
                }
                Ok((usize::from(*label), pixels.to_vec()))
            }
            _ => Err(fail(format!("{} cells instead of {}", cells.len(), 1 + SIDE * SIDE))),
        }
    }
}

impl Source for Digits {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError> {
        let range = self.splits.get(name).ok_or_else(|| DatasetError::NoSplit {
            path: self.path.clone(),
            split: name.to_owned(),
            known: self.splits.keys().cloned().collect(),
        })?;
        let wrong = || DatasetError::Rows { split: name.to_owned(), range: range.clone(), rows: self.rows.len() };
        let (first, end) = range.split_once("..").ok_or_else(wrong)?;
        let (Ok(first), Ok(end)) = (first.trim().parse::<usize>(), end.trim().parse::<usize>()) else {
            return Err(wrong());
        };
        if first >= end || end > self.rows.len() {
            return Err(wrong());
        }
        (first..end).map(|row| Ok(Entry { id: row.to_string(), class: self.parse(row)?.0, place: row })).collect()
    }

    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
        Ok(self.rows[entry.place].clone().into_bytes())
    }

    fn decode(&self, entry: &Entry, _bytes: &[u8]) -> Result<Image, DatasetError> {
        let (_, pixels) = self.parse(entry.place)?;
        Ok(Image { channels: 1, height: SIDE, width: SIDE, pixels, full: FULL })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_copy_is_whole_and_ranges_are_checked() {
        let splits = BTreeMap::from([("all".into(), "0..1797".into()), ("far".into(), "5..9999".into())]);
        let digits = Digits::open(None, &splits).unwrap();
        let all = digits.split("all").unwrap();
        assert_eq!((all.len(), all[0].class, all[1796].class), (1797, 0, 8));
        assert_eq!(digits.decode(&all[0], b"").unwrap().pixels[2], 5);
        assert!(matches!(digits.split("far"), Err(DatasetError::Rows { .. })));
        assert!(matches!(digits.split("none"), Err(DatasetError::NoSplit { .. })));
    }
}
