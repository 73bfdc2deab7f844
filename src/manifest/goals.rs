//! `[goals]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run must reach. Without a goal its verdict is inconclusive.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Goals {
    /// Largest loss of accuracy against the baseline, in percentage points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_accuracy_drop: Option<f64>,
    /// Of `task = "fidelity"`: smallest ratio of signal to quantization noise of every output, in dB, over all samples
    /// together: `10·log₁₀(Σ y² / Σ (y − ŷ)²)` of the baseline's output `y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -100, max = 200))]
    pub min_sqnr_db: Option<f64>,
    /// Of `task = "fidelity"`: smallest cosine between an output and the baseline's, the mean over samples of every output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1, max = 1))]
    pub min_cosine: Option<f64>,
    /// Smallest speedup over the baseline at the first batch size, as a ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub min_speedup: Option<f64>,
}
