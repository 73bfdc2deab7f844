//! `[dataset]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DatasetFormat, Interpolation, PixelScale, Remote, ResizeBy};
use crate::base::digest::Digest;
use crate::document::{Problem, is_file_name, problem};

/// Where samples come from and how an image becomes a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub format: DatasetFormat,
    /// A file or folder; relative to the manifest. `digits` without a path is the embedded copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Pin of the file; of a folder, of the lines that `sha256sum` prints for its files sorted by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Remote>,
    /// Names for row ranges `first..end` of a format that has rows instead of folders.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub splits: BTreeMap<String, String>,
    /// Class names in the order of the model's outputs; absent, image folders take their class folders in byte order.
    /// A split may lack samples of a class that is listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The same in a file of its own, relative to the manifest: a JSON array of names, or a line for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes_file: Option<PathBuf>,
    /// Pin of `classes_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes_sha256: Option<Digest>,
    /// The model's output for each class folder, counted from 0, where the model has more outputs than the data has
    /// classes: `{ tench = 0, "English springer" = 217 }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("additionalProperties" = {"type": "integer", "minimum": 0, "maximum": 1_000_000}))]
    pub class_index: BTreeMap<String, usize>,
    /// `[channels, height, width]` of a row of `csv`; absent, one channel and a square.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<[usize; 3]>,
    /// The pixel value of `csv` that stands for full intensity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub full_scale: Option<u8>,
    pub preprocess: Preprocess,
}

/// Image to tensor, as torchvision's tensor transforms do it: scale to 0..1 by division (`ToTensor`,
/// `convert_image_dtype`), resize, crop, normalize.
/// A single channel is repeated up to the model's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// `[height, width]` in pixels, whatever the aspect ratio; absent keeps the image's own size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 1, max = 8192)))]
    pub resize: Option<[usize; 2]>,
    /// Pixels that the shorter side becomes, at the image's own aspect ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8192))]
    pub resize_shorter_side: Option<usize>,
    /// `[height, width]` in pixels, cut from the middle after resizing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 1, max = 8192)))]
    pub center_crop: Option<[usize; 2]>,
    /// What full intensity becomes before anything else: `0..1`, or `0..255` for networks that normalize their input
    /// themselves or take bytes. `0..1` unless said otherwise.
    #[serde(default, skip_serializing_if = "PixelScale::is_usual")]
    pub scale: PixelScale,
    /// Makes one channel of colour images, `0.299 R + 0.587 G + 0.114 B` in integers as Pillow's `convert("L")`; `false`
    /// unless said otherwise.
    #[serde(default, skip_serializing_if = "is_false")]
    pub grayscale: bool,
    /// Turns images the way that their EXIF orientation says, as viewers do and Pillow does not; `false` unless said
    /// otherwise. TIFF files are always turned by their own tag, as Pillow does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exif_orientation: bool,
    /// Who resizes: `pillow` does it to the bit as `torchvision.transforms` and timm do with what `PIL.Image.open` gives, and before
    /// pixels are scaled; `tensor` as torchvision does with tensors. `tensor` unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize_by: Option<ResizeBy>,
    pub interpolation: Interpolation,
    /// Whether shrinking averages over every source pixel; torchvision's default is `true`.
    pub antialias: bool,
    /// Subtracted per channel of the model's input, in units of `scale`.
    #[schemars(length(min = 1))]
    pub mean: Vec<f64>,
    /// Divides per channel, in units of `scale`.
    #[schemars(length(min = 1), extend("items" = {"type": "number", "exclusiveMinimum": 0}))]
    pub std: Vec<f64>,
}

impl Preprocess {
    /// Whether normalizing changes nothing.
    #[must_use]
    pub fn leaves_pixels(&self) -> bool {
        let all = |values: &[f64], wanted: f64| values.iter().all(|value| (value - wanted).abs() < f64::EPSILON);
        all(&self.mean, 0.0) && all(&self.std, 1.0)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

pub(super) fn storage(dataset: &Dataset) -> Vec<Problem> {
    let mut found = Vec::new();
    let format = dataset.format;
    let has_rows = matches!(format, DatasetFormat::Csv | DatasetFormat::Digits);
    if dataset.path.is_none() && format != DatasetFormat::Digits {
        found.push(problem("dataset.path", "is missing", format!("name the file or folder of the `{format}` data")));
    }
    if !has_rows && !dataset.splits.is_empty() {
        let message = format!("does not apply to `{format}`, which names its splits itself");
        found.push(problem("dataset.splits", message, "remove it"));
    }
    if has_rows && dataset.splits.is_empty() {
        let message = format!("is missing, and `{format}` has rows, not folders");
        found.push(problem(
            "dataset.splits",
            message,
            "name row ranges, such as `{ train = \"0..1000\", test = \"1000..1797\" }`",
        ));
    }
    for name in dataset.splits.keys().filter(|name| !is_file_name(name) || name.contains('.')) {
        let message = format!("has the name `{}`", name.escape_debug());
        found.push(problem("dataset.splits", message, "name splits with letters, digits, `-` and `_`"));
    }
    for (name, range) in &dataset.splits {
        if row_range(range).is_none() {
            let message = format!("is `{range}`, not a range of rows");
            found.push(problem(format!("dataset.splits.{name}"), message, "write `first..end`, such as `0..1000`"));
        }
    }
    if format != DatasetFormat::Csv {
        for (key, given) in [("shape", dataset.shape.is_some()), ("full_scale", dataset.full_scale.is_some())] {
            if given {
                found.push(problem(
                    format!("dataset.{key}"),
                    format!("applies to `csv`, not to `{format}`"),
                    "remove it",
                ));
            }
        }
    }
    if let Some(class) = twice(&dataset.classes) {
        found.push(problem("dataset.classes", format!("names `{class}` twice"), "give each label its own name"));
    }
    if let (Some(source), Some(pin)) = (&dataset.source, &dataset.sha256)
        && source.sha256 != *pin
    {
        let message = "differs from `dataset.sha256`, so that what is fetched could never be used";
        found.push(problem("dataset.source.sha256", message, "make both the digest of the file"));
    }
    if dataset.source.is_some() && dataset.path.is_none() {
        found.push(problem("dataset.source", "has no `dataset.path` to be stored at", "add `path`"));
    }
    found
}

/// `first..end`, not empty.
#[must_use]
pub(crate) fn row_range(text: &str) -> Option<std::ops::Range<usize>> {
    let (first, end) = text.split_once("..")?;
    let (first, end) = (first.trim().parse().ok()?, end.trim().parse().ok()?);
    (first < end).then_some(first..end)
}

/// The label order is said once.
pub(super) fn labels(dataset: &Dataset) -> Vec<Problem> {
    let mut found = Vec::new();
    let file = dataset.classes_file.is_some();
    let said = [
        (!dataset.classes.is_empty(), "classes"),
        (file, "classes_file"),
        (!dataset.class_index.is_empty(), "class_index"),
    ];
    let said: Vec<&str> = said.into_iter().filter_map(|(said, key)| said.then_some(key)).collect();
    if let [first, second, ..] = said.as_slice() {
        let message = format!("contradicts `{first}`, which gives the label order");
        found.push(problem(format!("dataset.{second}"), message, "keep one of the two"));
    }
    if dataset.format != DatasetFormat::ImageFolder {
        let only = said.iter().filter(|key| **key != "classes");
        found.extend(only.map(|key| {
            let message = format!("is of image folders, and `format` is `{}`", dataset.format);
            problem(format!("dataset.{key}"), message, "give the names in `classes`")
        }));
    }
    if dataset.classes_sha256.is_some() && !file {
        found.push(problem("dataset.classes_sha256", "pins no file", "add `classes_file`, or remove it"));
    }
    let mut outputs: Vec<usize> = dataset.class_index.values().copied().collect();
    outputs.sort_unstable();
    let twice = outputs.iter().zip(outputs.iter().skip(1)).find(|(one, next)| one == next);
    if let Some((twice, _)) = twice {
        let message = format!("gives output {twice} to two folders");
        found.push(problem("dataset.class_index", message, "give each folder an output of its own"));
    }
    if let Some(far) = outputs.last().filter(|last| **last > MOST_OUTPUTS) {
        let message = format!("names output {far}, and no classifier has that many outputs");
        found.push(problem("dataset.class_index", message, "count the model's outputs from 0"));
    }
    found
}

/// Outputs beyond this are no classes.
const MOST_OUTPUTS: usize = 1_000_000;

pub(super) fn preprocessing(dataset: &Dataset) -> Vec<Problem> {
    let mut found = Vec::new();
    let preprocess = &dataset.preprocess;
    if preprocess.mean.len() != preprocess.std.len() {
        let message = format!("and `mean` differ in length: {} and {}", preprocess.std.len(), preprocess.mean.len());
        found.push(problem("dataset.preprocess.std", message, "give one of each per channel of the model's input"));
    }
    if preprocess.resize.is_some() && preprocess.resize_shorter_side.is_some() {
        let message = "contradicts `resize`, which fixes both sides";
        found.push(problem("dataset.preprocess.resize_shorter_side", message, "keep one of the two"));
    }
    let too_large = |crop: &[usize; 2]| match (preprocess.resize, preprocess.resize_shorter_side) {
        (Some(size), _) => crop[0] > size[0] || crop[1] > size[1],
        (None, Some(side)) => crop.iter().all(|length| *length > side),
        (None, None) => false,
    };
    if preprocess.center_crop.is_some_and(|crop| too_large(&crop)) {
        let message = "is larger than the resized image";
        found.push(problem("dataset.preprocess.center_crop", message, "crop to at most what resizing gives"));
    }
    if preprocess.antialias && preprocess.interpolation == Interpolation::Nearest {
        let message = "does not apply to `interpolation = \"nearest\"`";
        found.push(problem("dataset.preprocess.antialias", message, "remove it, or use `bilinear`"));
    }
    found.extend(resizing(preprocess));
    let full = if dataset.format == DatasetFormat::Digits { Some(16) } else { dataset.full_scale };
    if let Some(full) = full.filter(|full| *full != u8::MAX && by_pillow(preprocess)) {
        let message = format!("is of bytes, and full intensity is {full} here");
        found.push(problem("dataset.preprocess.resize_by", message, "remove it, or use `tensor`"));
    }
    found
}

const fn by_pillow(preprocess: &Preprocess) -> bool {
    match preprocess.resize_by {
        None | Some(ResizeBy::Tensor) => false,
        Some(ResizeBy::Pillow | ResizeBy::Pillow12) => true,
    }
}

/// What Pillow alone can do, and what it cannot leave.
fn resizing(preprocess: &Preprocess) -> Option<Problem> {
    let by_pillow = by_pillow(preprocess);
    let smooth = match preprocess.interpolation {
        Interpolation::Bilinear | Interpolation::Bicubic => true,
        Interpolation::Nearest => false,
        Interpolation::Box | Interpolation::Hamming | Interpolation::Lanczos if by_pillow => true,
        other @ (Interpolation::Box | Interpolation::Hamming | Interpolation::Lanczos) => {
            let message = format!("is `{other}`, which tensors are not resized with");
            let next = "set `resize_by = \"pillow\"`, or use `bilinear`";
            return Some(problem("dataset.preprocess.interpolation", message, next));
        }
    };
    (by_pillow && smooth && !preprocess.antialias).then(|| {
        let message = "is false, and Pillow always averages where it shrinks";
        problem("dataset.preprocess.antialias", message, "set it to true, or `resize_by = \"tensor\"`")
    })
}

fn twice(names: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    names.iter().find(|name| !seen.insert(*name))
}
