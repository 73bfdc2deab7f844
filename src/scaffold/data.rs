//! What the data says of itself: its format, its splits, its images' sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Wish;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::progress::Unmetered;
use crate::base::units::counted;
use crate::dataset::{self, DatasetError, Entry, Labels, Source, guess};
use crate::inspect::ModelInputs;
use crate::manifest::{Dataset, DatasetFormat, Interpolation, PixelScale, Preprocess, Strategy, Subset, Task};
use crate::picture::Look;

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
    /// Whether colour images become gray ones.
    pub(super) gray: bool,
    /// Whether the classes must be listed, for some split lacks one.
    pub(super) listed: bool,
    /// Files among the images that are not read, by ending.
    pub(super) passed_over: BTreeMap<String, usize>,
    /// Images with an EXIF orientation.
    pub(super) turned: usize,
    pub(super) notes: Vec<String>,
}

impl Found {
    /// Whether class folders are numbers in another order than they count.
    pub(super) fn are_numbers(&self) -> bool {
        self.format == DatasetFormat::ImageFolder && !self.listed && dataset::are_shuffled_numbers(&self.classes)
    }
}

/// A subset as it will be written.
pub(super) struct Side {
    pub(super) split: String,
    pub(super) choice: Choice,
}

pub(super) enum Choice {
    All,
    Stratified(usize),
    Random(usize),
    /// The file's name.
    List(String),
}

pub(super) struct List {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

pub(super) fn look(wish: &Wish<'_>, model: &ModelInputs) -> Result<Found, Failure> {
    let format = match guess::format(wish.data)? {
        // What is not classified needs no folders by class.
        DatasetFormat::ImageFolder if wish.task == Task::Fidelity => DatasetFormat::Images,
        format => format,
    };
    let rows = if format == DatasetFormat::Csv { halves(guess::csv_rows(wish.data)?) } else { Vec::new() };
    let mut settings = settings(format, &rows);
    let (labels, _) = dataset::labels(&settings, wish.classes)?;
    let mut source = open(&mut settings, wish.data, model, &labels)?;
    let mut notes = Vec::new();
    let mut listed = false;
    if let Some(missing) = lacking(&*source)? {
        // The order of all folders is what it would be without the gap.
        let all = Labels::Listed(source.classes().to_vec());
        (source, listed) = (open(&mut settings, wish.data, model, &all)?, true);
        notes.push(format!("the data: {missing}; every class is listed, so that no label shifts"));
    }
    let mut splits = Vec::new();
    for name in source.splits() {
        let entries = source.split(&name)?;
        splits.push((name, entries));
    }
    let Pictures { resize, gray, turned } = pictures(&*source, &splits, model)?;
    let counted = splits.iter().map(|(name, entries)| (name.clone(), entries.len())).collect();
    let names: Vec<&str> = splits.iter().map(|(name, _)| name.as_str()).collect();
    let (calibration, evaluation, lists, divided) = match sides(&names) {
        Some((from, to)) => {
            let available = splits.iter().find(|(name, _)| name == from).map_or(0, |(_, entries)| entries.len());
            let count = CALIBRATION.min(available);
            let has_classes = format != DatasetFormat::Images;
            let choice = if has_classes { Choice::Stratified(count) } else { Choice::Random(count) };
            let calibration = Side { split: from.to_owned(), choice };
            (calibration, Side { split: to.to_owned(), choice: Choice::All }, Vec::new(), None)
        }
        None => divided(wish, &*source, names.first().copied().unwrap_or_default())?,
    };
    unnamed_scores(wish, model, &*source)?;
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
        gray,
        listed,
        passed_over: source.passed_over(),
        turned,
        notes: notes.into_iter().chain(divided).collect(),
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
        classes_file: None,
        classes_sha256: None,
        class_index: BTreeMap::new(),
        shape: None,
        full_scale: None,
        preprocess: Preprocess {
            resize: None,
            resize_shorter_side: None,
            center_crop: None,
            scale: PixelScale::Unit,
            grayscale: false,
            exif_orientation: false,
            resize_by: None,
            interpolation: Interpolation::Bilinear,
            antialias: true,
            mean: Vec::new(),
            std: Vec::new(),
        },
    }
}

/// A CSV file of colour images cannot be told from one of gray ones but by the model's channels.
fn open(settings: &mut Dataset, data: &Path, model: &ModelInputs, labels: &Labels) -> Result<Box<dyn Source>, Failure> {
    match dataset::open(settings, Some(data), labels) {
        Ok(source) => Ok(source),
        Err(error) if settings.format == DatasetFormat::Csv => {
            let &[channels, height, width] = model.facts.input.as_slice() else { return Err(error.into()) };
            settings.shape = Some([channels, height, width]);
            dataset::open(settings, Some(data), labels).map_err(|_| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What a split lacks that others have, as a sentence.
fn lacking(source: &dyn Source) -> Result<Option<String>, Failure> {
    for name in source.splits() {
        match source.split(&name) {
            Ok(_) => {}
            Err(DatasetError::MissingClass { split, missing, .. }) => {
                let names: Vec<String> = missing.iter().take(5).map(|class| format!("`{class}`")).collect();
                return Ok(Some(format!(
                    "split `{split}` has no images of {} ({})",
                    counted(missing.len(), "class"),
                    names.join(", ")
                )));
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(None)
}

/// A model with more scores than the data has classes needs names for them.
fn unnamed_scores(wish: &Wish<'_>, model: &ModelInputs, source: &dyn Source) -> Result<(), Failure> {
    let found = source.classes().len();
    let Some(scores) = model.outputs.scores().filter(|scores| *scores > found && *scores != 1) else { return Ok(()) };
    if wish.classes.is_some() {
        return Ok(());
    }
    let message = format!("the model gives {scores} scores, and the data has {}", counted(found, "class"));
    let next = format!(
        "give `--classes FILE`: {scores} names in the order of the scores, as a JSON array or a line for each, among them those of \
         the folders"
    );
    Err(Diagnostic::error(Cause::Input, message).next(next).into())
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
        return Err(Diagnostic::error(Cause::Input, message).next("add images").into());
    }
    let strategy = if source.classes().is_empty() { Strategy::Random } else { Strategy::Stratified };
    let part = dataset::choose(source, &subset(strategy, Some(samples)), None, &Unmetered)?;
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

/// What the images are beside what the model takes.
struct Pictures {
    /// The model's size, unless every image already has it.
    resize: Option<[usize; 2]>,
    /// Whether the model takes one channel and some image has three.
    gray: bool,
    turned: usize,
}

/// Looks at every image; those that cannot be read are told together.
fn pictures(source: &dyn Source, splits: &[(String, Vec<Entry>)], model: &ModelInputs) -> Result<Pictures, Failure> {
    let mut found = Pictures { resize: None, gray: false, turned: 0 };
    let &[channels, height, width] = model.facts.input.as_slice() else { return Ok(found) };
    let entries: Vec<&Entry> = splits.iter().flat_map(|(_, entries)| entries).collect();
    let look = |entry: &&Entry| source.bytes(entry).and_then(|bytes| source.look(entry, &bytes));
    let mut broken = Vec::new();
    for look in entries.par_iter().map(look).collect::<Vec<_>>() {
        match look {
            Ok(Look { shape: [own_channels, own_height, own_width], turned }) => {
                if [own_height, own_width] != [height, width] {
                    found.resize = Some([height, width]);
                }
                found.gray |= channels == 1 && own_channels != 1;
                found.turned += usize::from(turned);
            }
            Err(DatasetError::Image { id, reason }) => broken.push((id, reason)),
            Err(other) => return Err(other.into()),
        }
    }
    if broken.is_empty() { Ok(found) } else { Err(DatasetError::Images { broken }.into()) }
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
