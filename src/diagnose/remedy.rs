//! Which change was measured to bring the lost accuracy back, and costs least.

use super::gained;
use crate::base::units;
use crate::record::Record;
use crate::record::format::{Change, Intervention};
use crate::stats::Estimate;

/// A change that was carried out and measured.
pub(super) struct Remedy {
    pub(super) change: Change,
    /// What a person writes into the manifest.
    instruction: String,
    gained: Estimate,
    loss: f64,
}

impl Remedy {
    /// What to do, with what it brought.
    pub(super) fn told(&self) -> String {
        let [value, low, high] =
            [self.gained.value, self.gained.low, self.gained.high].map(|x| units::signed(x * 100.0, 2));
        let loss = self.loss * 100.0;
        format!("{} (tried: {value} of {loss:.2} points lost, {low} to {high})", self.instruction)
    }
}

/// Changes of one choice for the whole network, in groups of like cost: nothing at run time first, then more and more
/// of the network in float.
const CHANGES: [&[Change]; 5] = [
    &[Change::PerChannel, Change::Equalize, Change::Percentile, Change::Mse, Change::BoundWeights],
    &[Change::FloatStem],
    &[Change::GatesInFloat],
    &[Change::HardSwishInFloat],
    &[Change::ProductsOnly],
];

/// The cheapest change that surely brings back most of what was lost; of a group, the one that brings back most.
pub(super) fn cheapest(record: &Record) -> Option<Remedy> {
    let loss = loss(record)?;
    let surely = |gained: &Estimate| gained.low > loss / 2.0;
    let of_group = |group: &&[Change]| {
        let tried = group.iter().filter_map(|&change| Some((change, gained(record, change)?.0)));
        tried.filter(|(_, gained)| surely(gained)).max_by(|a, b| a.1.value.total_cmp(&b.1.value))
    };
    // A layer is less float than the gates of the whole network, a block about as much.
    let part = |change: Change| {
        let tried = record.attribution.iter().flat_map(|attribution| &attribution.interventions);
        let of_kind = tried.filter(move |tried| tried.change == change && surely(&tried.gained));
        of_kind.max_by(|a, b| a.gained.value.total_cmp(&b.gained.value))
    };
    let whole = |(change, gained)| Remedy { change, instruction: instruction(record, change).to_owned(), gained, loss };
    let in_float = |tried: &Intervention| Remedy {
        change: tried.change,
        instruction: super::layers::instruction(tried),
        gained: tried.gained,
        loss,
    };
    CHANGES[..2]
        .iter()
        .find_map(of_group)
        .map(whole)
        .or_else(|| part(Change::LayerInFloat).map(in_float))
        .or_else(|| CHANGES[2..4].iter().find_map(of_group).map(whole))
        .or_else(|| part(Change::BlockInFloat).map(in_float))
        .or_else(|| CHANGES[4..].iter().find_map(of_group).map(whole))
}

/// The accuracy that there is to regain, a fraction; `None` where nothing was tried.
pub(super) fn loss(record: &Record) -> Option<f64> {
    gained(record, Change::Float).map(|(gained, _)| gained.value).filter(|loss| *loss > 0.0)
}

fn instruction(record: &Record, change: Change) -> &'static str {
    let has_steps = record.settings.quantize.steps.is_some();
    match (change, has_steps) {
        (Change::PerChannel, _) => "remove `quantize.weights = \"per-tensor\"`",
        (Change::Equalize, true) => "add \"equalize\" to `quantize.steps`",
        (Change::Equalize, false) => "set `quantize.steps = [\"equalize\"]`",
        (Change::Percentile, _) => "set `quantize.recipe = \"percentile\"`",
        (Change::Mse, _) => "set `quantize.recipe = \"mse\"`",
        (Change::BoundWeights, true) => "add \"bound-weights\" to `quantize.steps`, for 8-bit activations",
        (Change::BoundWeights, false) => "set `quantize.steps = [\"bound-weights\"]`, for 8-bit activations",
        (Change::FloatStem, true) => "add \"float-stem\" to `quantize.steps`",
        (Change::FloatStem, false) => "set `quantize.steps = [\"float-stem\"]`",
        (Change::ProductsOnly, true) => "add \"products-only\" to `quantize.steps`",
        (Change::ProductsOnly, false) => "set `quantize.steps = [\"products-only\"]`",
        (Change::GatesInFloat, _) => "set `precision = \"fp32\"` in `quantize.layer` for the squeeze-excite gates",
        (Change::HardSwishInFloat, _) => {
            "set `precision = \"fp32\"` in `quantize.layer` for hard-swish and the layers before it"
        }
        (
            Change::Float
            | Change::FloatArithmetic
            | Change::FloatWeights
            | Change::FloatActivations
            | Change::Calibration
            | Change::BlockInFloat
            | Change::BlockAlone
            | Change::LayerInFloat,
            _,
        ) => "keep a part of the network in float",
    }
}

/// What to do where nothing that was tried brings most back: what helps most, and the next experiment.
pub(super) fn next_experiment(record: &Record) -> String {
    let next = if record.settings.quantize.recipe == crate::manifest::Recipe::Robust {
        "raise `record.interventions`, or keep more blocks in float"
    } else {
        "try `quantize.recipe = \"robust\"`, which combines steps and also corrects biases"
    };
    match helpful(record) {
        Some(part) => format!("{}; nothing that was tried brings most of it back: next, {next}", part.told()),
        None => format!("nothing that was tried brings it back: next, {next}"),
    }
}

/// The change that surely brings back most, if not most of what was lost.
fn helpful(record: &Record) -> Option<Remedy> {
    let loss = loss(record)?;
    let whole = CHANGES.iter().copied().flatten().filter_map(|&change| {
        let gained = gained(record, change)?.0;
        Some(Remedy { change, instruction: instruction(record, change).to_owned(), gained, loss })
    });
    let parts = record.attribution.iter().flat_map(|attribution| &attribution.interventions);
    let parts = parts.filter(|tried| matches!(tried.change, Change::LayerInFloat | Change::BlockInFloat));
    let parts = parts.map(|tried| Remedy {
        change: tried.change,
        instruction: super::layers::instruction(tried),
        gained: tried.gained,
        loss,
    });
    whole.chain(parts).filter(|part| part.gained.low > 0.0).max_by(|a, b| a.gained.value.total_cmp(&b.gained.value))
}
