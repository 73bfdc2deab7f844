//! What became of the layers, and what the recipe tried before.

use serde::Serialize;

use super::text::modules;
use crate::base::units::{self, ABSENT};
use crate::manifest::Choice as _;
use crate::record::Record;
use crate::record::format::{Followed, Layer, Trial};

#[derive(Debug, Serialize)]
pub(super) struct LayerSummary {
    fp32: Vec<(String, usize)>,
    fp32_total: usize,
    int8: Vec<(String, usize)>,
    int8_total: usize,
    float: Vec<(String, usize)>,
    float_total: usize,
    patches: Vec<(String, usize)>,
    /// Those that lose the most, by themselves where that was measured, else by their weights.
    losing: Vec<LosingLayer>,
    /// Calibration samples behind the measured losses; zero where none was measured.
    evidence_samples: usize,
    /// Empty where nothing was quantized here.
    parts: Vec<PartRow>,
}

#[derive(Debug, Serialize)]
struct LosingLayer {
    name: String,
    operator: String,
    weight: String,
    local: String,
    cumulative: String,
}

/// One candidate of a recipe that chooses.
#[derive(Debug, Serialize)]
pub(super) struct TrialRow {
    scheme: String,
    follows: FollowedCells,
    chosen: &'static str,
}

#[derive(Debug, Serialize)]
struct FollowedCells {
    divergence: String,
    sqnr: String,
    agreeing: String,
}

#[derive(Debug, Serialize)]
struct PartRow {
    name: &'static str,
    follows: FollowedCells,
}

impl LayerSummary {
    pub(super) fn of(record: &Record) -> Self {
        let network = &record.network;
        let mut patches: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        for patch in &network.patches {
            *patches.entry(patch.pass.clone()).or_default() += 1;
        }
        let evidence = network.layers.iter().filter_map(|layer| layer.evidence.as_ref());
        Self {
            fp32: modules(&network.fp32_modules),
            fp32_total: network.fp32_modules.values().sum(),
            int8: modules(&network.int8_modules),
            int8_total: network.int8_modules.values().sum(),
            float: modules(&network.float_operators),
            float_total: network.float_operators.values().sum(),
            patches: modules(&patches),
            losing: losing(&network.layers),
            evidence_samples: evidence.map(|evidence| evidence.samples).max().unwrap_or(0),
            parts: parts(record),
        }
    }
}

fn losing(layers: &[Layer]) -> Vec<LosingLayer> {
    const SHOWN: usize = 8;
    let weight = |layer: &Layer| layer.weight.as_ref().and_then(|weight| weight.sqnr_db);
    let local = |layer: &Layer| layer.evidence.as_ref().and_then(|evidence| evidence.local_sqnr_db);
    let cumulative = |layer: &Layer| layer.evidence.as_ref().and_then(|evidence| evidence.cumulative_sqnr_db);
    let measured = layers.iter().any(|layer| local(layer).is_some());
    let key = |layer: &Layer| if measured { local(layer) } else { weight(layer) };
    let integers = layers.iter().filter(|layer| layer.float_because.is_none());
    let mut known: Vec<(f64, &Layer)> = integers.filter_map(|layer| Some((key(layer)?, layer))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let db = |value: Option<f64>| value.map_or_else(|| ABSENT.to_owned(), |db| format!("{db:.1} dB"));
    known
        .into_iter()
        .take(SHOWN)
        .map(|(_, layer)| LosingLayer {
            name: layer.name.clone(),
            operator: layer.operator.clone(),
            weight: db(weight(layer)),
            local: db(local(layer)),
            cumulative: db(cumulative(layer)),
        })
        .collect()
}

impl TrialRow {
    pub(super) fn of(trial: &Trial) -> Self {
        let steps: Vec<&str> = trial.steps.iter().map(|step| step.word()).collect();
        let steps = if steps.is_empty() { "no steps".to_owned() } else { steps.join(", ") };
        Self {
            scheme: format!("{} observer; {steps}", trial.observer),
            follows: FollowedCells::of(&trial.followed),
            chosen: if trial.chosen { "chosen" } else { "" },
        }
    }
}

impl FollowedCells {
    fn of(followed: &Followed) -> Self {
        Self {
            divergence: format!("{:.5}", followed.divergence),
            sqnr: followed.sqnr_db.map_or_else(|| ABSENT.to_owned(), |db| format!("{db:.2} dB")),
            agreeing: units::percent(followed.agreeing as f64 / followed.samples.max(1) as f64),
        }
    }
}

/// The network taken apart, a row for each part.
fn parts(record: &Record) -> Vec<PartRow> {
    let row = |name, followed: &Followed| PartRow { name, follows: FollowedCells::of(followed) };
    record.quantization.parts.as_ref().map_or_else(Vec::new, |parts| {
        vec![
            row("integer weights alone", &parts.weights),
            row("rounded activations alone", &parts.activations),
            row("both, in float arithmetic", &parts.both),
            row("both, in the kernels", &parts.kernels),
        ]
    })
}
