//! From a sweep's file to its points: each a complete manifest with every pin, known by its digest.

use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::explain::{Diagnostic, Failure};
use crate::base::progress::Meter;
use crate::inspect::{self, Pinner};
use crate::manifest::{self, Override, Overrides, Resolved, Sweep};

/// A sweep with its points resolved.
pub struct Plan {
    pub sweep: Sweep,
    pub points: Vec<Point>,
    /// What identifies the sweep: its axes and its points.
    pub id: Digest,
    /// What every point has from outside the sweep and its base.
    pub overrides: Vec<Override>,
    /// Points that differ in what they name, one of each kind, to be looked at as a whole.
    representatives: Vec<usize>,
}

/// An experiment of the sweep.
#[derive(Debug, Clone)]
pub struct Point {
    /// From 1.
    pub number: usize,
    /// Words, by axis.
    pub values: Vec<String>,
    /// Digest of `text`, and of the settings of every run by them.
    pub id: Digest,
    /// The settings as TOML, paths relative to the base's folder.
    pub text: String,
    resolved: Resolved,
}

/// An axis as the sweep's record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AxisFacts {
    pub key: String,
    pub values: Vec<String>,
    /// Axes of one number move together.
    pub group: usize,
}

/// A point as the sweep's record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointFacts {
    pub number: usize,
    pub id: Digest,
    pub values: Vec<String>,
}

impl Plan {
    /// Resolves and pins every point; a failure holds the problems of all of them.
    pub fn of(sweep: Sweep, overrides: &Overrides, meter: &dyn Meter) -> Result<Self, Failure> {
        let base = sweep.base(overrides)?;
        let places = sweep.points();
        let resolved: Vec<Result<Resolved, Failure>> = places.par_iter().map(|place| base.resolve(place)).collect();
        let values: Vec<Vec<String>> = places.iter().map(|place| sweep.words(place)).collect();
        let resolved = all(resolved, |at| described(&sweep, at, &values[at]))?;
        let mut pinner = Pinner::new(meter);
        let pinned: Vec<_> = resolved.iter().map(|resolved| pinner.pinned(resolved)).collect();
        let pinned = all(pinned, |at| described(&sweep, at, &values[at]))?;
        let overrides = resolved.first().map_or_else(Vec::new, |first| first.overrides.clone());
        let representatives = representatives(&resolved);
        let texts: Vec<(String, Digest)> = pinned.par_iter().map(manifest::settings_text).collect();
        let points: Vec<Point> = resolved
            .into_iter()
            .zip(texts)
            .zip(values)
            .enumerate()
            .map(|(at, ((resolved, (text, id)), values))| Point { number: at + 1, values, id, text, resolved })
            .collect();
        let mut plan = Self { points, id: Digest::of(b""), overrides, representatives, sweep };
        plan.id = identity(&plan.axes(), &plan.facts());
        Ok(plan)
    }

    #[must_use]
    pub fn axes(&self) -> Vec<AxisFacts> {
        let facts =
            |axis: &manifest::Axis| AxisFacts { key: axis.key.clone(), values: axis.words.clone(), group: axis.group };
        self.sweep.axes.iter().map(facts).collect()
    }

    #[must_use]
    pub fn facts(&self) -> Vec<PointFacts> {
        let facts = |point: &Point| PointFacts { number: point.number, id: point.id, values: point.values.clone() };
        self.points.iter().map(facts).collect()
    }

    /// Looks at what the points name as a run would, one point of each kind, and tells what stands in the way.
    #[must_use]
    pub fn inspect(&self, meter: &dyn Meter, with_engines: bool) -> Vec<Diagnostic> {
        let mut found: Vec<Diagnostic> = Vec::new();
        for &at in &self.representatives {
            let inspection = inspect::inspect(&self.points[at].resolved, meter);
            let engines = inspection.missing_engines.into_iter().filter(|_| with_engines);
            // Pins were completed and held against the world already.
            for problem in inspection.problems.into_iter().chain(engines) {
                if !found.iter().any(|known| known.message == problem.message && known.place == problem.place) {
                    found.push(problem);
                }
            }
        }
        found
    }

    /// The folder that the points' paths start from.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.sweep.base.parent().unwrap_or(std::path::Path::new("")).to_owned()
    }

    /// Settings of a point, for estimates.
    #[must_use]
    pub fn manifest(&self, at: usize) -> &manifest::Manifest {
        &self.points[at].resolved.manifest
    }
}

/// What a sweep is known by, and what its folder is called after.
#[must_use]
pub fn identity(axes: &[AxisFacts], points: &[PointFacts]) -> Digest {
    let text = serde_json::to_vec(&(axes, points)).unwrap_or_default();
    Digest::of(&text)
}

fn described(sweep: &Sweep, at: usize, values: &[String]) -> String {
    let pairs: Vec<String> =
        sweep.axes.iter().zip(values).map(|(axis, value)| format!("{} = {value}", axis.key)).collect();
    format!("first in point {}: {}", at + 1, pairs.join(", "))
}

/// Nobody reads the same problem of every point.
const PROBLEMS_SHOWN: usize = 20;

/// Every value, or every problem once, each with the first point that has it.
fn all<T>(results: Vec<Result<T, Failure>>, name: impl Fn(usize) -> String) -> Result<Vec<T>, Failure> {
    let mut values = Vec::with_capacity(results.len());
    let mut found: Vec<(Diagnostic, usize)> = Vec::new();
    for (at, result) in results.into_iter().enumerate() {
        match result {
            Ok(value) => values.push(value),
            Err(failure) => {
                for problem in failure.diagnostics {
                    let same = |(known, _): &(Diagnostic, usize)| {
                        known.place == problem.place && (problem.place.is_some() || known.message == problem.message)
                    };
                    if found.len() < PROBLEMS_SHOWN && !found.iter().any(same) {
                        found.push((problem, at));
                    }
                }
            }
        }
    }
    if found.is_empty() {
        return Ok(values);
    }
    let placed = |(mut problem, at): (Diagnostic, usize)| {
        problem.message = format!("{} ({})", problem.message, name(at));
        problem
    };
    Err(found.into_iter().map(placed).collect::<Vec<_>>().into())
}

/// The first point of every kind: what the others of its kind name is the same.
fn representatives(resolved: &[Resolved]) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    let kind = |resolved: &Resolved| {
        let manifest = &resolved.manifest;
        let subsets = [&manifest.calibration, &manifest.evaluation].map(|subset| &subset.splits);
        format!("{:?}", (&manifest.model, &manifest.dataset, subsets, &manifest.quantize.layer, &manifest.variant))
    };
    (0..resolved.len()).filter(|&at| seen.insert(kind(&resolved[at]))).collect()
}
