//! `[record]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Where INT8 surely lost accuracy, this many changes are tried on it, one at a time, to find out where; 60
    /// unless said otherwise, and 0 tries none. Each costs a pass over 512 samples at most.
    #[serde(default = "interventions", skip_serializing_if = "are_interventions")]
    #[schemars(range(min = 0, max = 10_000))]
    pub interventions: usize,
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
const fn is_true(value: &bool) -> bool {
    *value
}
