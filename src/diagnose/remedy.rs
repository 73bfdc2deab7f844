//! Which change was measured to bring the lost accuracy back, and costs least.

use globset::escape;

use super::gained;
use crate::base::units;
use crate::manifest::{Choice as _, Granularity, LayerOverride, LayerPrecision, Recipe, Step, Task};
use crate::quantize::Scheme;
use crate::quantize::observer::ObserverKind;
use crate::record::Record;
use crate::record::format::{Change, Intervention};
use crate::stats::Estimate;

/// A change that was carried out and measured.
pub struct Remedy {
    pub(super) change: Change,
    /// How the network is quantized with it.
    pub scheme: Scheme,
    /// Its exceptions, beside those that the run had.
    pub layers: Vec<LayerOverride>,
    /// Whether the record names all nodes that it keeps in float, which records of older versions do not.
    pub is_whole: bool,
    /// What a person writes into the manifest.
    instruction: String,
    /// Accuracy over all evaluation samples, a fraction.
    pub gained: Estimate,
    loss: f64,
    task: Task,
}

impl Remedy {
    /// What to do, with what it brought.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{} (tried: {})", self.instruction, self.promise())
    }

    /// What it brought when it was tried.
    #[must_use]
    pub fn promise(&self) -> String {
        let Estimate { value, low, high, .. } = self.gained;
        let exact = low.total_cmp(&high).is_eq();
        let [value, low, high] = [value, low, high].map(|x| units::signed(x * 100.0, 2));
        let sure = if exact { "on all samples".to_owned() } else { format!("95 % interval {low} to {high}") };
        match self.task {
            Task::Classification => format!("{value} of {:.2} points lost, {sure}", self.loss * 100.0),
            Task::Fidelity => format!("{value} % of the error gone, {sure}"),
        }
    }
}

/// How the manifest changes.
#[derive(Clone, Copy)]
enum Edit {
    /// A step of the quantization, and what to know of it.
    Step(Step, &'static str),
    Observer(ObserverKind),
    /// A weight scale for each channel.
    PerChannel,
    /// All nodes that were changed are kept in float; a person is told by kind which they are.
    InFloat(&'static str),
}

/// Changes of one choice for the whole network, in groups of like cost: nothing at run time first, then more and more
/// of the network in float.
const CHANGES: [&[(Change, Edit)]; 5] = [
    &[
        (Change::PerChannel, Edit::PerChannel),
        (Change::Equalize, Edit::Step(Step::Equalize, "")),
        (Change::Percentile, Edit::Observer(ObserverKind::Percentile)),
        (Change::Mse, Edit::Observer(ObserverKind::Mse)),
        (Change::BoundWeights, Edit::Step(Step::BoundWeights, ", for 8-bit activations")),
    ],
    &[
        (Change::FloatStem, Edit::Step(Step::FloatStem, "")),
        (
            Change::OverflowInFloat,
            Edit::InFloat("the layers whose biases leave 32 bits, and all that reads them up to the next layers"),
        ),
    ],
    &[(Change::GatesInFloat, Edit::InFloat("the squeeze-excite gates"))],
    &[(Change::HardSwishInFloat, Edit::InFloat("hard-swish and the layers before it"))],
    &[(Change::ProductsOnly, Edit::Step(Step::ProductsOnly, ""))],
];

impl Edit {
    /// The scheme with the change. What was quantized anew for it learned nothing, and so the remedy does not.
    fn scheme(self, record: &Record) -> Scheme {
        let scheme = scheme(record);
        match self {
            Self::Step(step, _) => scheme.without_learning().toggled(step),
            Self::Observer(observer) => Scheme { observer, ..scheme.without_learning() },
            Self::PerChannel => Scheme { weights: Granularity::PerChannel, ..scheme.without_learning() },
            Self::InFloat(_) => scheme,
        }
    }

    fn told(self, record: &Record) -> String {
        let settings = &record.settings.quantize;
        match self {
            Self::InFloat(which) => format!("set `precision = \"fp32\"` in `quantize.layer` for {which}"),
            // It chooses steps and observer by itself, and takes none.
            _ if settings.recipe == Recipe::Robust => {
                let scheme = self.scheme(record);
                let steps: Vec<String> = scheme.steps.iter().map(|step| format!("\"{}\"", step.word())).collect();
                let recipe = Recipe::of(scheme.observer).word();
                format!("set `quantize.recipe = \"{recipe}\"` and `quantize.steps = [{}]`", steps.join(", "))
            }
            Self::Step(step, note) if settings.steps.is_some() => {
                format!("add \"{}\" to `quantize.steps`{note}", step.word())
            }
            Self::Step(step, note) => format!("set `quantize.steps = [\"{}\"]`{note}", step.word()),
            Self::Observer(observer) => format!("set `quantize.recipe = \"{}\"`", Recipe::of(observer).word()),
            Self::PerChannel => "remove `quantize.weights = \"per-tensor\"`".to_owned(),
        }
    }
}

/// How the run's network was quantized.
fn scheme(record: &Record) -> Scheme {
    let asked = Scheme::of(&record.settings.quantize);
    let observer = record.quantization.observer.as_deref().and_then(ObserverKind::named);
    Scheme {
        observer: observer.unwrap_or(asked.observer),
        steps: record.quantization.steps.clone(),
        weights: asked.weights,
        reduce_range: asked.reduce_range,
    }
}

/// The cheapest change that surely brings back most of what was lost; of a group, the one that brings back most.
pub(super) fn cheapest(record: &Record) -> Option<Remedy> {
    let loss = loss(record)?;
    let surely = |gained: &Estimate| gained.low > loss / 2.0;
    let of_group = |group: &&[(Change, Edit)]| best(whole(record, group, loss).filter(|tried| surely(&tried.gained)));
    // A layer is less float than the gates of the whole network, a block about as much.
    let part = |change: Change| best(parts(record, change, loss).filter(|tried| surely(&tried.gained)));
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
        let tried = tried(record).find(|tried| tried.change == change && tried.target.is_none())?;
        Some(Remedy {
            change,
            scheme: edit.scheme(record),
            layers: if let Edit::InFloat(_) = edit { in_float(tried) } else { Vec::new() },
            is_whole: !matches!(edit, Edit::InFloat(_)) || !tried.nodes.is_empty(),
            instruction: edit.told(record),
            gained: tried.gained,
            loss,
            task: record.settings.task,
        })
    })
}

/// Layers or blocks that were tried in float.
fn parts(record: &Record, change: Change, loss: f64) -> impl Iterator<Item = Remedy> {
    let of_kind = tried(record).filter(move |tried| tried.change == change);
    of_kind.map(move |tried| Remedy {
        change,
        scheme: scheme(record),
        layers: in_float(tried),
        is_whole: !tried.nodes.is_empty(),
        instruction: instruction(tried),
        gained: tried.gained,
        loss,
        task: record.settings.task,
    })
}

fn tried(record: &Record) -> impl Iterator<Item = &Intervention> {
    record.attribution.iter().flat_map(|attribution| &attribution.interventions)
}

/// The nodes that were in float, each by the glob that names it.
fn in_float(tried: &Intervention) -> Vec<LayerOverride> {
    let patterns = patterns(tried).into_iter();
    let precision = Some(LayerPrecision::Fp32);
    patterns.map(|r#match| LayerOverride { r#match, precision, observer: None, kernel: None }).collect()
}

/// How a layer or a block is kept in float.
pub(super) fn instruction(tried: &Intervention) -> String {
    let all = patterns(tried).into_iter();
    let all: Vec<String> = all.map(|pattern| format!("`match = \"{pattern}\"`")).collect();
    format!("in `quantize.layer` set `precision = \"fp32\"` for {}", all.join(" and "))
}

/// What `match` takes for the nodes that were in float: one by one, but for those whose names are below the name of a
/// block.
pub(super) fn patterns(tried: &Intervention) -> Vec<String> {
    let block = tried.target.as_deref().filter(|_| tried.change == Change::BlockInFloat);
    let is_below =
        |node: &&String| block.is_some_and(|name| node.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
    let below = block.filter(|_| tried.nodes.iter().any(|node| is_below(&node)));
    let others = tried.nodes.iter().filter(|node| !is_below(node)).map(|node| escape(node));
    below.map(|name| format!("{}.*", escape(name))).into_iter().chain(others).collect()
}

fn best(remedies: impl Iterator<Item = Remedy>) -> Option<Remedy> {
    remedies.max_by(|a, b| a.gained.value.total_cmp(&b.gained.value))
}

/// The accuracy that there is to regain, a fraction; `None` where nothing was tried.
pub(super) fn loss(record: &Record) -> Option<f64> {
    gained(record, Change::Float).map(|(gained, _)| gained.value).filter(|loss| *loss > 0.0)
}

/// What to do where nothing that was tried brings most back: what helps most, and the next experiment.
#[must_use]
pub fn next_experiment(record: &Record) -> String {
    let exhausted = record.attribution.as_ref().is_some_and(|attribution| attribution.exhausted);
    let next = if exhausted {
        "raise `record.interventions`: there was more to try"
    } else if record.settings.quantize.recipe == Recipe::Robust {
        "keep more blocks in float with `quantize.layer`"
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
    let parts = [Change::LayerInFloat, Change::BlockInFloat].into_iter().flat_map(|change| parts(record, change, loss));
    let whole = CHANGES.iter().flat_map(|group| whole(record, group, loss));
    best(whole.chain(parts).filter(|tried| tried.gained.low > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(change: Change, target: &str, nodes: &[&str]) -> Intervention {
        let none = Estimate { value: 0.0, low: 0.0, high: 0.0, n: 0 };
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        Intervention { change, target: Some(target.into()), nodes, gained: none, agreement: none }
    }

    #[test]
    fn patterns_match_the_nodes_that_were_tried_and_no_others() {
        let block = tried(Change::BlockInFloat, "features.4", &["features.4.0", "features.4.1.0", "add_3", "mul[0]"]);
        assert_eq!(patterns(&block), ["features.4.*", "add_3", "mul[[]0[]]"]);
        let itself = tried(Change::BlockInFloat, "fc", &["fc"]);
        assert_eq!(patterns(&itself), ["fc"]);
        let layer = tried(Change::LayerInFloat, "features.4.0", &["features.4.0", "relu"]);
        assert_eq!(patterns(&layer), ["features.4.0", "relu"]);
    }
}
