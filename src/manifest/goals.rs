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
    /// Smallest speedup over the baseline at the first batch size, as a ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub min_speedup: Option<f64>,
}
