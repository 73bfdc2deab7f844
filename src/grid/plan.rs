//! From a sweep's file to its points: each a complete manifest with every pin, known by its digest.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Axis, Sweep};
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::interrupt;
use crate::base::progress::Meter;
use crate::inspect::{self, Pinner};
use crate::manifest::{self, Manifest, Override, Overrides, Resolved, Strategy};

/// A sweep with its points resolved.
pub struct Plan {
    pub sweep: Sweep,
    pub points: Vec<Point>,
    /// What identifies the sweep: its axes and its points.
    pub id: Digest,
    /// What every point has from outside the sweep and its base.
    pub overrides: Vec<Override>,
    /// Points that differ in what they name, one of each kind, to be looked at as a whole.
    representatives: Vec<Resolved>,
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
    pub manifest: Manifest,
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
        let mut pinner = Pinner::new(meter);
        let mut problems = Problems::default();
        let mut kinds = Kinds::default();
        let mut points = Vec::with_capacity(places.len());
        // What a point is resolved from is much larger than the point: few are held at a time.
        for few in places.chunks(AT_A_TIME) {
            interrupt::check()?;
            let resolved: Vec<Result<Resolved, Failure>> = few.par_iter().map(|place| base.resolve(place)).collect();
            let pinned: Vec<Result<Manifest, Failure>> =
                resolved.iter().map(|resolved| pinner.pinned(resolved.as_ref().map_err(Clone::clone)?)).collect();
            let texts: Vec<Option<(String, Digest)>> =
                pinned.par_iter().map(|pinned| pinned.as_ref().ok().map(manifest::settings_text)).collect();
            for (((place, resolved), pinned), text) in few.iter().zip(resolved).zip(pinned).zip(texts) {
                let values = sweep.words(place);
                let number = points.len() + problems.points + 1;
                match (resolved, pinned, text) {
                    (Ok(resolved), Ok(manifest), Some((text, id))) => {
                        kinds.add(resolved);
                        points.push(Point { number, values, id, text, manifest });
                    }
                    (_, Err(failure), _) | (Err(failure), ..) => {
                        problems.add(failure, &described(&sweep, number, &values));
                    }
                    (Ok(_), Ok(_), None) => {}
                }
            }
        }
        problems.none()?;
        let representatives = kinds.found;
        let overrides = representatives.first().map_or_else(Vec::new, |first| first.overrides.clone());
        told_apart(&sweep, &points)?;
        in_effect(&sweep, &points, &overrides)?;
        let mut plan = Self { points, id: Digest::of(b""), overrides, representatives, sweep };
        plan.id = identity(&plan.axes(), &plan.facts());
        Ok(plan)
    }

    #[must_use]
    pub fn axes(&self) -> Vec<AxisFacts> {
        let facts = |axis: &Axis| AxisFacts { key: axis.key.clone(), values: axis.words.clone(), group: axis.group };
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
        for resolved in &self.representatives {
            let inspection = inspect::inspect(resolved, meter);
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
}

/// What a sweep is known by, and what its folder is called after.
#[must_use]
pub fn identity(axes: &[AxisFacts], points: &[PointFacts]) -> Digest {
    let text = serde_json::to_vec(&(axes, points)).unwrap_or_default();
    Digest::of(&text)
}

const AT_A_TIME: usize = 64;

/// Two points that are one experiment would be two rows of one run, under values that it did not have.
fn told_apart(sweep: &Sweep, points: &[Point]) -> Result<(), Failure> {
    let mut seen: BTreeMap<Digest, &Point> = BTreeMap::new();
    for point in points {
        let Some(other) = seen.insert(point.id, point) else { continue };
        let differs = sweep.axes.iter().enumerate().find(|(axis, _)| other.values[*axis] != point.values[*axis]);
        let message = format!("points {} and {} are the same experiment", other.number, point.number);
        let (place, next) = match differs {
            Some((_, axis)) => {
                (sweep.place(axis), format!("`{}` does not take effect: another key undoes it", axis.key))
            }
            None => (sweep.place(&sweep.axes[0]), "list each set of values once".to_owned()),
        };
        return Err(Diagnostic::error(Cause::Input, message).next(next).at(place).into());
    }
    Ok(())
}

/// Nothing from outside undoes what the sweep says, and a seed is drawn from.
fn in_effect(sweep: &Sweep, points: &[Point], overrides: &[Override]) -> Result<(), Failure> {
    let within = |a: &str, b: &str| a == b || b.strip_prefix(a).is_some_and(|rest| rest.starts_with('.'));
    for (axis, set) in sweep.axes.iter().flat_map(|axis| overrides.iter().map(move |set| (axis, set))) {
        let variants = axis.key.starts_with("variant.") && set.key.starts_with("variant");
        if within(&axis.key, &set.key) || within(&set.key, &axis.key) || variants {
            let message = format!("`{}` is an axis, and `{}` is set by {}", axis.key, set.key, set.origin);
            let problem = Diagnostic::error(Cause::Input, message).next("leave one of the two out");
            return Err(problem.at(sweep.place(axis)).into());
        }
    }
    if let Some(point) = points.iter().find(|point| point.manifest.name != sweep.name) {
        let message = format!(
            "`name` is `{}` by a setting from outside, and the sweep's is `{}`",
            point.manifest.name, sweep.name
        );
        return Err(Diagnostic::error(Cause::Input, message).next("leave that setting out").into());
    }
    let drawn = |strategy: Strategy| matches!(strategy, Strategy::Random | Strategy::Stratified);
    let idle = |axis: &&Axis| match axis.key.as_str() {
        "calibration.seed" => !points.iter().any(|point| drawn(point.manifest.calibration.strategy)),
        "evaluation.seed" => !points.iter().any(|point| drawn(point.manifest.evaluation.strategy)),
        _ => false,
    };
    if let Some(axis) = sweep.axes.iter().find(|axis| axis.words.len() > 1 && idle(axis)) {
        let table = axis.key.split('.').next().unwrap_or_default();
        let message = format!("`{}` changes nothing: no point draws its samples", axis.key);
        let next =
            format!("set `{table}.strategy` to \"random\" or \"stratified\", under `[sweep.set]` for every point");
        return Err(Diagnostic::error(Cause::Input, message).next(next).at(sweep.place(axis)).into());
    }
    Ok(())
}

fn described(sweep: &Sweep, number: usize, values: &[String]) -> String {
    let pairs: Vec<String> =
        sweep.axes.iter().zip(values).map(|(axis, value)| format!("{} = {value}", axis.key)).collect();
    format!("first in point {number}: {}", pairs.join(", "))
}

/// Nobody reads the same problem of every point.
const PROBLEMS_SHOWN: usize = 20;

/// Every problem once, with the first point that has it.
#[derive(Default)]
struct Problems {
    found: Vec<Diagnostic>,
    /// What each was before its point was added.
    seen: BTreeSet<String>,
    points: usize,
}

impl Problems {
    fn add(&mut self, failure: Failure, point: &str) {
        self.points += 1;
        for mut problem in failure.diagnostics {
            let what = match &problem.place {
                Some(place) => format!("{}:{:?}", place.file, place.span),
                None => problem.message.clone(),
            };
            if self.found.len() < PROBLEMS_SHOWN && self.seen.insert(what) {
                problem.message = format!("{} ({point})", problem.message);
                self.found.push(problem);
            }
        }
    }

    fn none(self) -> Result<(), Failure> {
        if self.found.is_empty() { Ok(()) } else { Err(self.found.into()) }
    }
}

/// The first point of every kind: what the others of its kind name is the same.
#[derive(Default)]
struct Kinds {
    seen: BTreeSet<Digest>,
    found: Vec<Resolved>,
}

impl Kinds {
    fn add(&mut self, resolved: Resolved) {
        let manifest = &resolved.manifest;
        let subsets = [&manifest.calibration, &manifest.evaluation].map(|subset| &subset.splits);
        let named = (&manifest.model, &manifest.dataset, subsets, &manifest.quantize.layer, &manifest.variant);
        if self.seen.insert(Digest::of(format!("{named:?}").as_bytes())) {
            self.found.push(resolved);
        }
    }
}
