//! Whether a run reproduces another, level by level: what a level needs is judged before it.

use std::fmt;

use serde::Serialize;

use super::causes::Rank;
use super::results::{OtherOutputs, QuantityKind, Standing, Status};
use super::{Diff, VariantDiff};
use crate::base::units;
use crate::task::fidelity;

/// What is compared, in the order in which one thing follows from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Inputs,
    Artefact,
    Predictions,
    Accuracy,
    Speed,
    Memory,
}

impl Level {
    pub const ALL: [Self; 6] =
        [Self::Inputs, Self::Artefact, Self::Predictions, Self::Accuracy, Self::Speed, Self::Memory];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Artefact => "artefact",
            Self::Predictions => "predictions",
            Self::Accuracy => "accuracy",
            Self::Speed => "speed",
            Self::Memory => "memory",
        }
    }
}

/// How a level of the new run stands to the old one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likeness {
    /// To the bit; of speed and memory, the same figures.
    Identical,
    /// Within the tolerance that `docs/reproduction.md` states.
    Equivalent,
    NotComparable,
    Different,
}

impl Likeness {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Equivalent => "equivalent",
            Self::NotComparable => "not comparable",
            Self::Different => "different",
        }
    }
}

/// What became of the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reproduction {
    Reproduced,
    NotReproduced,
    Inconclusive,
}

impl fmt::Display for Reproduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reproduced => "REPRODUCED",
            Self::NotReproduced => "NOT REPRODUCED",
            Self::Inconclusive => "INCONCLUSIVE",
        })
    }
}

/// One judged level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    pub level: Level,
    pub likeness: Likeness,
    pub because: String,
}

/// Relative tolerance of scales and SQNR for an artefact that is equivalent without being the same:
/// calibration runs the network in FP32, whose last bits depend on the kernels.
pub const SCALE_TOLERANCE: f64 = 1e-4;

/// Relative change of a sum over an output's values that rounding explains.
pub const OUTPUT_TOLERANCE: f64 = 1e-3;

/// Largest ratio of memory that counts as equivalent: pages and allocators are not deterministic.
pub const MEMORY_TOLERANCE: f64 = 0.1;

/// Judges every level; A is the original.
#[must_use]
pub fn judge(diff: &Diff) -> Vec<Judged> {
    let other_runtime = other_runtime(diff);
    let mut judged = vec![inputs(diff)];
    let levels: [(Level, Judge); 5] = [
        (Level::Artefact, artefact),
        (Level::Predictions, predictions),
        (Level::Accuracy, accuracy),
        (Level::Speed, speed),
        (Level::Memory, memory),
    ];
    let context = Context { diff, other_runtime };
    for (level, one) in levels {
        let of = |variant: &VariantDiff| standing(variant).unwrap_or_else(|| one(variant, &context));
        let asked = diff.variants.iter().filter(|variant| variant.status_a == Some(Status::Measured));
        let each: Vec<(&str, (Likeness, String))> = asked.map(|variant| (variant.name.as_str(), of(variant))).collect();
        let likeness = each.iter().map(|(_, (likeness, _))| *likeness).max().unwrap_or(Likeness::NotComparable);
        let because =
            reasons(each.iter().filter(|(_, one)| one.0 == likeness).map(|(name, one)| (*name, one.1.as_str())));
        judged.push(Judged { level, likeness, because });
    }
    judged
}

/// `` `a`, `b`: reason; `c`: another ``
fn reasons<'a>(each: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut by_reason: Vec<(Vec<String>, &str)> = Vec::new();
    for (name, reason) in each {
        match by_reason.iter_mut().find(|(_, known)| *known == reason) {
            Some((names, _)) => names.push(format!("`{name}`")),
            None => by_reason.push((vec![format!("`{name}`")], reason)),
        }
    }
    if by_reason.is_empty() {
        return "no variant was measured".to_owned();
    }
    by_reason.iter().map(|(names, reason)| format!("{}: {reason}", names.join(", "))).collect::<Vec<_>>().join("; ")
}

/// The verdict over the levels up to `last`.
#[must_use]
pub fn verdict(judged: &[Judged], last: Level) -> Reproduction {
    let of = |wanted: Likeness, levels: &dyn Fn(Level) -> bool| {
        judged.iter().any(|one| one.level <= last && levels(one.level) && one.likeness == wanted)
    };
    let decided = |level: Level| level <= Level::Accuracy;
    if of(Likeness::Different, &decided) {
        Reproduction::NotReproduced
    } else if of(Likeness::NotComparable, &decided) || of(Likeness::Different, &|level| !decided(level)) {
        // A time or a footprint that moved refutes no result; it leaves open whether it is one.
        Reproduction::Inconclusive
    } else {
        Reproduction::Reproduced
    }
}

/// Judges one level of one variant, with the reason.
type Judge = fn(&VariantDiff, &Context<'_>) -> (Likeness, String);

struct Context<'a> {
    diff: &'a Diff,
    /// In what the arithmetic may differ, if it may.
    other_runtime: Option<String>,
}

/// What changes the last bits of floating-point results.
fn other_runtime(diff: &Diff) -> Option<String> {
    const TELLING: [&str; 6] = ["calibrated_on", "libtorch", "kernels", "threads", "isa_flags", "cpu"];
    let telling = |key: &str| TELLING.contains(&key) || key.starts_with("compute.") || key.starts_with("environment.");
    let keys = diff.causes.iter().filter(|change| change.rank >= Rank::Versions || change.key.starts_with("compute."));
    let keys: Vec<&str> = keys.filter(|change| telling(&change.key)).map(|change| change.key.as_str()).collect();
    (!keys.is_empty()).then(|| format!("under other {}", keys.join(", ")))
}

/// A variant that was not measured again decides its levels by that.
fn standing(variant: &VariantDiff) -> Option<(Likeness, String)> {
    match &variant.status_b {
        Some(Status::Measured) => None,
        Some(status @ Status::Missing(_)) => Some((Likeness::NotComparable, status.to_string())),
        Some(status @ Status::Failed(_)) => Some((Likeness::Different, status.to_string())),
        None => Some((Likeness::Different, "not run".to_owned())),
    }
}

fn inputs(diff: &Diff) -> Judged {
    const NOT_SCIENCE: [&str; 3] = ["goals", "report", "record"];
    let table = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
    let changed: Vec<&str> = diff
        .causes
        .iter()
        .filter(|change| change.rank <= Rank::Inputs && !NOT_SCIENCE.contains(&table(&change.key).as_str()))
        .map(|change| change.key.as_str())
        .collect();
    let (likeness, because) = if changed.is_empty() {
        (Likeness::Identical, "model, dataset, subsets and settings are the same".to_owned())
    } else {
        const SHOWN: usize = 4;
        let more = changed.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (Likeness::Different, format!("other {}{more}", changed[..changed.len().min(SHOWN)].join(", ")))
    };
    Judged { level: Level::Inputs, likeness, because }
}

fn artefact(variant: &VariantDiff, context: &Context<'_>) -> (Likeness, String) {
    if variant.same_artefact == Some(true) {
        return (Likeness::Identical, "the same to the bit".to_owned());
    }
    let far: Vec<&str> =
        context.diff.layers.iter().filter(|l| !l.is_within(SCALE_TOLERANCE)).map(|l| l.layer.as_str()).collect();
    let why = context.other_runtime.as_ref().map(|other| format!(", {other}")).unwrap_or_default();
    if far.is_empty() {
        (Likeness::Equivalent, format!("other bytes, every scale within {SCALE_TOLERANCE:e}{why}"))
    } else {
        (Likeness::Different, format!("other parameters in {} layers, first `{}`{why}", far.len(), far[0]))
    }
}

fn predictions(variant: &VariantDiff, context: &Context<'_>) -> (Likeness, String) {
    if let Some(OtherOutputs { samples, differing, farthest }) = variant.outputs {
        let told = format!("other outputs for {differing} of {samples} samples, by {farthest:.1e} at most");
        return match (differing, &context.other_runtime) {
            (0, _) => (Likeness::Identical, format!("the same sums over the outputs of {samples} samples, to the bit")),
            (_, Some(other)) => (Likeness::NotComparable, format!("{told}, {other}")),
            (_, None) if farthest > OUTPUT_TOLERANCE => (Likeness::Different, told),
            (_, None) => (Likeness::Equivalent, told),
        };
    }
    let Some(pairs) = &variant.pairs else {
        let because = context.diff.no_pairs_because.clone().unwrap_or_else(|| "no predictions".to_owned());
        return (Likeness::NotComparable, because);
    };
    let (n, flips) = (pairs.counts.n(), pairs.flips.len());
    match (flips, pairs.other_margins, &context.other_runtime) {
        (0, 0, _) => (Likeness::Identical, format!("the same {n} classes and margins, to the bit")),
        (0, margins, _) => (Likeness::Equivalent, format!("the same {n} classes; {margins} margins differ")),
        (_, _, Some(other)) => (Likeness::NotComparable, format!("{flips} of {n} samples in another class, {other}")),
        (_, _, None) => (Likeness::Different, format!("{flips} of {n} samples in another class")),
    }
}

fn accuracy(variant: &VariantDiff, _: &Context<'_>) -> (Likeness, String) {
    let Some(accuracy) = variant.quantities(QuantityKind::Accuracy).next() else { return ratios(variant) };
    let figures = format!("{} and {}", units::percent(accuracy.a.value), units::percent(accuracy.b.value));
    match accuracy.standing {
        Standing::Same => (Likeness::Identical, format!("{} both times", units::percent(accuracy.a.value))),
        Standing::NoDifference | Standing::NotComparable => {
            (Likeness::Equivalent, format!("{figures}, which chance explains"))
        }
        Standing::Differs => (Likeness::Different, figures),
    }
}

/// Of outputs: the one that stands farthest from what it was decides.
fn ratios(variant: &VariantDiff) -> (Likeness, String) {
    let Some(worst) = variant.quantities(QuantityKind::Sqnr).max_by_key(|quantity| quantity.standing) else {
        // The baseline is held to nothing: its outputs are judged by themselves.
        return match variant.outputs {
            Some(outputs) if outputs.differing == 0 => {
                (Likeness::Identical, "the outputs that the others are held to".to_owned())
            }
            Some(outputs) if outputs.farthest <= OUTPUT_TOLERANCE => {
                (Likeness::Equivalent, "the outputs that the others are held to".to_owned())
            }
            Some(_) => (Likeness::Different, "other outputs, to which the others are held".to_owned()),
            None => (Likeness::NotComparable, "no accuracy".to_owned()),
        };
    };
    let [a, b] = [worst.a.value, worst.b.value].map(fidelity::shown);
    let figures = format!("{}: {a} and {b}", worst.name);
    match worst.standing {
        Standing::Same => (Likeness::Identical, format!("{a} both times")),
        Standing::NoDifference | Standing::NotComparable => {
            (Likeness::Equivalent, format!("{figures}, which chance explains"))
        }
        Standing::Differs => (Likeness::Different, figures),
    }
}

fn speed(variant: &VariantDiff, context: &Context<'_>) -> (Likeness, String) {
    if let Some(why) = &context.diff.no_speed_because {
        return (Likeness::NotComparable, why.clone());
    }
    let latencies = || variant.quantities(QuantityKind::Latency);
    let apart = latencies().find(|quantity| quantity.standing >= Standing::Differs);
    let Some(apart) = apart else {
        return if latencies().next().is_some() {
            (Likeness::Equivalent, "within intervals and noise floor".to_owned())
        } else {
            (Likeness::NotComparable, "no times".to_owned())
        };
    };
    let Some(change) = apart.change else {
        return (Likeness::NotComparable, "other programs disturbed one of the two".to_owned());
    };
    let said = format!("{} of the {}", units::times(change.value), apart.name);
    match apart.standing {
        Standing::NotComparable => (Likeness::NotComparable, format!("{said}, on a virtual machine")),
        _ => (Likeness::Different, said),
    }
}

fn memory(variant: &VariantDiff, context: &Context<'_>) -> (Likeness, String) {
    if let Some(other) = &context.other_runtime {
        return (Likeness::NotComparable, other.clone());
    }
    let Some(memory) = variant.quantities(QuantityKind::Memory).next() else {
        return (Likeness::NotComparable, "no memory figures".to_owned());
    };
    let ratio = memory.b.value / memory.a.value;
    let figures = format!("a peak {} of the original's", units::times(ratio));
    if memory.a == memory.b {
        (Likeness::Identical, figures)
    } else if ratio.max(1.0 / ratio) <= 1.0 + MEMORY_TOLERANCE {
        (Likeness::Equivalent, figures)
    } else {
        (Likeness::Different, figures)
    }
}
