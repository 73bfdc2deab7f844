//! A sweep on the record: its axes and its points, by what they are known.

use serde::{Deserialize, Serialize};

use super::plan::{self, AxisFacts, PointFacts};
use crate::base::digest::Digest;
use crate::manifest::Override;

/// `sweep.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRecord {
    pub format: String,
    pub requant: String,
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Digest of the axes and the points ([`plan::identity`]).
    pub id: Digest,
    /// UTC, RFC 3339.
    pub created: String,
    /// The sweep's file as given, where that is relative; of an absolute path only the name.
    pub manifest_path: String,
    pub manifest: Digest,
    pub base_path: String,
    /// The base as seen from this folder, for whoever starts requant elsewhere.
    pub base_from_here: String,
    pub base: Digest,
    /// Names the sweep's jobs: no other folder's have it, though it should hold the same sweep.
    pub token: String,
    /// What every point has from outside both.
    pub overrides: Vec<Override>,
    pub axes: Vec<AxisFacts>,
    pub points: Vec<PointFacts>,
}

impl SweepRecord {
    /// Whether the id is that of the axes and the points, and these fit together.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let groups = self.axes.chunk_by(|a, b| a.group == b.group);
        let even = |group: &[AxisFacts]| group.iter().all(|axis| axis.values.len() == group[0].values.len());
        let numbered =
            |(at, point): (usize, &PointFacts)| point.number == at + 1 && point.values.len() == self.axes.len();
        plan::identity(&self.axes, &self.points) == self.id
            && groups.into_iter().all(even)
            && self.points.iter().enumerate().all(numbered)
    }
}
