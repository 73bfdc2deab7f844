//! Sentences and small pieces of text.

use std::collections::BTreeMap;

use crate::base::finding::Verdict;
use crate::base::units::{self, counted};
use crate::measure::summary::{Effect, FEWEST_ROUNDS, Latency, effect};
use crate::record::Record;
use crate::record::format::{Judged, Measured, Outcome, VariantResult};
use crate::stats::Estimate;
use crate::task::fidelity::{self, MOST_DB};

/// `12.1 to 13.4 ms`
pub(super) fn interval(estimate: Estimate, decimals: usize, unit: &str) -> String {
    if estimate.n < FEWEST_ROUNDS {
        return format!("n = {}, no interval", estimate.n);
    }
    format!("{:.decimals$} to {:.decimals$}{unit}", estimate.low, estimate.high)
}

/// `12.1 ± 0.3 ms`, or the mean alone where one call says nothing of the spread.
pub(super) fn spread(latency: &Latency) -> String {
    match latency.std_ms {
        Some(std) => format!("{:.3} ± {std:.3} ms", latency.mean_ms),
        None => format!("{:.3} ms (one call)", latency.mean_ms),
    }
}

/// `~1.01×, no difference` where the change is within the noise, else `1.80×`.
pub(in crate::report) fn speedup(record: &Record, speedup: Estimate) -> String {
    match effect(speedup, record.settings.benchmark.noise_floor) {
        Effect::NoDifference => format!("~{}, no difference", units::times(speedup.value)),
        Effect::Undecided => format!("{}, undecided from {}", units::times(speedup.value), counted(speedup.n, "round")),
        Effect::Faster | Effect::Slower => units::times(speedup.value),
    }
}

/// Bytes as `151.20 MB (151.10 to 151.40, 4 processes)`.
pub(super) fn memory(bytes: Estimate) -> String {
    let mb = |bytes: f64| format!("{:.2}", bytes / 1e6);
    if bytes.n < FEWEST_ROUNDS {
        return format!("{} MB ({}, no interval)", mb(bytes.value), counted(bytes.n, "process"));
    }
    let processes = counted(bytes.n, "process");
    format!("{} MB ({} to {}, {processes})", mb(bytes.value), mb(bytes.low), mb(bytes.high))
}

/// A difference of fractions as `−1.20 to +0.30 points`.
pub(super) fn signed_interval(estimate: Estimate) -> String {
    format!("{} to {} points", units::signed(estimate.low * 100.0, 2), units::signed(estimate.high * 100.0, 2))
}

pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "p < 0.001".into() } else { format!("p = {p:.3}") }
}

/// Counts, most first, ties by name.
pub(super) fn modules(counts: &BTreeMap<String, usize>) -> Vec<(String, usize)> {
    let mut list: Vec<_> = counts.iter().map(|(name, count)| (name.clone(), *count)).collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list
}

/// The sentence under the title.
pub(super) fn headline(record: &Record) -> String {
    let Some(baseline) = record.baseline().and_then(VariantResult::measured) else {
        return "The baseline could not be measured, so nothing can be compared.".into();
    };
    let compared: Vec<String> =
        record.variants.iter().filter(|v| !v.baseline).filter_map(|v| comparison(record, v)).collect();
    let name = record.baseline().map_or("", |v| &v.name);
    let first = match &baseline.judged {
        Judged::Classes(own) => format!(
            "The baseline `{name}` has {} accuracy on {} samples.",
            units::percent(own.accuracy.value),
            own.accuracy.n
        ),
        Judged::Outputs { fidelity } => {
            format!("Every output is held to that of the baseline `{name}` on {} samples.", fidelity.samples)
        }
    };
    std::iter::once(first).chain(compared).collect::<Vec<_>>().join(" ")
}

fn comparison(record: &Record, variant: &VariantResult) -> Option<String> {
    let measured = variant.measured()?;
    let unclaimed = measured.latency.first().is_some_and(|latency| latency.unclaimed.is_some());
    let speed = measured.latency.first().and_then(|l| Some((l.batch, l.speedup?)));
    let absent = || {
        if unclaimed {
            ", its speed not measurable, for threads waited for a processor".to_owned()
        } else {
            String::new()
        }
    };
    let speed = speed.map_or_else(absent, |(batch, s)| match effect(s, record.settings.benchmark.noise_floor) {
        Effect::NoDifference => format!(", no faster and no slower that could be told (batch {batch})"),
        Effect::Undecided => format!(", its speed undecided from {} (batch {batch})", counted(s.n, "round")),
        Effect::Faster | Effect::Slower => format!(", at {} its speed (batch {batch})", units::times(s.value)),
    });
    let what = match &measured.judged {
        Judged::Classes(own) => {
            let difference = own.against_baseline.as_ref()?.difference;
            let (points, interval) = (units::points(difference.value), signed_interval(difference));
            format!("has {}: {points} ({interval})", units::percent(own.accuracy.value))
        }
        Judged::Outputs { fidelity } if fidelity.outputs.is_empty() => return None,
        Judged::Outputs { fidelity } => match fidelity.worst().and_then(|worst| Some((worst, worst.sqnr_db?))) {
            _ if fidelity.undefined > 0 => {
                format!("has outputs that are no numbers for {} of {} samples", fidelity.undefined, fidelity.samples)
            }
            Some((worst, own)) => {
                let among = if fidelity.outputs.len() > 1 { ", which keeps least" } else { "" };
                let db = fidelity::shown(own.value);
                format!("keeps {db} ({:.2} to {:.2}) of `{}`{among}", own.low, own.high, worst.name)
            }
            None => "gives the same outputs".to_owned(),
        },
    };
    Some(format!("`{}` {what}{speed}.", variant.name))
}

/// The accuracy; of outputs, the ratio of signal to noise of the one that keeps least.
pub(in crate::report) fn quality(measured: &Measured) -> String {
    match &measured.judged {
        Judged::Classes(own) => units::percent(own.accuracy.value),
        Judged::Outputs { fidelity } if fidelity.outputs.is_empty() => units::ABSENT.to_owned(),
        Judged::Outputs { fidelity } => fidelity
            .worst()
            .and_then(|worst| worst.sqnr_db)
            .map_or_else(|| fidelity::shown(MOST_DB), |own| fidelity::shown(own.value)),
    }
}

/// What follows from the numbers, one sentence each.
pub(super) fn conclusions(record: &Record) -> Vec<String> {
    let mut lines = vec![match (record.goals.is_empty(), record.verdict) {
        (true, Verdict::Pass | Verdict::Inconclusive) => {
            "No goal was judged, so nothing passed: declare `[goals]`, and a variant to hold to them.".to_owned()
        }
        (_, Verdict::Pass) => {
            let warned = record.findings.iter().filter(|finding| !finding.is_clean()).count();
            let checks = match warned {
                0 => "every check passes".to_owned(),
                _ => format!("no check fails, though {} warned of something", counted(warned, "check")),
            };
            format!("Every goal is met, with its whole interval on the right side, and {checks}.")
        }
        (_, Verdict::Fail) => "The run fails: do not ship these variants as they are.".to_owned(),
        (_, Verdict::Inconclusive) => {
            "Not everything is decided: an interval lies across its goal, or a check is in doubt.".to_owned()
        }
    }];
    lines.extend(
        record
            .goals
            .iter()
            .filter(|goal| goal.verdict != Verdict::Pass)
            .map(|goal| format!("`{}` of `{}`: {} — {}.", goal.goal, goal.variant, goal.verdict.word(), goal.because)),
    );
    if record.goals.iter().any(|goal| goal.verdict == Verdict::Inconclusive) {
        lines.push(
            "More `evaluation.samples` narrow an accuracy interval, more `benchmark.rounds` a speedup's.".to_owned(),
        );
    }
    for variant in &record.variants {
        match &variant.outcome {
            Outcome::Missing { reason, .. } => {
                lines.push(format!("`{}` is optional and was not run: {reason}.", variant.name));
            }
            Outcome::Failed { reason, .. } => lines.push(format!("`{}` failed: {reason}.", variant.name)),
            Outcome::Measured(measured) => lines.extend(significance(variant, measured)),
        }
    }
    for finding in record.findings.iter().filter(|finding| !finding.remedy.is_empty()) {
        let word = if finding.verdict == Verdict::Pass { "Warning" } else { finding.verdict.word() };
        lines.push(format!("{} {word}: {}.", finding.question, finding.remedy));
    }
    lines
}

/// Whether the change of accuracy is more than chance.
fn significance(variant: &VariantResult, measured: &Measured) -> Option<String> {
    let comparison = measured.against_baseline()?;
    let p = p_value(comparison.p_value);
    Some(if comparison.p_value < 0.05 {
        format!("`{}` differs from the baseline by more than chance explains (exact McNemar, {p}).", variant.name)
    } else {
        format!("`{}` cannot be told from the baseline on these samples (exact McNemar, {p}).", variant.name)
    })
}
