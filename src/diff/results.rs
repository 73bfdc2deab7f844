//! What each variant came to in both runs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Side;
use crate::measure::summary::{Effect, effect};
use crate::record::answers::{Answer, Answers};
use crate::record::format::{Measured, Outcome, VariantResult};
use crate::stats::paired::PairedCounts;
use crate::stats::{Estimate, proportion, ratio};

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

/// A quantity in both runs. Fractions, milliseconds or bytes, as the name says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quantity {
    pub name: String,
    pub a: Estimate,
    pub b: Estimate,
    /// B − A for accuracy, else B ÷ A; absent where not comparable.
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

/// One variant in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantDiff {
    pub name: String,
    /// `measured`, `missing: …`, `failed: …`; absent where the run has no such variant.
    pub status_a: Option<String>,
    pub status_b: Option<String>,
    /// Whether the artefacts are the same to the bit; absent where one was not measured.
    pub same_artefact: Option<bool>,
    pub quantities: Vec<Quantity>,
    pub pairs: Option<Pairs>,
}

impl VariantDiff {
    /// By more than chance.
    #[must_use]
    pub fn differs(&self) -> bool {
        let status = |status: &Option<String>| status.as_deref().map(|s| s.split(':').next().unwrap_or(s).to_owned());
        status(&self.status_a) != status(&self.status_b)
            || self.same_artefact == Some(false)
            || self.quantities.iter().any(|quantity| quantity.standing == Standing::Differs)
            || self.pairs.as_ref().is_some_and(|pairs| !pairs.flips.is_empty())
    }

    /// Whether it answers every sample with the same margin, or is absent for the same reason.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.status_a == self.status_b && self.pairs.as_ref().is_none_or(|pairs| pairs.other_margins == 0)
    }

    #[must_use]
    pub fn quantity(&self, name: &str) -> Option<&Quantity> {
        self.quantities.iter().find(|quantity| quantity.name == name)
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
    let (Some(left), Some(right)) = (&a.answers, &b.answers) else {
        return Some("a record alone has no predictions; name the runs' folders".to_owned());
    };
    if left.samples == right.samples {
        return None;
    }
    let known: BTreeSet<&str> = left.samples.iter().map(|sample| sample.id.as_str()).collect();
    let shared = right.samples.iter().filter(|sample| known.contains(sample.id.as_str())).count();
    if shared == 0 {
        return Some("they were judged on other samples".to_owned());
    }
    let (a, b) = (left.samples.len(), right.samples.len());
    Some(format!(
        "A was judged on {a} samples and B on {b}, of which {shared} are the same or in another order; \
         the interval takes them for independent and is wider than it need be"
    ))
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
        let pairs = measured.and(answers).and_then(|(x, y)| paired(x, y, name));
        VariantDiff {
            name: name.clone(),
            status_a: left.as_ref().map(status),
            status_b: right.as_ref().map(status),
            same_artefact: measured.map(|(x, y)| x.artefact.sha256 == y.artefact.sha256),
            quantities: measured.map(|(x, y)| quantities(x, y, pairs.as_ref(), times)).unwrap_or_default(),
            pairs,
        }
    };
    names.into_iter().map(one).collect()
}

fn status(variant: &VariantResult) -> String {
    match &variant.outcome {
        Outcome::Measured(_) => "measured".to_owned(),
        Outcome::Missing { reason, .. } => format!("missing: {reason}"),
        Outcome::Failed { reason, .. } => format!("failed: {reason}"),
    }
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

fn quantities(a: &Measured, b: &Measured, pairs: Option<&Pairs>, times: Times) -> Vec<Quantity> {
    let mut all = vec![accuracy(a, b, pairs)];
    for left in &a.latency {
        let Some(right) = b.latency.iter().find(|latency| latency.batch == left.batch) else { continue };
        let name = |what: &str| format!("{what} at batch {}", left.batch);
        // What was measured beside other programs is not compared with anything.
        let disturbed = left.unclaimed.is_some() || right.unclaimed.is_some();
        let times = Times { floor: times.floor.filter(|_| !disturbed), ..times };
        all.push(ratio_of(name("latency"), left.milliseconds, right.milliseconds, times));
        if let (Some(x), Some(y)) = (left.speedup, right.speedup) {
            all.push(ratio_of(name("speedup"), x, y, times));
        }
    }
    if let (Some(x), Some(y)) = (a.memory.inference, b.memory.inference) {
        all.push(ratio_of("memory of inference".to_owned(), x, y, Times { shared: false, ..times }));
    }
    if let (Some(x), Some(y)) = (a.memory.device_inference, b.memory.device_inference) {
        all.push(ratio_of("memory on the GPU".to_owned(), x, y, Times { shared: false, ..times }));
    }
    let bytes = |measured: &Measured| {
        let value = measured.artefact.bytes as f64;
        Estimate { value, low: value, high: value, n: 1 }
    };
    all.push(ratio_of("size".to_owned(), bytes(a), bytes(b), Times { floor: Some(0.0), shared: false }));
    all
}

fn accuracy(a: &Measured, b: &Measured, pairs: Option<&Pairs>) -> Quantity {
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
    Quantity { name: "accuracy".to_owned(), a: a.accuracy, b: b.accuracy, change, standing }
}

fn ratio_of(name: String, a: Estimate, b: Estimate, times: Times) -> Quantity {
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
    Quantity { name, a, b, change, standing }
}
