//! What the data says of itself: its format, its splits, its images' sizes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Wish;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::progress::Unmetered;
use crate::base::units::counted;
use crate::dataset::{self, Entry, Source, guess};
use crate::inspect::ModelInputs;
use crate::manifest::{Dataset, DatasetFormat, Interpolation, Preprocess, Strategy, Subset};

/// Calibration advice starts between 100 and 500 samples.
const CALIBRATION: usize = 512;

/// Names that people give to the two sides, best first.
const CALIBRATION_NAMES: [&str; 4] = ["calibration", "calib", "train", "training"];
const EVALUATION_NAMES: [&str; 6] = ["test", "testing", "val", "valid", "validation", "evaluation"];

/// What was found.
pub(super) struct Found {
    pub(super) format: DatasetFormat,
    /// Row ranges, of a format that has rows.
    pub(super) rows: Vec<(&'static str, std::ops::Range<usize>)>,
    pub(super) shape: Option<[usize; 3]>,
    pub(super) classes: Vec<String>,
    /// Every split with its number of samples.
    pub(super) splits: Vec<(String, usize)>,
    pub(super) calibration: Side,
    pub(super) evaluation: Side,
    /// Written beside the manifest where one split must serve both sides.
    pub(super) lists: Vec<List>,
    /// `[height, width]` to resize to, where the images have other sizes than the model takes.
    pub(super) resize: Option<[usize; 2]>,
    pub(super) note: Option<String>,
}

/// A subset as it will be written.
pub(super) struct Side {
    pub(super) split: String,
    pub(super) choice: Choice,
}

pub(super) enum Choice {
    All,
    Stratified(usize),
    /// The file's name.
    List(String),
}

pub(super) struct List {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

pub(super) fn look(wish: &Wish<'_>, model: &ModelInputs) -> Result<Found, Failure> {
    let format = guess::format(wish.data)?;
    let rows = if format == DatasetFormat::Csv { halves(guess::csv_rows(wish.data)?) } else { Vec::new() };
    let mut settings = settings(format, &rows);
    let source = open(&mut settings, wish.data, model)?;
    let mut splits = Vec::new();
    for name in source.splits() {
        let entries = source.split(&name)?;
        splits.push((name, entries));
    }
    let resize = resize(&*source, &splits, model)?;
    let counted = splits.iter().map(|(name, entries)| (name.clone(), entries.len())).collect();
    let names: Vec<&str> = splits.iter().map(|(name, _)| name.as_str()).collect();
    let (calibration, evaluation, lists, note) = match sides(&names) {
        Some((from, to)) => {
            let available = splits.iter().find(|(name, _)| name == from).map_or(0, |(_, entries)| entries.len());
            let choice = Choice::Stratified(CALIBRATION.min(available));
            let calibration = Side { split: from.to_owned(), choice };
            (calibration, Side { split: to.to_owned(), choice: Choice::All }, Vec::new(), None)
        }
        None => divided(wish, &*source, names.first().copied().unwrap_or_default())?,
    };
    Ok(Found {
        format,
        rows,
        shape: settings.shape,
        classes: source.classes().to_vec(),
        splits: counted,
        calibration,
        evaluation,
        lists,
        resize,
        note,
    })
}

fn settings(format: DatasetFormat, rows: &[(&'static str, std::ops::Range<usize>)]) -> Dataset {
    let range = |(name, range): &(&str, std::ops::Range<usize>)| {
        ((*name).to_owned(), format!("{}..{}", range.start, range.end))
    };
    Dataset {
        format,
        path: None,
        sha256: None,
        source: None,
        splits: rows.iter().map(range).collect(),
        classes: Vec::new(),
        shape: None,
        full_scale: None,
        preprocess: Preprocess {
            resize: None,
            resize_shorter_side: None,
            center_crop: None,
            interpolation: Interpolation::Bilinear,
            antialias: true,
            mean: Vec::new(),
            std: Vec::new(),
        },
    }
}

/// A CSV file of colour images cannot be told from one of gray ones but by the model's channels.
fn open(settings: &mut Dataset, data: &Path, model: &ModelInputs) -> Result<Box<dyn Source>, Failure> {
    match dataset::open(settings, Some(data)) {
        Ok(source) => Ok(source),
        Err(error) if settings.format == DatasetFormat::Csv => {
            let &[channels, height, width] = model.facts.input.as_slice() else { return Err(error.into()) };
            settings.shape = Some([channels, height, width]);
            dataset::open(settings, Some(data)).map_err(|_| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn halves(rows: usize) -> Vec<(&'static str, std::ops::Range<usize>)> {
    vec![("train", 0..rows / 2), ("test", rows / 2..rows)]
}

/// The splits to calibrate on and to judge on, where there are two.
fn sides<'a>(names: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let named = |wanted: &[&str]| {
        let found = |wanted: &&str| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)).copied();
        wanted.iter().find_map(found)
    };
    if names.len() < 2 {
        return None;
    }
    let to = named(&EVALUATION_NAMES).unwrap_or(names[names.len() - 1]);
    let other = || names.iter().find(|name| **name != to).copied();
    let from = named(&CALIBRATION_NAMES).filter(|from| *from != to).or_else(other)?;
    Some((from, to))
}

/// One split for both sides: a stratified part to calibrate on, the rest of other content to judge on.
fn divided(
    wish: &Wish<'_>,
    source: &dyn Source,
    split: &str,
) -> Result<(Side, Side, Vec<List>, Option<String>), Failure> {
    let subset = |strategy, samples| Subset {
        splits: vec![split.to_owned()],
        strategy,
        samples,
        list: None,
        seed: 0,
        batch_size: 1,
        sha256: None,
    };
    let all = dataset::choose(source, &subset(Strategy::All, None), None, &Unmetered)?;
    let samples = CALIBRATION.min(all.entries.len() / 3);
    if samples == 0 {
        let message =
            format!("`{}` has {}, too few to divide", wish.data.display(), counted(all.entries.len(), "image"));
        return Err(Diagnostic::error(Cause::Input, message)
            .next("add images, or splits `<split>/<class>/<image>`")
            .into());
    }
    let part = dataset::choose(source, &subset(Strategy::Stratified, Some(samples)), None, &Unmetered)?;
    let seen: BTreeSet<_> = part.digests.iter().collect();
    let rest =
        all.entries.iter().zip(&all.digests).filter(|(_, digest)| !seen.contains(digest)).map(|(entry, _)| entry);
    let sides = [("calibration", listing(part.entries.iter())), ("evaluation", listing(rest))];
    let stem = wish.output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let lists: Vec<List> = sides
        .into_iter()
        .map(|(side, text)| List { path: wish.output.with_file_name(format!("{stem}.{side}.txt")), text })
        .collect();
    let side = |list: &List| Side {
        split: split.to_owned(),
        choice: Choice::List(list.path.file_name().unwrap_or_default().to_string_lossy().into_owned()),
    };
    let note = format!(
        "the data has one split, `{split}`: {samples} samples calibrate and the others evaluate, by the two lists"
    );
    Ok((side(&lists[0]), side(&lists[1]), lists, Some(note)))
}

fn listing<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    entries.flat_map(|entry| [entry.id.as_str(), "\n"]).collect()
}

/// The model's size, unless every image already has it.
fn resize(
    source: &dyn Source,
    splits: &[(String, Vec<Entry>)],
    model: &ModelInputs,
) -> Result<Option<[usize; 2]>, Failure> {
    let &[_, height, width] = model.facts.input.as_slice() else { return Ok(None) };
    for entry in splits.iter().flat_map(|(_, entries)| entries) {
        let [_, own_height, own_width] = source.shape(entry, &source.bytes(entry)?)?;
        if [own_height, own_width] != [height, width] {
            return Ok(Some([height, width]));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sides_are_told_by_their_names() {
        assert_eq!(sides(&["test", "train"]), Some(("train", "test")));
        assert_eq!(sides(&["train", "val"]), Some(("train", "val")));
        assert_eq!(sides(&["calib", "test", "train"]), Some(("calib", "test")));
        assert_eq!(sides(&["a", "b"]), Some(("a", "b")));
        assert_eq!(sides(&["test", "validation"]), Some(("validation", "test")));
        assert_eq!(sides(&["all"]), None);
    }
}
