//! `record.json`. Reports are pure functions of it.
//!
//! Changelog of [`FORMAT`]:
//! - `2.4`: of the runtime `reference`; of a variant that failed `remedy`; another wording of the check `runtime`; a warning of `activations` where the loss may be small; of the settings `task` and `resize_by`, of a model `outputs`, and of a measured
//!   variant `fidelity` in place of what is judged of classes.
//! - `2.3`: of a variant that failed `artefact`; of a model `reading`; of a dataset `passed_over` and `turned`; of the
//!   inputs `shared_pictures` and `look_alikes`; the change `overflow-in-float`; of a latency `turns`, `disturbed_turns`
//!   and `unclaimed`; of conditions `nice`; `latency.csv` has `take`, `input`, `waited_nanoseconds` and `disturbed`.
//! - `2.2`: `attribution`; of conditions `beside_others`; `agreements` and where they part; `files`; of a layer `usage`, `bend_levels`, `kernel` and `evidence`; of a subset
//!   `numbers`; of a finding `explains`; of a commit `untracked`; of a latency `processes`; of a measured variant
//!   `engine`, `library`, `undefined` and memory of a device; of a quantization observer, steps, trials, rounding and `exchange`.
//! - `2.1`: `provenance`; `run.repeats`; of a variant `memory_format`; of a host caches and GPUs.
//! - `2.0`: `conditions`; of a variant `memory` instead of two figures and `timing_checks`; of a latency
//!   percentiles, outliers and the rounds.
//! - `1.1`: `run.overrides`, `inputs.template`; the calibration subset's digest covers its batch size.
//! - `1.0`: the first.

mod network;
mod reading;

pub use network::{
    Attribution, Change, Evidence, Followed, Intervention, Layer, Network, ObservedFacts, Parts, QuantizationFacts,
    RoundingFacts, SpaceFacts, Trial, Usage, WeightFacts,
};

pub use reading::Reading;

pub use crate::task::classification::Comparison;
pub use crate::task::fidelity::{Fidelity, OutputFidelity};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::host::Host;
use super::provenance::Provenance;
use crate::base::digest::Digest;
use crate::base::finding::{Finding, Verdict};
use crate::manifest::{Device, Engine, Manifest, MemoryFormat, Override, Precision};
use crate::measure::conditions::Conditions;
use crate::measure::summary::Latency;
use crate::stats::Estimate;

/// Major and minor version of the format. Additions raise the minor, and so does another derivation of goals, findings
/// or tables from the same figures: `verify` derives them again for every record of this format. Anything else raises the
/// major.
pub const FORMAT: &str = "2.4";

/// Formats whose records this requant writes again and derives to the letter: what came since is left out where it is absent, and a
/// wording that changed is chosen by the record's format.
const DERIVED: [&str; 2] = ["2.3", FORMAT];

/// Major and minor of a format that is written `MAJOR.MINOR` and no other way.
pub(super) fn version(format: &str) -> Option<(u32, u32)> {
    let (major, minor) = format.split_once('.')?;
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| number.to_string() == text);
    Some((number(major)?, number(minor)?))
}

/// Everything a report says of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub format: String,
    pub requant: String,
    pub run: Run,
    pub verdict: Verdict,
    pub goals: Vec<GoalOutcome>,
    pub findings: Vec<Finding>,
    pub inputs: Inputs,
    pub network: Network,
    pub quantization: QuantizationFacts,
    /// Absent where nothing was surely lost, or nothing was to be tried.
    #[serde(default)]
    pub attribution: Option<Attribution>,
    /// In manifest order.
    pub variants: Vec<VariantResult>,
    /// Of variants that compute the same network in the same precision, each pair once.
    #[serde(default)]
    pub agreements: Vec<Agreement>,
    pub runtime: RuntimeFacts,
    pub host: Host,
    #[serde(default)]
    pub provenance: Option<Provenance>,
    /// Of the machine while it measured.
    #[serde(default)]
    pub conditions: Option<Conditions>,
    /// Every setting, defaults included.
    pub settings: Manifest,
    /// Of every other file of the run, but for the artefacts (see [`Measured::artefact`]), the report, which
    /// states this record's digest, and `SHA256SUMS`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    /// UTC, RFC 3339.
    pub started: String,
    pub finished: String,
    /// As given, where it is relative; of an absolute path only the file name.
    pub manifest_path: String,
    /// Digest of `manifest.toml`, as committed.
    pub manifest: Digest,
    /// Digest of the resolved values, whatever layer each came from.
    pub resolved: Digest,
    /// Settings that bear on the results and did not come from the manifest or its defaults.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// The run that this one was started to reproduce.
    #[serde(default)]
    pub repeats: Option<Repeated>,
}

/// An earlier run, by its name and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    pub id: String,
    /// Digest of its `record.json`.
    pub record: Digest,
}

/// A goal of the manifest, judged for one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalOutcome {
    /// The manifest key, such as `max_accuracy_drop`.
    pub goal: String,
    pub variant: String,
    pub verdict: Verdict,
    /// What was measured against what was asked, as a sentence.
    pub because: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    pub model: ModelFacts,
    pub dataset: DatasetFacts,
    pub calibration: SubsetFacts,
    pub evaluation: SubsetFacts,
    /// Of the report's template.
    #[serde(default)]
    pub template: Option<Digest>,
    /// Samples of the evaluation subset whose content is also in the calibration subset.
    pub shared_samples: usize,
    /// Further ones that decode to the pixels of a calibration sample, and further ones that look like one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shared_pictures: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub look_alikes: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    pub sha256: Digest,
    pub bytes: u64,
    pub producer: String,
    pub opset: i64,
    /// `[channels, height, width]`.
    pub input: Vec<usize>,
    /// Of `task = "fidelity"`: the outputs' names, in the file's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// What else there is to know of how the file was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reading: Vec<Reading>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetFacts {
    pub sha256: Digest,
    /// In label order.
    pub classes: Vec<String>,
    /// Files among the samples that are not read, by ending.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passed_over: BTreeMap<String, usize>,
    /// Chosen samples with an EXIF orientation that turns them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turned: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(value: &usize) -> bool {
    *value == 0
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubsetFacts {
    pub samples: usize,
    pub sha256: Digest,
    /// Samples of each class, in label order.
    pub per_class: Vec<usize>,
    /// Absent where evidence is not gathered.
    #[serde(default)]
    pub numbers: Option<ValueFacts>,
}

/// Preprocessed samples as numbers, by channel of the network's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValueFacts {
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

/// What came of one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantResult {
    pub name: String,
    pub backend: String,
    pub precision: Precision,
    pub device: Device,
    pub engine: Option<Engine>,
    #[serde(default)]
    pub memory_format: MemoryFormat,
    pub required: bool,
    pub baseline: bool,
    pub outcome: Outcome,
}

/// Two engines on the same network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    pub first: String,
    pub second: String,
    pub precision: Precision,
    /// Samples that both put into the same class.
    pub agreeing: usize,
    pub samples: usize,
    /// Between two logits.
    pub largest_difference: f32,
    /// The largest of the first's logits, without its sign.
    pub largest_logit: f32,
    /// Accuracy of the second less that of the first, a fraction, paired.
    pub difference: Estimate,
    /// The first layer whose integers differ by more than rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parting: Option<Parting>,
}

/// A layer whose integers two engines compute differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parting {
    pub layer: String,
    pub operator: String,
    /// The fraction of its values that differ.
    pub differing: f64,
    /// By so many levels at most.
    pub most: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    Measured(Box<Measured>),
    /// Not available on this machine.
    Missing {
        reason: String,
        remedy: String,
    },
    /// Available, but something went wrong.
    Failed {
        reason: String,
        /// What helps against this kind of failure, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remedy: Option<String>,
        /// What was emitted for it before it failed, and lies in the run's folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        artefact: Option<ArtefactFacts>,
    },
}

/// The results of a variant that ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub artefact: ArtefactFacts,
    /// Which library ran it, where it was loaded for this variant.
    #[serde(default)]
    pub library: Option<String>,
    /// The INT8 engine that the library said was in use.
    #[serde(default)]
    pub engine: Option<Engine>,
    #[serde(flatten)]
    pub judged: Judged,
    /// One per batch size of the manifest, in its order.
    pub latency: Vec<Latency>,
    #[serde(default)]
    pub memory: Memory,
    /// One per batch size.
    #[serde(default)]
    pub timing_checks: Vec<TimingCheck>,
}

/// What was judged of a variant's answers, by the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Judged {
    Classes(Classified),
    Outputs { fidelity: Fidelity },
}

/// The answers of a classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classified {
    pub correct: usize,
    /// Samples that would be right if each class were called by the label that it mostly stands for.
    #[serde(default)]
    pub correct_if_relabelled: usize,
    /// Samples whose logits hold what is no number, or no finite one; each counts as an answer for the first class.
    #[serde(default)]
    pub undefined: usize,
    /// A fraction of the evaluation subset, with its Wilson interval.
    pub accuracy: Estimate,
    /// Against the baseline; absent for the baseline itself.
    pub against_baseline: Option<Comparison>,
}

/// Largest resident sets of a variant's measuring processes in bytes, medians over the processes.
/// Each is a figure of the whole process; none is a difference.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// With the runtime alone, before anything was loaded.
    pub runtime: Option<Estimate>,
    /// Until the model was loaded.
    pub loaded: Option<Estimate>,
    /// From then on.
    pub inference: Option<Estimate>,
    /// The most that tensors held at once on a device with memory of its own, until the model was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_loaded: Option<Estimate>,
    /// The same from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_inference: Option<Estimate>,
}

/// Whether the timed passes are what they seem, at one batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimingCheck {
    pub batch: usize,
    /// Passes in measuring processes, and those whose output equals, to the bit, that of the session
    /// whose accuracy was judged.
    pub passes: usize,
    pub identical: usize,
    /// How many times longer a pass takes on an input that its process sees for the first time than on the same input
    /// later, where that is least. Before 2.3: in the process where it is most, of inputs outside the turns.
    pub fresh_over_repeated: Option<f64>,
    /// Warm-ups of new processes at any batch size, and those that ended by their cap.
    pub warm_ups: usize,
    pub unsettled: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtefactFacts {
    /// Relative to the run's folder.
    pub path: String,
    pub sha256: Digest,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFacts {
    /// What calibrated, where it was another library than libtorch: its version if it was fetched, and the digest of its
    /// file if that has a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether it is the one that requant is tested with.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_reference_tested: bool,
    /// Empty where it was not there.
    pub libtorch: String,
    /// What tch was written for.
    pub libtorch_tested: String,
    pub cpu_capability: String,
    pub threads: usize,
    pub build: String,
    /// The variables that kernel libraries choose their instructions by, where they are set.
    pub environment: std::collections::BTreeMap<String, String>,
}

impl RuntimeFacts {
    /// What computed in float, and was calibrated on.
    #[must_use]
    pub fn calibrated_on(&self) -> String {
        self.reference.clone().unwrap_or_else(|| format!("libtorch {}", self.libtorch))
    }
}

impl Record {
    /// The bytes of `record.json`: fields in the order of the format, numbers in their shortest exact
    /// form, one final newline.
    pub fn written(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Digest of `record.json`; `None` for a record of a format whose bytes were others.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.is_derived().then(|| self.written().ok()).flatten().map(|text| Digest::of(&text))
    }

    /// Whether all that a record of its format says can be derived again to the letter.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        DERIVED.contains(&self.format.as_str())
    }

    /// Whether its format is this one or a later one.
    #[must_use]
    pub fn is_since(&self, format: &str) -> bool {
        version(&self.format) >= version(format)
    }

    #[must_use]
    pub fn baseline(&self) -> Option<&VariantResult> {
        self.variants.iter().find(|variant| variant.baseline)
    }

    /// The networks that the run wrote: those of its variants, and the one for other engines.
    pub fn artefacts(&self) -> impl Iterator<Item = &ArtefactFacts> {
        let emitted = self.variants.iter().filter_map(|variant| match &variant.outcome {
            Outcome::Measured(measured) => Some(&measured.artefact),
            Outcome::Failed { artefact, .. } => artefact.as_ref(),
            Outcome::Missing { .. } => None,
        });
        emitted.chain(&self.quantization.exchange)
    }
}

impl Measured {
    /// Where classes are judged.
    #[must_use]
    pub const fn classified(&self) -> Option<&Classified> {
        match &self.judged {
            Judged::Classes(classified) => Some(classified),
            Judged::Outputs { .. } => None,
        }
    }

    /// Where outputs are.
    #[must_use]
    pub const fn fidelity(&self) -> Option<&Fidelity> {
        match &self.judged {
            Judged::Outputs { fidelity } => Some(fidelity),
            Judged::Classes(_) => None,
        }
    }

    /// A classifier's answers beside the baseline's.
    #[must_use]
    pub fn against_baseline(&self) -> Option<&Comparison> {
        self.classified()?.against_baseline.as_ref()
    }

    /// Samples that were judged, and those among them whose answers are no numbers.
    #[must_use]
    pub const fn samples(&self) -> (usize, usize) {
        match &self.judged {
            Judged::Classes(Classified { accuracy, undefined, .. }) => (accuracy.n, *undefined),
            Judged::Outputs { fidelity } => (fidelity.samples, fidelity.undefined),
        }
    }

    /// Bytes of the largest resident set in all, the median over processes.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        let Memory { loaded, inference, .. } = &self.memory;
        most(loaded.iter().chain(inference))
    }

    /// The most bytes that tensors held at once on a device with memory of its own, the median over processes.
    #[must_use]
    pub fn peak_device_bytes(&self) -> Option<u64> {
        let Memory { device_loaded, device_inference, .. } = &self.memory;
        most(device_loaded.iter().chain(device_inference))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes that were counted")]
fn most<'a>(estimates: impl Iterator<Item = &'a Estimate>) -> Option<u64> {
    estimates.map(|estimate| estimate.value as u64).max()
}

impl VariantResult {
    #[must_use]
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(measured) => Some(measured),
            _ => None,
        }
    }

    /// What became of it as a word of the tables, and why, where there is something to say.
    #[must_use]
    pub fn status(&self) -> (&'static str, String) {
        match &self.outcome {
            Outcome::Measured(measured) => {
                let unclaimed = measured.latency.first().and_then(Latency::why_unclaimed);
                ("measured", unclaimed.map(|why| format!("speedup {why}")).unwrap_or_default())
            }
            Outcome::Missing { reason, .. } => ("missing", reason.clone()),
            Outcome::Failed { reason, .. } => ("failed", reason.clone()),
        }
    }
}
