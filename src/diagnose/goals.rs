//! Goals against measurements. An interval that lies on both sides of a goal decides nothing.

use crate::base::finding::Verdict;
use crate::base::text::one_line;
use crate::base::units;
use crate::manifest::Goals;
use crate::measure::summary::{FEWEST_ROUNDS, Latency};
use crate::record::Record;
use crate::record::format::{GoalOutcome, Measured, Outcome, OutputFidelity, VariantResult};
use crate::stats::Estimate;
use crate::task::fidelity::{self, FEWEST_SAMPLES};

/// A process keeps some of its speed for life; with fewer than this a speedup may be that of two processes.
const FEWEST_PROCESSES: usize = 3;

/// Judges every goal for every variant but the baseline.
#[must_use]
pub fn judge(record: &Record) -> Vec<GoalOutcome> {
    let goals = &record.settings.goals;
    record.variants.iter().filter(|variant| !variant.baseline).flat_map(|variant| of_variant(goals, variant)).collect()
}

/// The verdict of a run: its goals, its checks, and that every required variant ran. A run whose
/// manifest asks for nothing, or of which no goal could be judged, passes nothing.
#[must_use]
pub fn verdict(record: &Record) -> Verdict {
    let ran = |variant: &VariantResult| match variant.outcome {
        Outcome::Measured(_) => Verdict::Pass,
        _ if variant.required => Verdict::Fail,
        _ => Verdict::Pass,
    };
    let judged = if record.goals.is_empty() { Verdict::Inconclusive } else { Verdict::Pass };
    let goals = record.goals.iter().map(|goal| goal.verdict);
    let checks = record.findings.iter().map(|finding| finding.verdict);
    Verdict::all(goals.chain(checks).chain(record.variants.iter().map(ran)).chain([judged]))
}

fn of_variant(goals: &Goals, variant: &VariantResult) -> Vec<GoalOutcome> {
    let Some(measured) = variant.measured() else { return Vec::new() };
    let outcome = |goal: &str, (verdict, because): (Verdict, String)| GoalOutcome {
        goal: goal.to_owned(),
        variant: variant.name.clone(),
        verdict,
        because,
    };
    let accuracy = goals.max_accuracy_drop.map(|limit| outcome("max_accuracy_drop", accuracy_drop(measured, limit)));
    let speed = goals.min_speedup.map(|limit| outcome("min_speedup", speedup(measured, limit)));
    let ratio = goals.min_sqnr_db.map(|limit| outcome("min_sqnr_db", sqnr(measured, limit)));
    let cosine = goals.min_cosine.map(|limit| outcome("min_cosine", cosine(measured, limit)));
    accuracy.into_iter().chain(ratio).chain(cosine).chain(speed).collect()
}

/// Every output's ratio of signal to noise, the one that keeps least deciding.
fn sqnr(measured: &Measured, limit: f64) -> (Verdict, String) {
    let told =
        |own: &Estimate| format!("{}, 95 % interval {:.2} to {:.2}", fidelity::shown(own.value), own.low, own.high);
    of_outputs(measured, limit, &format!("{limit:.2} dB"), |output| output.sqnr_db, told)
}

fn cosine(measured: &Measured, limit: f64) -> (Verdict, String) {
    let told = |own: &Estimate| format!("{:.5}, 95 % interval {:.5} to {:.5}", own.value, own.low, own.high);
    of_outputs(measured, limit, &format!("{limit:.5}"), |output| output.cosine, told)
}

fn of_outputs(
    measured: &Measured,
    limit: f64,
    wanted: &str,
    pick: fn(&OutputFidelity) -> Option<Estimate>,
    told: impl Fn(&Estimate) -> String,
) -> (Verdict, String) {
    let Some(fidelity) = measured.fidelity().filter(|fidelity| !fidelity.outputs.is_empty()) else {
        return (Verdict::Inconclusive, "the baseline was not measured".into());
    };
    if fidelity.undefined > 0 {
        let (odd, of) = (fidelity.undefined, fidelity.samples);
        return (Verdict::Fail, format!("{odd} of {of} samples have outputs that are no numbers"));
    }
    let known = fidelity.outputs.iter().filter_map(|output| Some((output, pick(output)?)));
    let judged = known.map(|(output, own)| (output, own, within(-own.high, -own.low, -limit)));
    // The output that decides: the one with the worst verdict, and of those the one that keeps least.
    let severity = |verdict: Verdict| match verdict {
        Verdict::Fail => 0,
        Verdict::Inconclusive => 1,
        Verdict::Pass => 2,
    };
    let worst = judged.min_by(|a, b| severity(a.2).cmp(&severity(b.2)).then(a.1.value.total_cmp(&b.1.value)));
    let (verdict, because) = match worst {
        Some((output, own, verdict)) => {
            (verdict, format!("`{}` keeps {}, wanted {wanted}", one_line(&output.name), told(&own)))
        }
        None => (Verdict::Pass, "every output equals the baseline's".to_owned()),
    };
    if verdict == Verdict::Pass && fidelity.samples < FEWEST_SAMPLES {
        let samples = units::counted(fidelity.samples, "sample");
        return (Verdict::Inconclusive, format!("{because}; only {samples}, and an interval needs {FEWEST_SAMPLES}"));
    }
    (verdict, because)
}

/// `limit` in percentage points.
fn accuracy_drop(measured: &Measured, limit: f64) -> (Verdict, String) {
    let Some(comparison) = measured.against_baseline() else {
        return (Verdict::Inconclusive, "the baseline was not measured".into());
    };
    let difference = comparison.difference;
    let least_drop = -difference.high * 100.0;
    let most_drop = -difference.low * 100.0;
    let because = format!(
        "{} against the baseline, 95 % interval {} to {}, allowed −{limit:.2}",
        units::points(difference.value),
        units::signed(difference.low * 100.0, 2),
        units::signed(difference.high * 100.0, 2),
    );
    let verdict = within(least_drop, most_drop, limit);
    match comparison.counts.smallest_resolved_drop().map(|drop| drop * 100.0) {
        Some(resolved) if resolved > limit && verdict == Verdict::Pass => {
            let n = difference.n;
            (Verdict::Inconclusive, format!("{because}; {n} samples resolve no drop below {resolved:.2} points"))
        }
        _ => (verdict, because),
    }
}

fn speedup(measured: &Measured, limit: f64) -> (Verdict, String) {
    let Some((latency, speedup)) = measured.latency.first().and_then(|l| Some((l, l.speedup?))) else {
        let unclaimed = measured.latency.first().and_then(Latency::why_unclaimed);
        return (Verdict::Inconclusive, unclaimed.unwrap_or_else(|| "no speedup was measured".into()));
    };
    let because = format!(
        "{} at batch {}, 95 % interval {} to {}, wanted {}",
        units::times(speedup.value),
        latency.batch,
        units::times(speedup.low),
        units::times(speedup.high),
        units::times(limit),
    );
    if speedup.n < FEWEST_ROUNDS {
        let rounds = units::counted(speedup.n, "round");
        return (Verdict::Inconclusive, format!("{because}; only {rounds}, and an interval needs {FEWEST_ROUNDS}"));
    }
    if (1..FEWEST_PROCESSES).contains(&latency.processes) {
        let processes = units::counted(latency.processes, "process");
        let why = format!("{processes} of each variant cannot show what processes differ by, {FEWEST_PROCESSES} can");
        return (Verdict::Inconclusive, format!("{because}; {why}"));
    }
    (within(-speedup.high, -speedup.low, -limit), because)
}

/// Whether a quantity known to lie in `low..=high` is at most `limit`.
fn within(low: f64, high: f64, limit: f64) -> Verdict {
    if high <= limit {
        Verdict::Pass
    } else if low > limit {
        Verdict::Fail
    } else {
        Verdict::Inconclusive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_across_the_limit_decides_nothing() {
        assert_eq!(within(0.2, 0.9, 1.0), Verdict::Pass);
        assert_eq!(within(0.2, 1.1, 1.0), Verdict::Inconclusive);
        assert_eq!(within(33.0, 36.0, 1.0), Verdict::Fail);
    }
}
