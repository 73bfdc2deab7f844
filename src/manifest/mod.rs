//! The TOML that a person commits: what it may say, its defaults, and how it becomes the resolved
//! settings that a run obeys.

mod brackets;
mod choice;
mod combination;
mod defaults;
mod layers;
mod load;
mod missing;
mod origins;
mod parts;
mod pinning;
mod problem;
mod reference;
mod resolved;
mod rewritten;
mod rows;
mod rules;
mod schema;
mod source;
mod structure;
mod sweep;

pub use choice::{
    Backend, Choice, DatasetFormat, Device, Engine, FEW_IMAGES, Granularity, Interpolation, Isa, LayerKernel,
    LayerObserver, LayerPrecision, MemoryFormat, PixelScale, Precision, Recipe, Step, Strategy,
};
pub use combination::{Artefact, COMBINATIONS, Combination, engines_table};
pub use defaults::SCHEMA;
pub use load::{Overrides, PROJECT_FILE, load, load_bytes, restore};
pub use pinning::{Pin, pinned_text};
pub use reference::reference_page;
pub use resolved::{Override, Resolved, relative, settings_text};
pub use rewritten::{Choices, chosen_text};
pub use rows::Variant;
use rows::calibrates_on;
pub(crate) use rules::row_range;
pub use schema::json_schema;
pub use source::Layer;
pub use structure::is_file_name;
pub use sweep::{Axis, Base, Sweep};

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;

/// A requant experiment: the model, the data, how to quantize and what to hold the result to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which set of defaults the manifest was written for; they never change for a schema.
    #[schemars(range(min = 1, max = 1))]
    pub schema: u32,
    /// Names the folder under `results/`.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// One sentence for the top of the report.
    #[serde(default)]
    pub description: String,
    pub model: Model,
    pub dataset: Dataset,
    /// The samples that observers see, in order.
    pub calibration: Subset,
    /// The samples that every variant is judged on, in order.
    pub evaluation: Subset,
    pub quantize: Quantize,
    /// The rows of the comparison.
    #[schemars(length(min = 1))]
    pub variant: Vec<Variant>,
    pub compute: Compute,
    pub benchmark: Benchmark,
    pub goals: Goals,
    pub record: RecordOptions,
    pub report: ReportOptions,
}

/// The ONNX model, by content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The ONNX file; relative to the manifest.
    pub path: PathBuf,
    /// Pin of the file; `requant pin` fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Remote>,
    /// The tensor that holds the classes' scores: one of the model's outputs, or what a node gives. Needed where the
    /// model has several outputs, or ends in `ArgMax`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Pin of the files beside the model that hold its weights (`model.onnx.data`): the file's SHA-256, or where there
    /// are several, that of the lines that `sha256sum` prints for them sorted by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<Digest>,
}

/// Where `requant fetch` finds a file that is not committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// `https://`, `http://` or `file://`.
    #[schemars(regex(pattern = "^(https|http|file)://"))]
    pub url: String,
    /// Of the file as it is fetched; it gets its name only when this matches.
    pub sha256: Digest,
    /// Bytes that the file has at most: whatever goes on beyond is not received. 16 GiB unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_u64))]
    pub bytes: Option<u64>,
}

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

/// An ordered choice of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// The splits to draw from, in order.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub splits: Vec<String>,
    pub strategy: Strategy,
    /// How many samples to take; absent with `all` and `list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub samples: Option<usize>,
    /// With `list`: a text file of one sample id per line; relative to the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<PathBuf>,
    /// Of `random` and `stratified`.
    #[schemars(range(min = 0, max = 9_223_372_036_854_775_807_u64))]
    pub seed: u64,
    /// Samples per forward pass; part of the calibration's pin, since observers see batches.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch_size: usize,
    /// Pin of the ordered samples and their bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// How the network becomes INT8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    pub recipe: Recipe,
    /// Steps that replace the recipe's own; `robust` chooses its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("uniqueItems" = true))]
    pub steps: Option<Vec<Step>>,
    /// How many weights share a scale; `per-channel` unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Granularity>,
    /// Whether activations have 7 bits, so that kernels without VNNI cannot leave 16 bits often; 8 bits where
    /// `bound-weights` sees to that. Named after PyTorch's `reduce_range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce_range: Option<bool>,
    /// How long the step `adaround` learns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaround: Option<AdaRound>,
    /// Exceptions to the recipe; a later one wins over an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layer: Vec<LayerOverride>,
}

/// The budget of learned rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaRound {
    /// Steps of gradient descent per layer; 150 unless said otherwise.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub iterations: usize,
    /// After so many seconds learning ends where it is: the layer under way and the rest keep the nearest integers,
    /// which the report says, for what comes of that depends on the machine. 600 unless said otherwise.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_seconds: u64,
}

impl Default for AdaRound {
    fn default() -> Self {
        Self { iterations: 150, max_seconds: 600 }
    }
}

/// An exception to the recipe for the layers whose names match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerOverride {
    /// A glob over layer names, such as `features.1.*`.
    pub r#match: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<LayerPrecision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observer: Option<LayerObserver>,
    /// For convolutions of the `torch` backend; what the steps say unless it is named. Batches of few images that have a
    /// way of their own (`small-batches`) go by the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<LayerKernel>,
}

const fn yes() -> bool {
    true
}

const fn interventions() -> usize {
    60
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn are_interventions(value: &usize) -> bool {
    *value == interventions()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_true(value: &bool) -> bool {
    *value
}

/// The conditions that numbers are computed under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// Threads of every engine.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: usize,
    pub isa: Isa,
}

/// How variants are timed; docs/measurement.md explains the method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    /// Images per forward pass; every variant is timed at each.
    #[schemars(length(min = 1), extend("uniqueItems" = true), inner(range(min = 1, max = 65_536)))]
    pub batch_sizes: Vec<usize>,
    /// How often every variant takes its turn.
    #[schemars(range(min = 1, max = 100_000))]
    pub rounds: usize,
    /// How closely speedups are to be known: the rounds are repeated in new processes until every
    /// speedup's 95 % interval ends within this fraction of it. Absent, `rounds` and no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 1))]
    pub precision: Option<f64>,
    /// Where `precision` is set, no further rounds are begun beyond so many; absent, ten times `rounds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_rounds: Option<usize>,
    /// Fresh processes per variant that share the rounds.
    #[schemars(range(min = 1, max = 1000))]
    pub processes: usize,
    /// Least timed forward passes per turn.
    #[schemars(range(min = 1, max = 100_000))]
    pub iterations: usize,
    /// Least seconds of timed passes per turn; short passes are repeated for so long.
    #[schemars(range(min = 0, max = 3600))]
    pub min_seconds: f64,
    /// Untimed passes before each turn. A new process takes more, until two in a row gain less than
    /// 5 % on the fastest before them.
    #[schemars(range(max = 100_000))]
    pub warmup: usize,
    /// Most untimed passes before the first turn of a process.
    #[schemars(range(max = 100_000))]
    pub max_warmup: usize,
    /// Changes of speed below this fraction are no difference, however sure.
    #[schemars(range(min = 0, max = 1))]
    pub noise_floor: f64,
    /// Seconds for all rounds together; a round that would end later is not begun.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_seconds: u64,
    /// A measuring process that gives no answer for so many seconds is ended, and its variant fails.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub timeout_seconds: u64,
    /// Most megabytes of writable memory of a measuring process, its runtime included; absent, no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub memory_limit_mb: Option<u64>,
    /// Orders the variants within each round.
    #[schemars(range(min = 0, max = 9_223_372_036_854_775_807_u64))]
    pub seed: u64,
}

/// What a run must reach. Without a goal its verdict is inconclusive.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Goals {
    /// Largest loss of accuracy against the baseline, in percentage points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_accuracy_drop: Option<f64>,
    /// Smallest speedup over the baseline at the first batch size, as a ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub min_speedup: Option<f64>,
}

/// What a run keeps beyond the usual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordOptions {
    /// Keep every logit beside the predictions.
    pub logits: bool,
    /// Measure what each layer, and each part of the quantization, loses on the calibration samples; `true`
    /// unless said otherwise. Costs a second or so on a small network.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub evidence: bool,
    /// Where INT8 surely lost accuracy, so many changes are tried on it, one at a time, to find out where; 60
    /// unless said otherwise, and 0 tries none. Each costs a pass over 512 samples at most.
    #[serde(default = "interventions", skip_serializing_if = "are_interventions")]
    #[schemars(range(min = 0, max = 10_000))]
    pub interventions: usize,
}

/// How the report looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportOptions {
    /// A Tera template that replaces the built-in one; relative to the manifest. It places values as text; its filter
    /// `code` places one as code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PathBuf>,
    /// Pin of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

impl Benchmark {
    /// Beyond so many no further block of rounds is begun.
    #[must_use]
    pub fn most_rounds(&self) -> usize {
        self.max_rounds.unwrap_or_else(|| self.rounds.saturating_mul(10))
    }
}

impl Manifest {
    /// The variant that the others are compared with.
    #[must_use]
    pub fn baseline(&self) -> usize {
        self.variant.iter().position(|variant| variant.baseline).unwrap_or(0)
    }

    /// The backend whose float network is observed for calibration, and which says what integers lose: libtorch where
    /// a variant is of it, otherwise that of the first variant. So the same manifest is quantized alike wherever it
    /// runs.
    #[must_use]
    pub fn calibrates_on(&self) -> Backend {
        calibrates_on(&self.variant)
    }
}

/// The closest of several known words, where one is close enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        // Nobody means a word by one twice as long, and comparing costs the product of the lengths.
        .filter(|candidate| word.len() <= 2 * candidate.len().max(3))
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}
