//! CSV with a header and one image per row: a label and its pixels.
//!
//! `digits` is one of them: UCI optical digits (E. Alpaydin and C. Kaynak, 1998, CC BY 4.0), 1 797
//! rows of a label and 8 × 8 pixels from 0 to 16, which requant carries.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};

use super::{DatasetError, Entry, Source};
use crate::base::digest::Digest;
use crate::base::files;
use crate::base::progress::Meter;
use crate::container::digest_of_file;
use crate::manifest::{Dataset, DatasetFormat};
use crate::picture::{Image, Look};

/// The copy that requant carries.
const EMBEDDED: &[u8] = include_bytes!("digits.csv");

const DIGITS_SHAPE: [usize; 3] = [1, 8, 8];
const DIGITS_FULL: u8 = 16;
const DIGITS_CLASSES: usize = 10;

pub(super) struct CsvRows {
    path: Option<PathBuf>,
    /// The cells of every row but its label, joined by `,`.
    cells: Vec<u8>,
    rows: Vec<Row>,
    classes: Vec<String>,
    splits: BTreeMap<String, String>,
    /// `[channels, height, width]`.
    shape: [usize; 3],
    full: u8,
    /// The column of the label.
    label: usize,
}

/// One row: where its cells lie, and its class.
struct Row {
    cells: Range<usize>,
    class: usize,
}

/// What is wrong with a row, counted from 0 after the header.
type RowProblem = (usize, String);

impl CsvRows {
    pub(super) fn open(settings: &Dataset, path: Option<&Path>) -> Result<Self, DatasetError> {
        let is_digits = settings.format == DatasetFormat::Digits;
        let content: Cow<'_, [u8]> = match path {
            Some(path) => files::read(path)?.into(),
            None if is_digits => EMBEDDED.into(),
            None => return Err(DatasetError::NoPath),
        };
        let known = if settings.classes.is_empty() && is_digits {
            (0..DIGITS_CLASSES).map(|class| class.to_string()).collect()
        } else {
            settings.classes.clone()
        };
        let named = path.unwrap_or(Path::new("digits")).to_owned();
        let wrong = |(row, reason): RowProblem| DatasetError::Row { path: named.clone(), row, reason };
        let table = index(&content, &known).map_err(wrong)?;
        let shape = if is_digits { Some(DIGITS_SHAPE) } else { settings.shape };
        let shape = shape.map_or_else(|| square(table.pixels), Ok).map_err(|reason| wrong((0, reason)))?;
        if shape.iter().product::<usize>() != table.pixels {
            let reason = format!("{} pixel columns are no {} × {} × {}", table.pixels, shape[0], shape[1], shape[2]);
            return Err(wrong((0, reason)));
        }
        let full = if is_digits { DIGITS_FULL } else { settings.full_scale.unwrap_or(u8::MAX) };
        Ok(Self {
            path: path.map(Path::to_owned),
            cells: table.cells,
            rows: table.rows,
            classes: table.classes,
            label: table.label,
            splits: settings.splits.clone(),
            shape,
            full,
        })
    }

    fn named(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(|| "digits".into())
    }
}

struct Table {
    cells: Vec<u8>,
    rows: Vec<Row>,
    classes: Vec<String>,
    label: usize,
    /// Columns besides the label.
    pixels: usize,
}

/// Finds every row and its class; `known` are the classes in label order, if they are given.
fn index(content: &[u8], known: &[String]) -> Result<Table, RowProblem> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(content);
    let header = reader.byte_headers().map_err(|error| (0, error.to_string()))?;
    let columns = header.len();
    let label = header.iter().position(|name| name.trim_ascii() == b"label").unwrap_or(0);
    let mut cells = Vec::with_capacity(content.len());
    let mut found: Vec<(Range<usize>, String)> = Vec::new();
    let mut record = ByteRecord::new();
    loop {
        let row = found.len();
        if !reader.read_byte_record(&mut record).map_err(|error| (row, error.to_string()))? {
            break;
        }
        if record.len() != columns {
            return Err((row, format!("{} cells instead of {columns}", record.len())));
        }
        let start = cells.len();
        join(&record, label, &mut cells).map_err(|reason| (row, reason))?;
        found.push((start..cells.len(), String::from_utf8_lossy(record[label].trim_ascii()).into_owned()));
    }
    let classes = classes(known, &found);
    let positions: BTreeMap<&str, usize> = classes.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    // Labels are names or numbers, never some of each: `9` may be a name and a number.
    let named = found.iter().all(|(_, label)| positions.contains_key(label.as_str()));
    let number = |label: &str| label.parse::<usize>().ok().filter(|number| *number < classes.len());
    let class = |label: &str| if named { positions.get(label).copied() } else { number(label) };
    let rows = found.iter().enumerate().map(|(row, (cells, label))| match class(label) {
        Some(class) => Ok(Row { cells: cells.clone(), class }),
        None => Err((row, format!("the label `{label}` is none of the {} classes", classes.len()))),
    });
    Ok(Table { rows: rows.collect::<Result<_, _>>()?, cells, label, pixels: columns - 1, classes })
}

/// Appends the cells besides the label, as `cut` would print them.
fn join(record: &ByteRecord, label: usize, cells: &mut Vec<u8>) -> Result<(), String> {
    let pixels = record.iter().enumerate().filter(|(column, _)| *column != label);
    for (position, (column, cell)) in pixels.enumerate() {
        if cell.contains(&b',') {
            return Err(format!("column {} holds a comma", column + 1));
        }
        if position > 0 {
            cells.push(b',');
        }
        cells.extend(plain_number(cell.trim_ascii()));
    }
    Ok(())
}

/// `+05` as `5`: one image must not be two by the spelling of its pixels.
fn plain_number(cell: &[u8]) -> &[u8] {
    let unsigned = cell.strip_prefix(b"+").unwrap_or(cell);
    let digits = unsigned.iter().position(|byte| *byte != b'0').unwrap_or(unsigned.len().saturating_sub(1));
    &unsigned[digits..]
}

/// The classes that the manifest lists; else numbers up to the highest label; else the labels sorted.
fn classes(known: &[String], found: &[(Range<usize>, String)]) -> Vec<String> {
    const MOST: usize = 100_000;
    if !known.is_empty() {
        return known.to_vec();
    }
    let numbers: Option<Vec<usize>> = found.iter().map(|(_, label)| label.parse().ok()).collect();
    match numbers.and_then(|numbers| numbers.into_iter().max()).filter(|highest| *highest < MOST) {
        Some(highest) => (0..=highest).map(|class| class.to_string()).collect(),
        None => found.iter().map(|(_, label)| label.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

fn square(pixels: usize) -> Result<[usize; 3], String> {
    let side = pixels.isqrt();
    if side * side == pixels && side > 0 {
        return Ok([1, side, side]);
    }
    Err(format!("{pixels} pixel columns are no square; set `dataset.shape`"))
}

impl Source for CsvRows {
    fn digest(&self, meter: &dyn Meter) -> Result<Digest, DatasetError> {
        match &self.path {
            Some(path) => Ok(digest_of_file(path, meter)?),
            None => Ok(Digest::of(EMBEDDED)),
        }
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn splits(&self) -> Vec<String> {
        self.splits.keys().cloned().collect()
    }

    fn split(&self, name: &str) -> Result<Vec<Entry>, DatasetError> {
        let range = self.splits.get(name).ok_or_else(|| DatasetError::no_split(&self.named(), name, self.splits()))?;
        let rows = crate::manifest::row_range(range).filter(|rows| rows.end <= self.rows.len());
        let rows = rows.ok_or_else(|| DatasetError::Rows {
            split: name.to_owned(),
            range: range.clone(),
            rows: self.rows.len(),
        })?;
        Ok(rows.map(|row| Entry { id: row.to_string(), class: self.rows[row].class, place: row }).collect())
    }

    /// The pixels alone, so that an image is the same under two labels.
    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
        Ok(self.cells[self.rows[entry.place].cells.clone()].to_vec())
    }

    fn look(&self, entry: &Entry, bytes: &[u8]) -> Result<Look, DatasetError> {
        self.decode(entry, bytes).map(|_| Look::plain(self.shape))
    }

    fn decode(&self, entry: &Entry, bytes: &[u8]) -> Result<Image, DatasetError> {
        let pixel = |(position, cell): (usize, &[u8])| {
            let text = String::from_utf8_lossy(cell);
            let column = position + 1 + usize::from(position >= self.label);
            text.parse::<u8>().ok().filter(|value| *value <= self.full).ok_or_else(|| {
                let reason = format!("`{text}` in column {column} is no pixel from 0 to {}", self.full);
                DatasetError::Row { path: self.named(), row: entry.place, reason }
            })
        };
        let pixels = bytes.split(|byte| *byte == b',').enumerate().map(pixel).collect::<Result<Vec<u8>, _>>()?;
        let [channels, height, width] = self.shape;
        Ok(Image { channels, height, width, pixels, full: self.full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(splits: &[(&str, &str)]) -> CsvRows {
        let preprocess = "preprocess = { interpolation = \"bilinear\", antialias = false, mean = [0.5], std = [0.5] }";
        let mut settings: Dataset = toml::from_str(&format!("format = \"digits\"\n{preprocess}")).unwrap();
        settings.splits = splits.iter().map(|(name, range)| ((*name).into(), (*range).into())).collect();
        CsvRows::open(&settings, None).unwrap()
    }

    #[test]
    fn the_embedded_copy_is_whole_and_ranges_are_checked() {
        let digits = digits(&[("all", "0..1797"), ("far", "5..9999")]);
        let all = digits.split("all").unwrap();
        assert_eq!((all.len(), all[0].class, all[1796].class), (1797, 0, 8));
        assert_eq!(digits.decode(&all[0], &digits.bytes(&all[0]).unwrap()).unwrap().pixels[2], 5);
        assert!(matches!(digits.split("far"), Err(DatasetError::Rows { .. })));
        assert!(matches!(digits.split("none"), Err(DatasetError::NoSplit { .. })));
    }

    #[test]
    fn labels_may_be_anywhere_and_be_words() {
        let table = index(b"a,label,b\r\n1,cat,2\r\n3,ant,4\r\n", &[]).unwrap();
        assert_eq!(
            (table.label, table.pixels, table.classes.as_slice()),
            (1, 2, &["ant".to_owned(), "cat".into()][..])
        );
        assert_eq!(table.rows.iter().map(|row| row.class).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(&table.cells[table.rows[1].cells.clone()], b"3,4");
        let spelled = ["0", "00", "+05", "012", "", "+", "x0"].map(|cell| plain_number(cell.as_bytes()));
        assert_eq!(spelled, [&b"0"[..], b"0", b"5", b"12", b"", b"", b"x0"]);
        let classes = |text: &[u8], known: &[&str]| {
            let known: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
            index(text, &known).map(|table| table.rows.iter().map(|row| row.class).collect::<Vec<_>>())
        };
        assert_eq!(classes(b"label,p\ny,0\nx,0\n", &["x", "y"]).unwrap(), [1, 0]);
        assert_eq!(classes(b"label,p\n1,0\n0,0\n", &["x", "y"]).unwrap(), [1, 0]);
        assert_eq!(classes(b"label,p\n1,0\n0,0\n", &["1", "0"]).unwrap(), [0, 1], "names come first");
        assert!(classes(b"label,p\n1,0\nx,0\n", &["x", "y"]).is_err(), "not some of each");
        assert_eq!(index(b"label,p\n1,0\n1\n", &[]).err().unwrap(), (1, "1 cells instead of 2".into()));
        assert!(index(b"label,p\n9,0\n", &["x".into()]).is_err());
    }
}
