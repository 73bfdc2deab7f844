//! The network's part of a record: what it is made of, how it was quantized, and what that cost layer by layer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ArtefactFacts;
use crate::graph::pass::AppliedPatch;
use crate::graph::quantization::{FloatReason, Kernel, QParams};
use crate::manifest::Step;
use crate::stats::Estimate;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Modules of the model as the file has it, by PyTorch's name.
    pub fp32_modules: BTreeMap<String, usize>,
    /// Modules that compute in integers after quantization.
    pub int8_modules: BTreeMap<String, usize>,
    /// Modules and functions of the rewritten graph that stay in float, inputs and constants aside.
    pub float_operators: BTreeMap<String, usize>,
    pub patches: Vec<AppliedPatch>,
    /// Every node of the rewritten graph, in execution order.
    pub layers: Vec<Layer>,
}

/// One node of the quantized network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    pub name: String,
    pub operator: String,
    /// Absent where it computes in integers.
    pub float_because: Option<FloatReason>,
    /// Parameters of its output.
    pub output: Option<QParams>,
    /// What was seen of its output, or of the tensors that share its observer.
    pub observed: Option<ObservedFacts>,
    pub weight: Option<WeightFacts>,
    /// Absent where it does not compute in integers.
    #[serde(default)]
    pub evidence: Option<Evidence>,
    /// Absent where its output has no observed range of its own.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// Levels of its input from −3 to 3, between which hard-swish and hard-sigmoid bend; absent for other operators
    /// and in float.
    #[serde(default)]
    pub bend_levels: Option<f64>,
    /// What computes its integers on the torch backend; absent in float.
    #[serde(default)]
    pub kernel: Option<Kernel>,
}

/// How a tensor uses its integers, on samples spread over each subset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Share of calibration's values beyond the range that was chosen.
    pub clipped: f64,
    /// Levels between which the central 99.9 % of calibration's values lie.
    pub levels: usize,
    pub clipped_in_evaluation: f64,
    pub levels_in_evaluation: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedFacts {
    pub observer: String,
    pub min: f32,
    pub max: f32,
    /// The range chosen.
    pub low: f32,
    pub high: f32,
    pub values: u64,
    pub not_finite: u64,
    /// Tensors after which the smallest and largest value no longer moved by more than a hundredth of their
    /// distance.
    #[serde(default)]
    pub settled: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightFacts {
    pub shape: Vec<usize>,
    /// Signal to quantization noise of the integer weights, in dB.
    pub sqnr_db: Option<f64>,
    /// Binary logarithm of the largest bias in the steps of its accumulator, which has 32 bits; absent where the
    /// layer computes in float or has no bias.
    #[serde(default)]
    pub bias_log2: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantizationFacts {
    pub recipe: String,
    pub description: String,
    pub calibration_batches: usize,
    /// Tensors that needed an observer, and those whose observer saw nothing usable.
    pub observers: usize,
    pub dead_observers: Vec<String>,
    /// Layers that the manifest excepts from the recipe.
    pub overridden: Vec<String>,
    /// Of every activation that no exception changes.
    #[serde(default)]
    pub observer: Option<String>,
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What the recipe tried before it settled on these, on the calibration samples.
    #[serde(default)]
    pub trials: Vec<Trial>,
    /// The most unequal first.
    #[serde(default)]
    pub spaces: Vec<SpaceFacts>,
    /// Absent where nothing was quantized here.
    #[serde(default)]
    pub parts: Option<Parts>,
    /// The quantized network as ONNX with explicit quantization; absent where nothing was quantized, and in runs of
    /// older versions.
    #[serde(default)]
    pub exchange: Option<ArtefactFacts>,
    /// Absent where rounding was not learned.
    #[serde(default)]
    pub rounding: Option<RoundingFacts>,
}

/// The network taken apart: what each part of quantization makes of the float network's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Integer weights, float activations.
    pub weights: Followed,
    /// Float weights, rounded activations.
    pub activations: Followed,
    /// Both, in float arithmetic.
    pub both: Followed,
    /// Both, in the kernels: what is beyond `both` is theirs.
    pub kernels: Followed,
}

/// How closely a network follows the float one, on calibration samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Followed {
    /// Mean Kullback-Leibler divergence of the class probabilities (softmax of the logits) from the float
    /// network's, in nats. Of `task = "fidelity"` the noise relative to the signal, the mean over outputs.
    pub divergence: f64,
    /// Signal to quantization noise of the logits, in dB; absent where they are the same. Of `task = "fidelity"` that of
    /// the divergence.
    pub sqnr_db: Option<f64>,
    /// Samples put into the float network's class; 0 where nothing is classified.
    pub agreeing: usize,
    pub samples: usize,
}

/// What learning to round came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundingFacts {
    /// Integer layers with weights.
    pub layers: usize,
    /// Those that were learned before the time was over.
    pub learned: usize,
    /// Those whose output is kept better than by the nearest integers.
    pub improved: usize,
}

/// Tensors whose channels belong together, such as those of a residual stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpaceFacts {
    /// The first of them.
    pub layer: String,
    pub tensors: usize,
    pub channels: usize,
    /// How unequal the channels are as they are quantized: the binary logarithm between the first and the last
    /// decile of the factors that would even them out.
    pub spread_log2: f64,
    /// Channels that reach so much farther than the median one that they take its levels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outlying: Vec<usize>,
    /// The binary logarithm of how much farther the farthest one reaches, as integers see it.
    #[serde(default)]
    pub farthest_log2: f64,
}

/// A candidate that was carried out and compared with the float network, on calibration samples alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub observer: String,
    /// Absent where rounding was not learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<RoundingFacts>,
    pub steps: Vec<Step>,
    /// Candidates are ranked by their divergence.
    pub followed: Followed,
    pub chosen: bool,
}

/// What an integer node makes of the float network's output, in dB of signal to quantization noise; absent
/// where there is no signal or no noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// With inputs of the float network, rounded: the node's own loss.
    pub local_sqnr_db: Option<f64>,
    /// In the running quantized network: with what earlier nodes lost.
    pub cumulative_sqnr_db: Option<f64>,
    /// Calibration samples behind both.
    pub samples: usize,
}

/// Where the lost accuracy is: what the quantized network gains by one change at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// The variant that was changed.
    pub variant: String,
    /// Evaluation samples looked at, and those among them on which this variant leaves the baseline: puts it into another
    /// class, or gives another value.
    pub samples: usize,
    pub disagreeing: usize,
    /// In the order in which they were tried.
    pub interventions: Vec<Intervention>,
    /// Whether there was more to try than `record.interventions` allows.
    pub exhausted: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervention {
    pub change: Change,
    /// The block or layer that was changed; absent where the change is of the whole network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The nodes that were placed otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Accuracy over all evaluation samples, a fraction, that the change brings. Of `task = "fidelity"` the share of the
    /// error that it removes: of the noise relative to the signal, summed over outputs.
    pub gained: Estimate,
    /// The same of agreement with the float network, which tells more where little was lost. Of `task = "fidelity"` as
    /// `gained`.
    pub agreement: Estimate,
}

/// What is changed in a quantized network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// All in float: what there is to gain.
    Float,
    /// The same integers, computed in float arithmetic.
    FloatArithmetic,
    /// Weights in float, activations rounded.
    FloatWeights,
    /// Activations in float, weights as integers.
    FloatActivations,
    /// Calibrated on evaluation samples.
    Calibration,
    /// A weight scale for each channel.
    PerChannel,
    /// With the step `equalize`.
    Equalize,
    /// With the percentile observer.
    Percentile,
    /// With the least-squares observer.
    Mse,
    /// With the step `products-only`.
    ProductsOnly,
    /// With the step `float-stem`.
    FloatStem,
    /// With the step `bound-weights`.
    BoundWeights,
    /// The layers whose biases leave the accumulator in float, with all that reads their channels.
    OverflowInFloat,
    /// The gates of squeeze-excite in float: from what is pooled to what is multiplied.
    GatesInFloat,
    /// Hard-swish in float, with the layers before it.
    HardSwishInFloat,
    /// A block returned to float.
    BlockInFloat,
    /// A block in integers, all others in float.
    BlockAlone,
    /// A layer returned to float.
    LayerInFloat,
}
