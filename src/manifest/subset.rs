//! `[calibration]` and `[evaluation]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Strategy;
use crate::base::digest::Digest;
use crate::document::{Problem, problem};

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

pub(super) fn samples(table: &str, subset: &Subset) -> Vec<Problem> {
    let mut found = Vec::new();
    let key = |name: &str| format!("{table}.{name}");
    let strategy = subset.strategy;
    match (strategy, subset.samples) {
        (Strategy::All, Some(_)) => {
            found.push(problem(key("samples"), "does not apply to `strategy = \"all\"`", "remove it, or use `first`"));
        }
        (Strategy::First | Strategy::Random | Strategy::Stratified, None) => {
            let message = format!("is missing, and `strategy = \"{strategy}\"` needs it");
            found.push(problem(key("samples"), message, "say how many samples to take"));
        }
        _ => {}
    }
    match (strategy, &subset.list) {
        (Strategy::List, None) => {
            let message = "is missing, and `strategy = \"list\"` needs it";
            found.push(problem(key("list"), message, "name a text file of one sample id per line"));
        }
        (Strategy::List, Some(_)) | (_, None) => {}
        (other, Some(_)) => {
            let message = format!("does not apply to `strategy = \"{other}\"`");
            found.push(problem(key("list"), message, "remove it, or use `strategy = \"list\"`"));
        }
    }
    found
}
