//! The TOML that a person commits: what it may say, its defaults, and how it becomes the resolved
//! settings that a run obeys.

mod choice;
mod error;
mod layers;
mod resolved;
mod validate;

pub use choice::{Backend, Choice, Device, Engine, Interpolation, Isa, LayerPrecision, Precision, Strategy};
pub use error::ManifestError;
pub(crate) use error::nearest;
pub use layers::{SCHEMA, load};
pub use resolved::Resolved;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;

/// A whole manifest with every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which set of defaults the manifest was written for.
    pub schema: u32,
    /// Names the folder under `results/`.
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub model: Model,
    pub dataset: Dataset,
    pub calibration: Subset,
    pub evaluation: Subset,
    pub quantize: Quantize,
    pub variant: Vec<Variant>,
    pub compute: Compute,
    pub benchmark: Benchmark,
    pub goals: Goals,
    pub record: RecordOptions,
    pub report: ReportOptions,
}

/// The ONNX model, by content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Relative to the manifest.
    pub path: PathBuf,
    pub sha256: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetFormat {
    /// The UCI optical digits that requant carries, or a CSV file of the same form.
    Digits,
    /// `<split>/<class>/<image>`, as a folder or a `.tar` of one.
    ImageFolder,
}

/// Where samples come from and how an image becomes a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub format: DatasetFormat,
    /// Relative to the manifest; `digits` without a path is the embedded copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Of the file, or of a folder's listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Names for row ranges `first..end` of a format that has rows instead of folders.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub splits: BTreeMap<String, String>,
    pub preprocess: Preprocess,
}

/// Image to tensor: scale to 0..1, resize, normalize.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// `[height, width]`; absent keeps the image's own size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<[usize; 2]>,
    pub interpolation: Interpolation,
    pub antialias: bool,
    /// One per channel of the model's input, in units of 0..1.
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

/// An ordered choice of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    pub splits: Vec<String>,
    pub strategy: Strategy,
    /// Absent with `strategy = "all"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    pub seed: u64,
    pub batch_size: usize,
    /// Of the ordered list of sample digests and ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// Checked against the known recipes when the run is prepared.
    pub recipe: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layer: Vec<LayerOverride>,
}

/// An exception to the recipe for the layers whose names match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerOverride {
    /// A glob over layer names, such as `features.1.*`.
    pub r#match: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<LayerPrecision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observer: Option<String>,
}

/// One row of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub name: String,
    pub backend: Backend,
    pub precision: Precision,
    #[serde(default)]
    pub device: Device,
    /// INT8 kernels of the `torch` backend; `fbgemm` unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Whether the run stops where this variant cannot run.
    #[serde(default = "yes")]
    pub required: bool,
    /// Whether the others are compared with this one; the first variant unless one says so.
    #[serde(default)]
    pub baseline: bool,
}

const fn yes() -> bool {
    true
}

/// The conditions that numbers are computed under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    pub threads: usize,
    pub isa: Isa,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    pub batch_sizes: Vec<usize>,
    /// How often every variant takes its turn.
    pub rounds: usize,
    /// Timed forward passes per turn.
    pub iterations: usize,
    /// Untimed forward passes before each turn.
    pub warmup: usize,
    /// Orders the variants within each round.
    pub seed: u64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goals {
    /// Largest loss of accuracy against the baseline, in percentage points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_accuracy_drop: Option<f64>,
    /// Smallest speedup over the baseline at the first batch size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_speedup: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordOptions {
    /// Keep every logit beside the predictions.
    pub logits: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportOptions {
    /// A Tera template that replaces the built-in one; relative to the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PathBuf>,
}

impl Variant {
    /// INT8 of the torch backend runs on some engine; unless it is named, on FBGEMM.
    fn fill_in_engine(&mut self) {
        if (self.backend, self.precision) == (Backend::Torch, Precision::Int8) {
            self.engine = self.engine.or(Some(Engine::Fbgemm));
        }
    }
}

impl Manifest {
    /// The variant that the others are compared with.
    #[must_use]
    pub fn baseline(&self) -> usize {
        self.variant.iter().position(|variant| variant.baseline).unwrap_or(0)
    }
}
