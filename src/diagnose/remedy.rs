//! Which change was measured to bring the lost accuracy back, and costs least.

use super::gained;
use crate::base::units;
use crate::manifest::Step;
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

/// How a person makes a change.
#[derive(Clone, Copy)]
enum Edit {
    /// A step of the quantization, and what to know of it.
    Step(Step, &'static str),
    Other(&'static str),
}

/// Changes of one choice for the whole network, in groups of like cost: nothing at run time first, then more and more
/// of the network in float.
const CHANGES: [&[(Change, Edit)]; 5] = [
    &[
        (Change::PerChannel, Edit::Other("remove `quantize.weights = \"per-tensor\"`")),
        (Change::Equalize, Edit::Step(Step::Equalize, "")),
        (Change::Percentile, Edit::Other("set `quantize.recipe = \"percentile\"`")),
        (Change::Mse, Edit::Other("set `quantize.recipe = \"mse\"`")),
        (Change::BoundWeights, Edit::Step(Step::BoundWeights, ", for 8-bit activations")),
    ],
    &[(Change::FloatStem, Edit::Step(Step::FloatStem, ""))],
    &[(
        Change::GatesInFloat,
        Edit::Other("set `precision = \"fp32\"` in `quantize.layer` for the squeeze-excite gates"),
    )],
    &[(
        Change::HardSwishInFloat,
        Edit::Other("set `precision = \"fp32\"` in `quantize.layer` for hard-swish and the layers before it"),
    )],
    &[(Change::ProductsOnly, Edit::Step(Step::ProductsOnly, ""))],
];

impl Edit {
    fn told(self, record: &Record) -> String {
        match (self, &record.settings.quantize.steps) {
            (Self::Step(step, note), Some(_)) => format!("add \"{step}\" to `quantize.steps`{note}"),
            (Self::Step(step, note), None) => format!("set `quantize.steps = [\"{step}\"]`{note}"),
            (Self::Other(told), _) => told.to_owned(),
        }
    }
}

/// The cheapest change that surely brings back most of what was lost; of a group, the one that brings back most.
pub(super) fn cheapest(record: &Record) -> Option<Remedy> {
    let loss = loss(record)?;
    let surely = |gained: &Estimate| gained.low > loss / 2.0;
    let of_group = |group: &&[(Change, Edit)]| best(whole(record, group, loss).filter(|tried| surely(&tried.gained)));
    // A layer is less float than the gates of the whole network, a block about as much.
    let part = |change: Change| {
        let tried = record.attribution.iter().flat_map(|attribution| &attribution.interventions);
        let of_kind = tried.filter(move |tried| tried.change == change && surely(&tried.gained));
        best(of_kind.map(|tried| in_float(tried, loss)))
    };
    CHANGES[..2]
        .iter()
        .find_map(of_group)
        .or_else(|| part(Change::LayerInFloat))
        .or_else(|| CHANGES[2..4].iter().find_map(of_group))
        .or_else(|| part(Change::BlockInFloat))
        .or_else(|| CHANGES[4..].iter().find_map(of_group))
}

/// Those changes of a group that were tried.
fn whole(record: &Record, group: &[(Change, Edit)], loss: f64) -> impl Iterator<Item = Remedy> {
    group.iter().filter_map(move |&(change, edit)| {
        let gained = gained(record, change)?.0;
        Some(Remedy { change, instruction: edit.told(record), gained, loss })
    })
}

fn best(remedies: impl Iterator<Item = Remedy>) -> Option<Remedy> {
    remedies.max_by(|a, b| a.gained.value.total_cmp(&b.gained.value))
}

/// The accuracy that there is to regain, a fraction; `None` where nothing was tried.
pub(super) fn loss(record: &Record) -> Option<f64> {
    gained(record, Change::Float).map(|(gained, _)| gained.value).filter(|loss| *loss > 0.0)
}

fn in_float(tried: &Intervention, loss: f64) -> Remedy {
    let instruction = super::layers::instruction(tried);
    Remedy { change: tried.change, instruction, gained: tried.gained, loss }
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
    let parts = record.attribution.iter().flat_map(|attribution| &attribution.interventions);
    let parts = parts.filter(|tried| matches!(tried.change, Change::LayerInFloat | Change::BlockInFloat));
    let parts = parts.map(|tried| in_float(tried, loss));
    let whole = CHANGES.iter().flat_map(|group| whole(record, group, loss));
    best(whole.chain(parts).filter(|tried| tried.gained.low > 0.0))
}
