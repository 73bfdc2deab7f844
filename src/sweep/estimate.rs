//! What a sweep will cost, by past runs of the same experiment.

use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;

use crate::base::files;
use crate::manifest::Manifest;
use crate::stats::sample;

/// A past run, as far as it tells about another's cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    pub seconds: f64,
    recipe: String,
    calibration: f64,
    evaluation: f64,
    variants: usize,
    rounds: usize,
}

/// What the points together may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Of all points one after the other.
    pub seconds: f64,
    pub shortest: f64,
    pub longest: f64,
    /// Past runs that it is taken from.
    pub runs: usize,
    /// Points of which a run with the same recipe and subsets of the same sizes is known.
    pub alike: usize,
}

/// The complete runs of some experiments.
#[must_use]
pub fn past(results: &Path, experiments: &[&str]) -> Vec<Past> {
    let mut folders = Vec::new();
    for experiment in experiments {
        let home = results.join(experiment);
        let names = files::list(&home).unwrap_or_default();
        folders.extend(names.into_iter().filter(|name| !name.starts_with('.')).map(|name| home.join(name)));
    }
    folders.par_iter().filter_map(|folder| read(folder)).collect()
}

fn read(run: &Path) -> Option<Past> {
    #[derive(Deserialize)]
    struct Part {
        run: Times,
        settings: Settings,
        inputs: Inputs,
    }
    #[derive(Deserialize)]
    struct Times {
        started: String,
        finished: String,
    }
    #[derive(Deserialize)]
    struct Settings {
        quantize: Recipe,
        variant: Vec<serde::de::IgnoredAny>,
        benchmark: Rounds,
    }
    #[derive(Deserialize)]
    struct Recipe {
        recipe: String,
    }
    #[derive(Deserialize)]
    struct Rounds {
        rounds: usize,
    }
    #[derive(Deserialize)]
    struct Inputs {
        calibration: Samples,
        evaluation: Samples,
    }
    #[derive(Deserialize)]
    struct Samples {
        samples: f64,
    }
    let text = files::read(&run.join("record.json")).ok()?;
    let Part { run, settings, inputs } = serde_json::from_slice(&text).ok()?;
    let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
    let seconds = (time(&run.finished)? - time(&run.started)?).num_milliseconds() as f64 / 1e3;
    Some(Past {
        seconds,
        recipe: settings.quantize.recipe,
        calibration: inputs.calibration.samples,
        evaluation: inputs.evaluation.samples,
        variants: settings.variant.len(),
        rounds: settings.benchmark.rounds,
    })
}

/// The sum over points of what the past runs most like each took, the median of them; `None` without a past run.
#[must_use]
pub fn of<'a>(points: impl Iterator<Item = &'a Manifest>, past: &[Past]) -> Option<Estimate> {
    if past.is_empty() {
        return None;
    }
    let mut whole = Estimate { seconds: 0.0, shortest: f64::INFINITY, longest: 0.0, runs: past.len(), alike: 0 };
    for manifest in points {
        let distances: Vec<f64> = past.iter().map(|past| distance(manifest, past)).collect();
        let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let own =
            past.iter().zip(&distances).filter(|(_, distance)| **distance <= nearest).map(|(past, _)| past.seconds);
        let seconds = sample::median(&own.collect::<Vec<_>>()).unwrap_or(0.0);
        whole.seconds += seconds;
        whole.shortest = whole.shortest.min(seconds);
        whole.longest = whole.longest.max(seconds);
        whole.alike += usize::from(nearest == 0.0);
    }
    Some(whole)
}

/// How little a past run tells about a point: nothing where all that decides its length is the same.
fn distance(manifest: &Manifest, past: &Past) -> f64 {
    let apart =
        |samples: Option<usize>, then: f64| samples.map_or(0.0, |now| (now.max(1) as f64 / then.max(1.0)).ln().abs());
    let unlike = |differs: bool| f64::from(u8::from(differs));
    apart(manifest.calibration.samples, past.calibration)
        + apart(manifest.evaluation.samples, past.evaluation)
        + unlike(manifest.quantize.recipe.to_string() != past.recipe)
        + unlike(manifest.variant.len() != past.variants)
        + unlike(manifest.benchmark.rounds != past.rounds)
}
