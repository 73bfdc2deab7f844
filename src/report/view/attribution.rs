//! What interventions brought back.

use serde::Serialize;

use crate::base::units::{self, ABSENT};
use crate::record::Record;
use crate::record::format::{Attribution, Change, Intervention};
use crate::stats::Estimate;

#[derive(Debug, Serialize)]
pub(super) struct AttributionView {
    variant: String,
    samples: usize,
    disagreeing: usize,
    exhausted: bool,
    /// Of the whole network, the greatest gain first.
    whole: Vec<Row>,
    /// In execution order.
    blocks: Vec<Block>,
    layers: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    change: String,
    gained: String,
    agreement: String,
}

#[derive(Debug, Serialize)]
struct Block {
    name: String,
    /// What is lost where it alone computes in integers.
    alone: String,
    float: String,
    agreement: String,
}

impl AttributionView {
    pub(super) fn of(record: &Record) -> Option<Self> {
        let attribution = record.attribution.as_ref()?;
        let Attribution { variant, samples, disagreeing, exhausted, .. } = attribution;
        let float = attribution.interventions.iter().find(|tried| tried.change == Change::Float);
        let lost = float.map_or(0.0, |tried| tried.gained.value);
        Some(Self {
            variant: variant.clone(),
            samples: *samples,
            disagreeing: *disagreeing,
            exhausted: *exhausted,
            whole: sorted(attribution, |tried| tried.target.is_none()),
            blocks: blocks(attribution, -lost),
            layers: sorted(attribution, |tried| tried.change == Change::LayerInFloat),
        })
    }
}

fn sorted(attribution: &Attribution, which: fn(&Intervention) -> bool) -> Vec<Row> {
    let mut tried: Vec<&Intervention> = attribution.interventions.iter().filter(|tried| which(tried)).collect();
    tried.sort_by(|a, b| b.agreement.value.total_cmp(&a.agreement.value));
    let name = |tried: &Intervention| tried.target.clone().unwrap_or_else(|| described(tried.change).to_owned());
    tried
        .into_iter()
        .map(|tried| Row {
            change: name(tried),
            gained: points(&tried.gained, 0.0),
            agreement: points(&tried.agreement, 0.0),
        })
        .collect()
}

fn blocks(attribution: &Attribution, lost: f64) -> Vec<Block> {
    let gained = |change: Change, name: &str| {
        let of = |tried: &&Intervention| tried.change == change && tried.target.as_deref() == Some(name);
        attribution.interventions.iter().find(of).map(|tried| &tried.gained)
    };
    let agreement = |name: &str| {
        let of = |tried: &&Intervention| tried.change == Change::BlockInFloat && tried.target.as_deref() == Some(name);
        attribution.interventions.iter().find(of).map(|tried| &tried.agreement)
    };
    let named = attribution.interventions.iter().filter(|tried| tried.change == Change::BlockInFloat);
    let names = named.filter_map(|tried| tried.target.as_deref());
    let cell = |estimate: Option<&Estimate>, from: f64| estimate.map_or_else(|| ABSENT.to_owned(), |e| points(e, from));
    names
        .map(|name| Block {
            name: name.to_owned(),
            // What comes back when all others are in float, less all that was lost, is this block's own.
            alone: cell(gained(Change::BlockAlone, name), lost),
            float: cell(gained(Change::BlockInFloat, name), 0.0),
            agreement: cell(agreement(name), 0.0),
        })
        .collect()
}

/// Points of accuracy above `from`, with their interval.
fn points(estimate: &Estimate, from: f64) -> String {
    let [value, low, high] =
        [estimate.value, estimate.low, estimate.high].map(|x| units::signed((x + from) * 100.0, 2));
    format!("{value} ({low} to {high})")
}

const fn described(change: Change) -> &'static str {
    match change {
        Change::Float => "all in float: what there is to gain",
        Change::FloatArithmetic => "the same integers in float arithmetic",
        Change::FloatWeights => "weights in float",
        Change::FloatActivations => "activations in float",
        Change::Calibration => "calibrated on evaluation samples",
        Change::PerChannel => "a weight scale for each channel",
        Change::Equalize => "step `equalize`",
        Change::Percentile => "percentile observer",
        Change::Mse => "least-squares observer",
        Change::ProductsOnly => "step `products-only`",
        Change::FloatStem => "step `float-stem`",
        Change::BoundWeights => "step `bound-weights`, 8-bit activations",
        Change::OverflowInFloat => "layers whose biases leave 32 bits in float, with what reads them",
        Change::GatesInFloat => "squeeze-excite gates in float",
        Change::HardSwishInFloat => "hard-swish in float, with the layers before it",
        Change::BlockInFloat | Change::BlockAlone | Change::LayerInFloat => "a part of the network",
    }
}
