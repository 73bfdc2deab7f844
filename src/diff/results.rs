//! What each variant came to in both runs.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::Side;
use crate::base::units;
use crate::measure::summary::{Effect, effect};
use crate::record::answers::{Answer, Answers};
use crate::record::format::{Classified, Judged, Measured, Outcome, OutputFidelity, VariantResult};
use crate::record::outputs::Outputs;
use crate::stats::paired::PairedCounts;
use crate::stats::{Estimate, proportion, ratio};
use crate::task::fidelity::{self, Closeness, MOST_DB};

/// How a quantity of B stands to that of A.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The same figure.
    Same,
    /// Apart by no more than chance allows.
    NoDifference,
    Differs,
    /// See the diff's reason.
    NotComparable,
}

/// What a quantity is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantityKind {
    /// A fraction.
    Accuracy,
    /// Of one output, in dB.
    Sqnr,
    /// In milliseconds.
    Latency,
    Speedup,
    /// Of the process while it infers, in bytes.
    Memory,
    /// Of tensors on a device, in bytes.
    DeviceMemory,
    /// Of the artefact, in bytes.
    Size,
}

impl QuantityKind {
    /// A figure, as a page shows it.
    #[must_use]
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::Accuracy => units::percent(value),
            Self::Sqnr => fidelity::shown(value),
            Self::Latency => units::milliseconds(value),
            Self::Speedup => units::times(value),
            Self::Memory | Self::DeviceMemory | Self::Size => format!("{:.2} MB", value / 1e6),
        }
    }
}

/// A quantity in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quantity {
    #[serde(skip)]
    pub kind: QuantityKind,
    /// With what it is of where there are several: a batch size, an output.
    pub name: String,
    pub a: Estimate,
    pub b: Estimate,
    /// B − A for accuracy and ratios in dB, else B ÷ A; absent where not comparable.
    pub change: Option<Estimate>,
    pub standing: Standing,
}

impl Quantity {
    /// Whether there is anything to show.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.standing != Standing::Same
    }
}

/// A sample that the runs put into different classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flip {
    pub sample: String,
    pub label: String,
    pub a: String,
    pub b: String,
    pub margin_a: f32,
    pub margin_b: f32,
}

/// Answers to the same samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pairs {
    pub counts: PairedCounts,
    /// Exact McNemar test.
    pub p_value: f64,
    /// Samples whose class is the same and whose margin is not.
    pub other_margins: usize,
    /// In subset order.
    pub flips: Vec<Flip>,
}

/// What became of a variant in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Measured,
    /// With its reason, as [`Failed`](Self::Failed).
    Missing(String),
    Failed(String),
}

impl Status {
    fn of(variant: &VariantResult) -> Self {
        match &variant.outcome {
            Outcome::Measured(_) => Self::Measured,
            Outcome::Missing { reason, .. } => Self::Missing(reason.clone()),
            Outcome::Failed { reason, .. } => Self::Failed(reason.clone()),
        }
    }

    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Missing(_) => "missing",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured => f.write_str(self.word()),
            Self::Missing(reason) | Self::Failed(reason) => write!(f, "{}: {reason}", self.word()),
        }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One variant in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantDiff {
    pub name: String,
    /// Absent where the run has no such variant.
    pub status_a: Option<Status>,
    pub status_b: Option<Status>,
    /// Whether the artefacts are the same to the bit; absent where one was not measured.
    pub same_artefact: Option<bool>,
    pub quantities: Vec<Quantity>,
    pub pairs: Option<Pairs>,
    /// Of `task = "fidelity"`: how many samples there are, and those with an output that is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<OtherOutputs>,
}

/// Outputs for the same samples. Each is known by its sums over values beside the baseline's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OtherOutputs {
    pub samples: usize,
    pub differing: usize,
    /// The most that a sum of a sample differs by, relative to the larger.
    pub farthest: f64,
}

impl VariantDiff {
    /// By more than chance.
    #[must_use]
    pub fn differs(&self) -> bool {
        let word = |status: &Option<Status>| status.as_ref().map(Status::word);
        word(&self.status_a) != word(&self.status_b)
            || self.same_artefact == Some(false)
            || self.quantities.iter().any(|quantity| quantity.standing == Standing::Differs)
            || self.pairs.as_ref().is_some_and(|pairs| !pairs.flips.is_empty())
    }

    /// Whether it answers every sample with the same margin, or is absent for the same reason.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.status_a == self.status_b
            && self.pairs.as_ref().is_none_or(|pairs| pairs.other_margins == 0)
            && self.outputs.is_none_or(|outputs| outputs.differing == 0)
    }

    /// There may be several: one for each batch size or output.
    pub fn quantities(&self, kind: QuantityKind) -> impl Iterator<Item = &Quantity> {
        self.quantities.iter().filter(move |quantity| quantity.kind == kind)
    }
}

/// That one of the runs shared its machine while it was timed, if it did.
pub(super) fn timed_beside(a: &Side, b: &Side) -> Option<String> {
    let shared = |side: &&Side| side.record.conditions.as_ref().is_some_and(|conditions| conditions.beside_others);
    let side = [a, b].into_iter().find(shared)?;
    Some(format!("`{}` was timed beside other points of a sweep", side.record.run.id))
}

/// Why the answers cannot be paired, if they cannot.
pub(super) fn against_pairs(a: &Side, b: &Side) -> Option<String> {
    if a.record.settings.task != b.record.settings.task {
        return Some("they were judged by another `task`".to_owned());
    }
    let (Some(left), Some(right)) = (samples(a), samples(b)) else {
        return Some("a record alone has no predictions; name the runs' folders".to_owned());
    };
    if left == right {
        return None;
    }
    let known: BTreeSet<&str> = left.iter().map(|(id, _)| *id).collect();
    let shared = right.iter().filter(|(id, _)| known.contains(id)).count();
    if shared == 0 {
        return Some("they were judged on other samples".to_owned());
    }
    let (a, b) = (left.len(), right.len());
    Some(format!(
        "A was judged on {a} samples and B on {b}, of which {shared} are the same or in another order; \
         the interval takes them for independent and is wider than it need be"
    ))
}

/// The samples of a run with their labels, where they have some.
fn samples(side: &Side) -> Option<Vec<(&str, &str)>> {
    let labelled = side
        .answers
        .as_ref()
        .map(|answers| answers.samples.iter().map(|sample| (sample.id.as_str(), sample.label.as_str())).collect());
    labelled.or_else(|| Some(side.outputs.as_ref()?.samples.iter().map(|id| (id.as_str(), "")).collect()))
}

pub(super) fn between(a: &Side, b: &Side, times: Times, pairs: bool) -> Vec<VariantDiff> {
    let of = |side: &'_ Side, name: &str| side.record.variants.iter().find(|variant| variant.name == name).cloned();
    let only_b = b.record.variants.iter().filter(|variant| of(a, &variant.name).is_none());
    let names: Vec<&String> = a.record.variants.iter().chain(only_b).map(|variant| &variant.name).collect();
    let one = |name: &String| {
        let (left, right) = (of(a, name), of(b, name));
        let measured =
            left.as_ref().and_then(VariantResult::measured).zip(right.as_ref().and_then(VariantResult::measured));
        let answers = a.answers.as_ref().zip(b.answers.as_ref()).filter(|_| pairs);
        let outputs = a.outputs.as_ref().zip(b.outputs.as_ref()).filter(|_| pairs);
        let pairs = measured.and(answers).and_then(|(x, y)| paired(x, y, name));
        VariantDiff {
            name: name.clone(),
            status_a: left.as_ref().map(Status::of),
            status_b: right.as_ref().map(Status::of),
            same_artefact: measured.map(|(x, y)| x.artefact.sha256 == y.artefact.sha256),
            quantities: measured
                .map(|(x, y)| [quality(x, y, pairs.as_ref(), outputs, name), quantities(x, y, times)].concat())
                .unwrap_or_default(),
            pairs,
            outputs: measured.and(outputs).and_then(|(x, y)| other_outputs(x, y, name)),
        }
    };
    names.into_iter().map(one).collect()
}

fn paired(a: &Answers, b: &Answers, name: &str) -> Option<Pairs> {
    let (left, right) = (a.of(name)?, b.of(name)?);
    let mut counts = PairedCounts::default();
    a.right(name)?.into_iter().zip(b.right(name)?).for_each(|(first, second)| counts.add(first, second));
    let both = || a.samples.iter().zip(left.iter().zip(right));
    let flips = both().filter(|(_, (x, y))| x.class != y.class).map(|(sample, (x, y))| Flip {
        sample: sample.id.clone(),
        label: sample.label.clone(),
        a: x.class.clone(),
        b: y.class.clone(),
        margin_a: x.margin,
        margin_b: y.margin,
    });
    let other = |(x, y): (&Answer, &Answer)| x.class == y.class && x.margin.to_bits() != y.margin.to_bits();
    Some(Pairs {
        p_value: counts.mcnemar(),
        counts,
        other_margins: both().filter(|(_, pair)| other(*pair)).count(),
        flips: flips.collect(),
    })
}

/// How times may be compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Absent where they are not comparable at all.
    pub(super) floor: Option<f64>,
    /// Others share the processor of a virtual machine, more on one day than on another: that times are
    /// equal says something, that they are not says nothing.
    pub(super) shared: bool,
}

fn quantities(a: &Measured, b: &Measured, times: Times) -> Vec<Quantity> {
    let mut all = Vec::new();
    for left in &a.latency {
        let Some(right) = b.latency.iter().find(|latency| latency.batch == left.batch) else { continue };
        let name = |what: &str| format!("{what} at batch {}", left.batch);
        // What was measured beside other programs is not compared with anything.
        let disturbed = left.unclaimed.is_some() || right.unclaimed.is_some();
        let times = Times { floor: times.floor.filter(|_| !disturbed), ..times };
        all.push(ratio_of(QuantityKind::Latency, name("latency"), left.milliseconds, right.milliseconds, times));
        if let (Some(x), Some(y)) = (left.speedup, right.speedup) {
            all.push(ratio_of(QuantityKind::Speedup, name("speedup"), x, y, times));
        }
    }
    if let (Some(x), Some(y)) = (a.memory.inference, b.memory.inference) {
        all.push(ratio_of(
            QuantityKind::Memory,
            "memory of inference".to_owned(),
            x,
            y,
            Times { shared: false, ..times },
        ));
    }
    if let (Some(x), Some(y)) = (a.memory.device_inference, b.memory.device_inference) {
        all.push(ratio_of(
            QuantityKind::DeviceMemory,
            "memory on the GPU".to_owned(),
            x,
            y,
            Times { shared: false, ..times },
        ));
    }
    let bytes = |measured: &Measured| {
        let value = measured.artefact.bytes as f64;
        Estimate { value, low: value, high: value, n: 1 }
    };
    all.push(ratio_of(
        QuantityKind::Size,
        "size".to_owned(),
        bytes(a),
        bytes(b),
        Times { floor: Some(0.0), shared: false },
    ));
    all
}

/// What the task is about: accuracy, or the ratio of signal to noise of each output.
fn quality(
    a: &Measured,
    b: &Measured,
    pairs: Option<&Pairs>,
    outputs: Option<(&Outputs, &Outputs)>,
    name: &str,
) -> Vec<Quantity> {
    match (&a.judged, &b.judged) {
        (Judged::Classes(a), Judged::Classes(b)) => vec![accuracy(a, b, pairs)],
        (Judged::Outputs { fidelity: a }, Judged::Outputs { fidelity: b }) => {
            let both = a.outputs.iter().filter_map(|own| Some((own, b.outputs.iter().find(|b| b.name == own.name)?)));
            both.map(|(a, b)| ratio_of_output(a, b, outputs, name)).collect()
        }
        (Judged::Classes(_), Judged::Outputs { .. }) | (Judged::Outputs { .. }, Judged::Classes(_)) => Vec::new(),
    }
}

/// Smaller changes, in dB, are none to speak of.
const NO_CHANGE_DB: f64 = 0.01;

fn ratio_of_output(
    a: &OutputFidelity,
    b: &OutputFidelity,
    outputs: Option<(&Outputs, &Outputs)>,
    variant: &str,
) -> Quantity {
    let of = |all: &Outputs| {
        let own = all.of(variant)?.iter().find(|(known, _)| *known == a.name)?;
        Some(own.1.clone())
    };
    let pair = outputs.and_then(|(x, y)| Some((of(x)?, of(y)?)));
    let change = pair.and_then(|(x, y)| fidelity::change(&x, &y, &format!("{variant} {}", a.name)));
    // What differs nowhere is as close as can be.
    let exact = |own: &OutputFidelity| Estimate { value: MOST_DB, low: MOST_DB, high: MOST_DB, n: own.identical };
    let (x, y) = (a.sqnr_db.unwrap_or_else(|| exact(a)), b.sqnr_db.unwrap_or_else(|| exact(b)));
    let standing = match change {
        _ if x == y => Standing::Same,
        Some(change) if (change.low > 0.0 || change.high < 0.0) && change.value.abs() > NO_CHANGE_DB => {
            Standing::Differs
        }
        Some(_) => Standing::NoDifference,
        None => Standing::NotComparable,
    };
    Quantity { kind: QuantityKind::Sqnr, name: format!("SQNR of `{}`", a.name), a: x, b: y, change, standing }
}

fn other_outputs(a: &Outputs, b: &Outputs, name: &str) -> Option<OtherOutputs> {
    let (left, right) = (a.of(name)?, b.of(name)?);
    let bits = |own: &Closeness| [own.signal, own.noise, own.product, own.energy].map(f64::to_bits);
    let same = |at: usize| {
        left.len() == right.len() && left.iter().zip(right).all(|((_, x), (_, y))| bits(&x[at]) == bits(&y[at]))
    };
    let samples = a.samples.len();
    let relative = |a: f64, b: f64| if a.to_bits() == b.to_bits() { 0.0 } else { (a - b).abs() / a.abs().max(b.abs()) };
    let apart = |(x, y): (&Closeness, &Closeness)| relative(x.energy, y.energy).max(relative(x.signal, y.signal));
    let all = left.iter().zip(right).flat_map(|((_, x), (_, y))| x.iter().zip(y).map(apart));
    // What is a number in one run alone is as far as can be.
    let farthest = all.map(|apart| if apart.is_finite() { apart } else { 1.0 }).fold(0.0, f64::max);
    Some(OtherOutputs { samples, differing: (0..samples).filter(|at| !same(*at)).count(), farthest })
}

fn accuracy(a: &Classified, b: &Classified, pairs: Option<&Pairs>) -> Quantity {
    let independent = || proportion::difference((a.correct, a.accuracy.n), (b.correct, b.accuracy.n));
    let change = pairs.map_or_else(independent, |pairs| pairs.counts.difference());
    // Where samples are paired the exact test decides, else whether the interval holds zero.
    let called = pairs.map_or_else(
        || change.is_some_and(|change| change.low > 0.0 || change.high < 0.0),
        |pairs| pairs.p_value < 0.05,
    );
    let same = a.correct == b.correct && a.accuracy.n == b.accuracy.n;
    let standing = match (same, called) {
        (_, true) => Standing::Differs,
        (true, false) => Standing::Same,
        (false, false) => Standing::NoDifference,
    };
    Quantity {
        kind: QuantityKind::Accuracy,
        name: "accuracy".to_owned(),
        a: a.accuracy,
        b: b.accuracy,
        change,
        standing,
    }
}

fn ratio_of(kind: QuantityKind, name: String, a: Estimate, b: Estimate, times: Times) -> Quantity {
    let change = times.floor.and_then(|_| ratio::of(b, a));
    let standing = match (change, times.floor) {
        _ if a == b => Standing::Same,
        (Some(change), Some(floor)) => match effect(change, floor) {
            Effect::NoDifference => Standing::NoDifference,
            Effect::Undecided => Standing::NotComparable,
            Effect::Faster | Effect::Slower if times.shared => Standing::NotComparable,
            Effect::Faster | Effect::Slower => Standing::Differs,
        },
        _ => Standing::NotComparable,
    };
    Quantity { kind, name, a, b, change, standing }
}
