//! What became of a sweep's points.

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::finding::Verdict;

/// `outcome.json`: what became of every point, its run pinned by the digest of its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub format: String,
    /// Of the sweep.
    pub id: Digest,
    /// In order.
    pub points: Vec<PointOutcome>,
}

/// What became of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointOutcome {
    pub number: usize,
    /// As `State::word` has it.
    pub state: String,
    /// How often it was begun.
    pub attempts: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Pinned>,
    /// Why there is no run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A run by its name and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Below the folder of the sweep's name.
    pub run: String,
    /// Of its `record.json`.
    pub record: Digest,
    pub verdict: Verdict,
}
