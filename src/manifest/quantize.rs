//! `[quantize]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Granularity, LayerKernel, LayerObserver, LayerPrecision, Recipe, Step};
use crate::document::{Problem, problem};

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
    /// After this many seconds learning ends where it is: the layer under way and the rest keep the nearest integers,
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

pub(super) fn exceptions(quantize: &Quantize) -> Vec<Problem> {
    let mut found = Vec::new();
    if quantize.steps.is_some() && quantize.recipe == Recipe::Robust {
        let message = "cannot be given to `robust`, which chooses its own";
        found.push(problem("quantize.steps", message, "remove it, or name another recipe"));
    }
    let learns = quantize.steps.as_ref().is_some_and(|steps| steps.contains(&Step::AdaRound));
    if quantize.adaround.is_some() && !learns && quantize.recipe != Recipe::Robust {
        let next = "add \"adaround\" to `quantize.steps`, or remove the table";
        found.push(problem("quantize.adaround", "changes nothing: the step is not taken", next));
    }
    for (position, layer) in quantize.layer.iter().enumerate() {
        let key = |name: &str| format!("quantize.layer.{position}.{name}");
        if let Err(error) = globset::Glob::new(&layer.r#match) {
            let message = format!("is not a glob: {}", error.kind());
            found.push(problem(key("match"), message, "write layer names with `*`, such as `features.1.*`"));
        }
        if (layer.precision, layer.observer, layer.kernel) == (None, None, None) {
            let key = format!("quantize.layer.{position}");
            found.push(problem(key, "changes nothing", "add `precision`, `observer` or `kernel`, or remove the table"));
        }
        if layer.kernel.is_some() && layer.precision == Some(LayerPrecision::Fp32) {
            let message = "is of integers, and the table keeps its layers in FP32";
            found.push(problem(key("kernel"), message, "remove it, or `precision`"));
        }
    }
    found
}
