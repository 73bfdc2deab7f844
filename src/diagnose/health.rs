//! Under what conditions were the times taken? What widens an interval is stated, for the interval
//! already carries it; what shifts a time without widening anything leaves a speed goal undecided.

use super::Case;
use crate::base::finding::{Finding, Verdict};
use crate::base::units::counted;
use crate::manifest::Benchmark;
use crate::measure::conditions::{Conditions, OTHER_LOAD};
use crate::measure::summary::{FEWEST_ROUNDS, Latency};
use crate::record::Record;
use crate::record::format::VariantResult;
use crate::stats::sample;

/// The share of the processors' time that a hypervisor's other guests may take.
const STOLEN: f64 = 0.02;

/// Change of a latency from the first third of the rounds to the last.
const DRIFT: f64 = 0.10;

/// Relative interquartile range of the rounds' medians.
const SPREAD: f64 = 0.15;

/// Slowest clock over fastest.
const CLOCKS: f64 = 0.90;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("measurement", "Were the times taken under sound conditions?");
    let bad = match record.settings.goals.min_speedup {
        Some(_) => Verdict::Inconclusive,
        None => Verdict::Pass,
    };
    machine(record, &mut case, bad);
    if let Some(conditions) = &record.conditions {
        programs(record, conditions, &mut case, bad);
        clocks(conditions, &mut case);
    }
    rounds(record, &mut case, bad);
    case.close()
}

/// What the machine and the build are.
fn machine(record: &Record, case: &mut Case, bad: Verdict) {
    let (threads, cores) = (record.settings.compute.threads, record.host.cores);
    if threads > cores {
        case.against(
            bad,
            format!("{} on {} wait for each other", counted(threads, "thread"), counted(cores, "core")),
            "lower `compute.threads` to the number of cores",
        );
    } else {
        case.note(format!("{} on {}", counted(threads, "thread"), counted(cores, "core")));
    }
    if record.conditions.as_ref().is_some_and(|conditions| conditions.debug_build) {
        case.against(bad, "requant is a debug build".into(), "build it with `--release`");
    }
    if record.host.virtual_machine {
        case.note("a virtual machine: its neighbours are seen as spread, its clock is not".into());
    }
    if let Some(governor) = record.host.governor.as_ref().filter(|governor| *governor != "performance") {
        let evidence = format!("the frequency governor is `{governor}`: clocks follow the load");
        case.against(Verdict::Pass, evidence, "set the governor to `performance` while measuring");
    }
}

/// Who else had the processors.
fn programs(record: &Record, conditions: &Conditions, case: &mut Case, bad: Verdict) {
    if conditions.beside_others {
        let evidence = "other points of a sweep were allowed to compute at the same time".to_owned();
        case.against(bad, evidence, "time points alone: leave `--parallel-timing` out");
    }
    if let Some(other) = conditions.other_load(record.host.cores) {
        let evidence = format!("other programs took {:.1} % of the processors' time", other * 100.0);
        if other > OTHER_LOAD {
            case.against(bad, evidence, "measure on an idle machine, or raise `benchmark.rounds`");
        } else {
            case.note(evidence);
        }
    }
    if let Some(nice) = conditions.nice.filter(|nice| *nice < 0) {
        case.note(format!("measuring processes came before other programs (nice value {nice})"));
    }
    if let Some(stolen) = conditions.stolen_seconds.map(|seconds| conditions.share(seconds, record.host.cores)) {
        let evidence = format!("the hypervisor gave {:.1} % of it to other guests", stolen * 100.0);
        if stolen > STOLEN {
            let verdict = if stolen > OTHER_LOAD { bad } else { Verdict::Pass };
            case.against(verdict, evidence, "measure on a dedicated machine where intervals are too wide");
        } else {
            case.note(evidence);
        }
    }
    let Benchmark { precision, .. } = record.settings.benchmark;
    if precision.is_some() {
        case.note(format!("rounds were repeated for the wanted precision: {} in all", conditions.rounds));
    }
    let planned = record.settings.benchmark.processes.min(record.settings.benchmark.rounds);
    let measured = record.variants.iter().filter_map(VariantResult::measured);
    if let Some(fewest) = measured.flat_map(|m| &m.latency).map(|l| l.processes).filter(|&n| n > 0).min() {
        if fewest < planned {
            let evidence = format!("time was up after {fewest} of {planned} processes of each variant");
            case.against(bad, evidence, "raise `benchmark.max_seconds`, or ask for less");
        } else {
            case.note(format!("{} of each variant, one after the other", counted(fewest, "process")));
        }
    }
    if conditions.rounds < record.settings.benchmark.rounds {
        case.against(
            Verdict::Pass,
            format!("time was up after {} of {} rounds", conditions.rounds, record.settings.benchmark.rounds),
            "raise `benchmark.max_seconds`, or ask for less",
        );
    }
}

fn clocks(conditions: &Conditions, case: &mut Case) {
    match (conditions.slowest_mhz, conditions.fastest_mhz) {
        (Some(slow), Some(fast)) if slow < fast * CLOCKS => case.against(
            Verdict::Pass,
            format!("processors ran at {slow:.0} to {fast:.0} MHz"),
            "fix the frequency while measuring",
        ),
        (Some(slow), Some(fast)) => case.note(format!("processors ran at {slow:.0} to {fast:.0} MHz")),
        _ => case.note("the processors' frequency is not readable here".into()),
    }
    if let Some(times) = conditions.throttled.filter(|&times| times > 0) {
        let evidence = format!("processors were slowed for their heat {times} times");
        case.against(Verdict::Pass, evidence, "cool the machine, or measure fewer passes at a time");
    }
}

/// What the rounds themselves show.
fn rounds(record: &Record, case: &mut Case, bad: Verdict) {
    for variant in &record.variants {
        let Some(measured) = variant.measured() else { continue };
        for latency in &measured.latency {
            disturbed(&variant.name, latency, bad, record, case);
            of_latency(&variant.name, latency, case);
            precision(&variant.name, latency, record.settings.benchmark.precision, case);
        }
        if let Some(check) = measured.timing_checks.first().filter(|check| check.unsettled > 0) {
            let evidence = format!(
                "`{}`: in {} of {} new processes passes were still getting faster when the warm-up ended",
                variant.name, check.unsettled, check.warm_ups
            );
            case.against(Verdict::Pass, evidence, "raise `benchmark.max_warmup`");
        }
    }
}

/// Whether a speedup is known as closely as was asked.
fn precision(name: &str, latency: &Latency, wanted: Option<f64>, case: &mut Case) {
    let reach = latency.speedup.map(|speedup| speedup.reach());
    if let Some((reach, wanted)) = reach.zip(wanted).filter(|(reach, wanted)| reach > wanted) {
        let evidence = format!(
            "`{name}` at batch {}: the speedup's interval reaches {:.1} % from it, and {:.1} % was wanted",
            latency.batch,
            reach * 100.0,
            wanted * 100.0
        );
        let next = "raise `benchmark.max_rounds` or `benchmark.max_seconds`, or measure on a quieter machine";
        case.against(Verdict::Pass, evidence, next);
    }
}

/// Turns whose threads waited for a processor. They are left out, so that the rest holds.
fn disturbed(name: &str, latency: &Latency, bad: Verdict, record: &Record, case: &mut Case) {
    let at = format!("`{name}` at batch {}", latency.batch);
    match latency.why_unclaimed() {
        Some(why) => {
            let next = if record.settings.compute.threads > record.host.cores {
                "lower `compute.threads` to the number of cores"
            } else {
                "measure on a machine that is left alone, or with fewer `compute.threads`, one for each free core"
            };
            case.against(bad, format!("{at}: the speedup is {why}"), next);
        }
        None if latency.disturbed_turns > 0 => {
            let (disturbed, turns) = (latency.disturbed_turns, latency.turns);
            case.note(format!(
                "{at}: {disturbed} of {turns} turns were left out, for their threads waited for a processor"
            ));
        }
        None => {}
    }
}

fn of_latency(name: &str, latency: &Latency, case: &mut Case) {
    let at = format!("`{name}` at batch {}", latency.batch);
    let rounds = &latency.rounds_ms;
    if rounds.len() < FEWEST_ROUNDS {
        let evidence =
            format!("{at}: {}, and fewer than {FEWEST_ROUNDS} give no interval", counted(rounds.len(), "round"));
        return case.against(Verdict::Pass, evidence, "raise `benchmark.rounds`");
    }
    if let Some(spread) = sample::relative_spread(rounds).filter(|&spread| spread > SPREAD) {
        let evidence =
            format!("{at}: the middle half of the rounds spreads over {:.0} % of the median", spread * 100.0);
        case.against(Verdict::Pass, evidence, "raise `benchmark.rounds` or `benchmark.min_seconds`");
    }
    let third = rounds.len() / 3;
    let ends = (sample::median(&rounds[..third]), sample::median(&rounds[rounds.len() - third..]));
    if let (Some(first), Some(last)) = ends
        && (last / first - 1.0).abs() > DRIFT
    {
        let evidence = format!("{at}: {first:.3} ms in the first third of the rounds, {last:.3} ms in the last");
        case.against(Verdict::Pass, evidence, "look for a machine that warms up, throttles or fills up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Estimate;

    fn latency(rounds_ms: Vec<f64>) -> Latency {
        let milliseconds = Estimate { value: 1.0, low: 1.0, high: 1.0, n: rounds_ms.len() };
        Latency {
            batch: 1,
            milliseconds,
            mean_ms: 1.0,
            std_ms: None,
            calls: 1,
            speedup: None,
            p90_ms: None,
            p99_ms: None,
            outliers: 0,
            rounds_ms,
            processes: 3,
            disturbed_turns: 0,
            turns: 0,
            unclaimed: None,
        }
    }

    fn evidence(rounds_ms: Vec<f64>) -> String {
        let mut case = Case::open("c", "?");
        of_latency("v", &latency(rounds_ms), &mut case);
        case.close().evidence.join("; ")
    }

    #[test]
    fn drift_and_spread_and_too_few_rounds_are_told_apart() {
        assert_eq!(evidence(vec![1.0; 12]), "");
        assert!(evidence(vec![1.0; 3]).contains("3 rounds"));
        let drifting = evidence((0..12).map(|i| 1.0 + 0.016 * f64::from(i)).collect());
        assert!(drifting.contains("first third") && !drifting.contains("middle half"), "{drifting}");
        let spread = evidence((0..12).map(|i| if i % 2 == 0 { 1.0 } else { 1.3 }).collect());
        assert!(spread.contains("middle half") && !spread.contains("first third"), "{spread}");
    }
}
