//! Raw timings to estimates. The round is the unit of observation: calls within one turn share the
//! machine's mood and are not independent; nor, fully, are the rounds of one process.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::rng::Stream;
use crate::base::units::counted;
use crate::stats::{Estimate, bootstrap, sample, weight};

/// One timed forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub round: usize,
    /// Which of the variant's processes it ran in.
    pub process: usize,
    pub batch: usize,
    pub iteration: usize,
    pub nanoseconds: u64,
    /// The first time that the variant had its turn in this round, or which time again.
    pub take: usize,
    /// The first sample of the batch that it ran on.
    pub input: usize,
    /// Nanoseconds that the process's threads together waited for a processor meanwhile, where the kernel says so.
    pub waited: Option<u64>,
    /// Whether others kept it from its processors: it counts in no statistic.
    pub disturbed: bool,
}

/// What the timings of one variant at one batch size come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub batch: usize,
    /// Milliseconds per batch: median over rounds of each round's median.
    pub milliseconds: Estimate,
    /// Fresh processes behind it; zero in records that do not say.
    #[serde(default)]
    pub processes: usize,
    /// Mean over the timed calls, every round of the same weight, in milliseconds.
    pub mean_ms: f64,
    /// Their standard deviation, weighted alike; absent for a single call.
    pub std_ms: Option<f64>,
    /// Timed calls behind it.
    pub calls: usize,
    /// How many times faster than the baseline: median over rounds of the rounds' ratios. Absent
    /// for the baseline itself.
    pub speedup: Option<Estimate>,
    /// Percentiles over the timed calls, every round of the same weight, in milliseconds, where at least
    /// two calls lie beyond.
    #[serde(default)]
    pub p90_ms: Option<f64>,
    #[serde(default)]
    pub p99_ms: Option<f64>,
    /// Calls far out by Tukey's rule among the calls of their own round; counted, not removed.
    #[serde(default)]
    pub outliers: usize,
    /// Each round's median in milliseconds, in order.
    #[serde(default)]
    pub rounds_ms: Vec<f64>,
    /// Turns that were disturbed and left out, and all turns. (A turn that was disturbed was taken again.)
    #[serde(default)]
    pub disturbed_turns: usize,
    #[serde(default)]
    pub turns: usize,
    /// Present where too few rounds of this variant and of the baseline were left alone, or too few of their passes: no
    /// speedup is claimed, and the times are of whatever passes there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclaimed: Option<Unclaimed>,
}

impl Latency {
    /// Why no speedup is claimed, where none is. Who had the processors, other programs or threads of its own, is not
    /// told by a thread that waits.
    #[must_use]
    pub fn why_unclaimed(&self) -> Option<String> {
        let Unclaimed { rounds, wanted, alone } = self.unclaimed?;
        Some(match alone.filter(|_| rounds >= wanted) {
            Some(share) => format!(
                "not measurable: only {:.0} % of the passes of this variant or of the baseline had their processors to \
                 themselves, and {:.0} % are needed, because a pass soon after a wait is slow",
                share * 100.0,
                FEWEST_ALONE * 100.0
            ),
            None => format!(
                "not measurable: threads waited for a processor in {} of {} turns; {} of both this variant and the baseline went \
                 without, and {wanted} are needed",
                self.disturbed_turns,
                self.turns,
                counted(rounds, "round")
            ),
        })
    }
}

/// Why no speedup is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Unclaimed {
    /// Rounds in which the variant and the baseline both had a turn that was left alone.
    pub rounds: usize,
    /// As many were wanted.
    pub wanted: usize,
    /// Share of the passes that were left alone, of the variant or the baseline, whichever has less; absent in records
    /// that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<f64>,
}

impl Latency {
    /// Images per second at the median.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.batch as f64 * 1e3 / self.milliseconds.value
    }
}

/// Whether a speedup is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Faster,
    Slower,
    /// The interval holds 1, or the change is below the noise floor.
    NoDifference,
    /// Too few rounds for an interval to mean anything.
    Undecided,
}

/// Fewer rounds than this give no interval worth the name: the median of four lies outside the range of
/// all four once in eight times.
pub const FEWEST_ROUNDS: usize = 5;

/// Judges a speedup: a difference is called where the whole 95 % interval lies on one side of 1 and
/// the ratio itself is beyond `noise_floor`, a fraction.
#[must_use]
pub fn effect(speedup: Estimate, noise_floor: f64) -> Effect {
    let beyond = |ratio: f64| ratio >= 1.0 + noise_floor;
    if speedup.n < FEWEST_ROUNDS {
        Effect::Undecided
    } else if speedup.low > 1.0 && beyond(speedup.value) {
        Effect::Faster
    } else if speedup.high < 1.0 && beyond(1.0 / speedup.value) {
        Effect::Slower
    } else {
        Effect::NoDifference
    }
}

/// One round at one batch size.
struct Turn {
    round: usize,
    process: usize,
    /// Milliseconds of its calls.
    calls: Vec<f64>,
    median: f64,
}

/// The rounds of one batch size, in order, of the passes that were left alone.
fn turns(timings: &[Timing], batch: usize) -> Vec<Turn> {
    turns_of(timings, batch, |timing| !timing.disturbed)
}

fn turns_of(timings: &[Timing], batch: usize, counts: fn(&Timing) -> bool) -> Vec<Turn> {
    let of_batch: Vec<&Timing> = timings.iter().filter(|timing| timing.batch == batch && counts(timing)).collect();
    let chunks = of_batch.chunk_by(|a, b| a.round == b.round);
    chunks
        .filter_map(|chunk| {
            let calls: Vec<f64> = chunk.iter().map(|timing| timing.nanoseconds as f64 / 1e6).collect();
            let median = sample::median(&calls)?;
            Some(Turn { round: chunk[0].round, process: chunk[0].process, median, calls })
        })
        .collect()
}

/// Values of rounds, one group per process.
fn by_process(values: impl Iterator<Item = (usize, f64)>) -> Vec<Vec<f64>> {
    let values: Vec<(usize, f64)> = values.collect();
    values.chunk_by(|a, b| a.0 == b.0).map(|group| group.iter().map(|(_, value)| *value).collect()).collect()
}

/// Summarizes one variant at one batch size; `baseline` is absent for the baseline itself. Timings
/// are in the order in which they were taken. What was disturbed counts only where nothing else is there.
#[must_use]
pub fn latency(timings: &[Timing], baseline: Option<&[Timing]>, batch: usize, name: &str) -> Option<Latency> {
    let stream = |what: &str| Stream::named(0, &format!("{name} {batch} {what}"));
    let alone = turns(timings, batch);
    let counted = if alone.is_empty() { turns_of(timings, batch, |_| true) } else { alone };
    let medians = by_process(counted.iter().map(|turn| (turn.process, turn.median)));
    // A turn of short passes has more of them: unweighted, quick rounds would outvote the slow.
    let weighted =
        |turn: &Turn| turn.calls.iter().map(|&call| (call, 1.0 / turn.calls.len() as f64)).collect::<Vec<_>>();
    let all: Vec<(f64, f64)> = counted.iter().flat_map(weighted).collect();
    let unclaimed = unclaimed(timings, baseline, batch);
    let speedup = baseline.filter(|_| unclaimed.is_none()).and_then(|baseline| {
        let ratios = ratios(&turns(baseline, batch), &counted);
        bootstrap::median_of_groups(&by_process(ratios.into_iter()), stream("speedup"))
    });
    let reaching = |value: f64| all.iter().filter(|(call, _)| *call >= value).count();
    let enough = |p: f64| (1.0 - p) * all.len() as f64 > 2.0 - 1e-9;
    let percentile = |p: f64| weight::quantile(&all, p).filter(|&value| enough(p) && reaching(value) > 2);
    let (turns, disturbed_turns) = disturbed_turns(timings, batch);
    Some(Latency {
        batch,
        milliseconds: bootstrap::median_of_groups(&medians, stream("latency"))?,
        processes: medians.len(),
        mean_ms: weight::mean(&all)?,
        std_ms: weight::std_dev(&all),
        calls: all.len(),
        speedup,
        p90_ms: percentile(0.9),
        p99_ms: percentile(0.99),
        outliers: counted.iter().map(|turn| sample::far_out(&turn.calls)).sum(),
        rounds_ms: medians.concat(),
        disturbed_turns,
        turns,
        unclaimed,
    })
}

/// All turns at one batch size, and those of which no pass counts.
fn disturbed_turns(timings: &[Timing], batch: usize) -> (usize, usize) {
    let of_batch: Vec<&Timing> = timings.iter().filter(|timing| timing.batch == batch).collect();
    let turns = || of_batch.chunk_by(|a, b| (a.round, a.take) == (b.round, b.take));
    (turns().count(), turns().filter(|turn| turn.iter().all(|timing| timing.disturbed)).count())
}

/// The least share of passes left alone with which a speedup is claimed. A wait is felt for longer than the one pass that is
/// left out after it, and where waits follow each other closely, few passes lie further away. On two processors, claims with
/// 30 to 37 % of the passes of FP32 left alone were 5 to 10 % too high, and claims with 39 to 45 % lay within 2 % of those of
/// the machine at rest (2026-11-28).
const FEWEST_ALONE: f64 = 0.5;

/// Where turns were disturbed, the rounds that are left must be half of those that there were, and enough for an
/// interval: what is left of a busy machine may be left by chance.
fn unclaimed(timings: &[Timing], baseline: Option<&[Timing]>, batch: usize) -> Option<Unclaimed> {
    let rounds = |timings: &[Timing], counts: fn(&Timing) -> bool| -> BTreeSet<usize> {
        turns_of(timings, batch, counts).iter().map(|turn| turn.round).collect()
    };
    let alone = |timings: &[Timing]| rounds(timings, |timing| !timing.disturbed);
    let sides = std::iter::once(timings).chain(baseline);
    let all = sides.clone().map(|side| rounds(side, |_| true)).reduce(|a, b| &a & &b)?;
    let left = sides.clone().map(alone).reduce(|a, b| &a & &b)?;
    let wanted = all.len().div_ceil(2).max(FEWEST_ROUNDS.min(all.len()));
    let share = sides.filter_map(|side| share_alone(side, batch)).reduce(f64::min)?;
    (left.len() < wanted || share < FEWEST_ALONE).then_some(Unclaimed {
        rounds: left.len(),
        wanted,
        alone: Some(share),
    })
}

/// The share of all passes at one batch size that were left alone.
fn share_alone(timings: &[Timing], batch: usize) -> Option<f64> {
    let of_batch = || timings.iter().filter(|timing| timing.batch == batch);
    let alone = of_batch().filter(|timing| !timing.disturbed).count();
    Some(of_batch().count()).filter(|all| *all > 0).map(|all| alone as f64 / all as f64)
}

/// How many times longer a timed pass takes on an input that its process sees for the first time than on the same
/// input later: about 1 for an engine that computes, and very much for one that answers from memory. It is that of
/// the input, and of the process, that shows least of a memory, so that a pass that something else slowed down can
/// suggest none. `None` where no process has looks of both kinds that were left alone.
#[must_use]
pub fn fresh_over_repeated(timings: &[Timing], batch: usize) -> Option<f64> {
    let of_batch: Vec<&Timing> = timings.iter().filter(|timing| timing.batch == batch).collect();
    let processes = of_batch.chunk_by(|a, b| a.process == b.process);
    processes.filter_map(least_memory).reduce(f64::min)
}

/// Of one process, the smallest ratio of a first look to later ones.
fn least_memory(process: &[&Timing]) -> Option<f64> {
    let mut looks: BTreeMap<usize, Vec<&Timing>> = BTreeMap::new();
    process.iter().for_each(|timing| looks.entry(timing.input).or_default().push(timing));
    let ratio = |looks: &Vec<&Timing>| {
        let (first, later) = looks.split_first()?;
        let later: Vec<f64> =
            later.iter().filter(|timing| !timing.disturbed).map(|timing| timing.nanoseconds as f64).collect();
        Some(first.nanoseconds as f64 / sample::median(&later)?.max(1.0)).filter(|_| !first.disturbed)
    };
    looks.values().filter_map(ratio).reduce(f64::min)
}

/// Process and baseline / own of every round that both have.
fn ratios(baseline: &[Turn], own: &[Turn]) -> Vec<(usize, f64)> {
    let of_round = |round: usize| baseline.iter().find(|turn| turn.round == round);
    own.iter().filter_map(|turn| Some((turn.process, of_round(turn.round)?.median / turn.median))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Timing = Timing {
        round: 0,
        process: 0,
        batch: 1,
        iteration: 0,
        nanoseconds: 0,
        take: 0,
        input: 0,
        waited: Some(0),
        disturbed: false,
    };

    fn timings(rounds: usize, ns: impl Fn(usize, usize) -> u64) -> Vec<Timing> {
        let timing = |round, iteration| Timing {
            round,
            process: round / 4,
            batch: 1,
            iteration,
            nanoseconds: ns(round, iteration),
            ..PLAIN
        };
        (0..rounds)
            .flat_map(|round| (0..3).map(move |iteration| (round, iteration)))
            .map(|(r, i)| timing(r, i))
            .collect()
    }

    #[test]
    fn speedup_pairs_rounds_so_that_common_drift_cancels() {
        let drifting = timings(8, |round, _| 10_000_000 * (1 + round as u64));
        let twice_as_fast = timings(8, |round, _| 5_000_000 * (1 + round as u64));
        let summary = latency(&twice_as_fast, Some(&drifting), 1, "v").unwrap();
        let speedup = summary.speedup.unwrap();
        assert_eq!((speedup.value, speedup.low, speedup.high, speedup.n), (2.0, 2.0, 2.0, 8));
        assert_eq!(effect(speedup, 0.02), Effect::Faster);
        assert_eq!((summary.p90_ms.is_some(), summary.p99_ms, summary.processes), (true, None, 2));
        assert!(latency(&drifting, None, 7, "v").is_none());
    }

    /// Rounds with a common drift of ±20 %, own noise of ±`noise`, and a slowdown of the second.
    fn comparison(trial: u64, noise: f64, slowdown: f64) -> Effect {
        let mut source = Stream::named(trial, "timings");
        let mut uniform = || source.below(2_000_001) as f64 / 1e6 - 1.0;
        let drift: Vec<f64> = (0..20).map(|_| 1.0 + 0.2 * uniform()).collect();
        let mut series = |factor: f64| {
            let ns: Vec<f64> = (0..60).map(|at| 5e6 * factor * drift[at / 3] * (1.0 + noise * uniform())).collect();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds fit")]
            timings(20, |round, iteration| ns[round * 3 + iteration] as u64)
        };
        let (baseline, own) = (series(1.0), series(slowdown));
        effect(latency(&own, Some(&baseline), 1, "v").unwrap().speedup.unwrap(), 0.02)
    }

    #[test]
    fn a_variant_compared_with_itself_differs_as_often_as_the_level_allows() {
        let called = (0..200).filter(|&trial| comparison(trial, 0.1, 1.0) != Effect::NoDifference).count();
        assert!(called <= 10, "{called} of 200");
    }

    #[test]
    fn a_slowdown_of_five_percent_is_seen() {
        let called = (0..100).filter(|&trial| comparison(trial, 0.06, 1.05) == Effect::Slower).count();
        assert!(called >= 90, "{called} of 100");
    }

    #[test]
    fn a_quick_round_of_many_calls_does_not_outvote_a_slow_one_of_few() {
        let of_round = |round: usize, calls: usize, nanoseconds| {
            (0..calls).map(move |iteration| Timing { round, iteration, nanoseconds, ..PLAIN })
        };
        let timings: Vec<Timing> = of_round(0, 100, 1_000_000).chain(of_round(1, 4, 9_000_000)).collect();
        let summary = latency(&timings, None, 1, "v").unwrap();
        assert!((summary.mean_ms - 5.0).abs() < 1e-9, "{summary:?}");
        assert!(summary.p90_ms.is_none_or(|p90| p90 >= 9.0), "{summary:?}");
    }

    #[test]
    fn what_is_below_the_noise_floor_is_no_difference() {
        let few = Estimate { value: 2.0, low: 1.9, high: 2.1, n: FEWEST_ROUNDS - 1 };
        assert_eq!(effect(few, 0.02), Effect::Undecided);
        let sure = Estimate { value: 1.015, low: 1.01, high: 1.02, n: 50 };
        assert_eq!((effect(sure, 0.02), effect(sure, 0.01)), (Effect::NoDifference, Effect::Faster));
    }

    #[test]
    fn what_was_disturbed_counts_in_no_statistic() {
        let clean = timings(10, |_, _| 1_000_000);
        let mut busy = timings(10, |_, _| 500_000);
        // Three whole turns, which were taken again, and one pass.
        let mut disturbed: Vec<Timing> = busy
            .iter()
            .filter(|timing| timing.round < 3)
            .map(|t| Timing { nanoseconds: 40_000_000, disturbed: true, ..*t })
            .collect();
        busy.iter_mut().filter(|timing| timing.round < 3).for_each(|timing| timing.take = 1);
        busy[20] = Timing { nanoseconds: 90_000_000, disturbed: true, ..busy[20] };
        disturbed.append(&mut busy);
        disturbed.sort_by_key(|timing| (timing.round, timing.take, timing.iteration));
        let summary = latency(&disturbed, Some(&clean), 1, "v").unwrap();
        assert_eq!((summary.turns, summary.disturbed_turns, summary.calls), (13, 3, 29));
        assert_eq!((summary.speedup.unwrap().value, summary.speedup.unwrap().high), (2.0, 2.0));
        assert_eq!(summary.unclaimed, None);
    }

    #[test]
    fn too_few_passes_left_alone_claim_nothing() {
        let clean = timings(10, |_, _| 1_000_000);
        // One of three passes in every round.
        let busy: Vec<Timing> = clean.iter().map(|t| Timing { disturbed: t.iteration > 0, ..*t }).collect();
        for (own, baseline) in [(&busy, &clean), (&clean, &busy)] {
            let summary = latency(own, Some(baseline), 1, "v").unwrap();
            assert_eq!((summary.speedup, summary.unclaimed.unwrap().rounds), (None, 10));
            let why = summary.why_unclaimed().unwrap();
            assert!(why.contains("33 % of the passes") && why.contains("50 % are needed"), "{why}");
        }
        let less: Vec<Timing> = clean.iter().map(|t| Timing { disturbed: t.iteration > 1, ..*t }).collect();
        assert!(latency(&less, Some(&clean), 1, "v").unwrap().speedup.is_some());
    }

    #[test]
    fn too_few_rounds_left_alone_claim_nothing() {
        let clean = timings(10, |_, _| 1_000_000);
        let busy = |left: usize| -> Vec<Timing> {
            let one = |t: Timing| Timing { disturbed: t.round >= left, ..t };
            timings(10, |_, _| 500_000).into_iter().map(one).collect()
        };
        let of = |left| latency(&busy(left), Some(&clean), 1, "v").unwrap();
        assert!(of(5).speedup.is_some());
        let why = Unclaimed { rounds: 4, wanted: 5, alone: Some(0.4) };
        assert_eq!((of(4).speedup, of(4).unclaimed), (None, Some(why)));
        assert!(of(0).milliseconds.value > 0.0 && of(0).unclaimed.is_some());
        // A baseline that was disturbed claims nothing for others.
        assert!(latency(&clean, Some(&busy(2)), 1, "v").unwrap().unclaimed.is_some());
    }

    #[test]
    fn a_memory_is_called_only_where_every_input_of_every_process_shows_it() {
        // Two inputs in turn, in processes of four rounds; the first looks are those of a process's first passes.
        let looks = |slow: fn(usize, usize) -> u64| {
            let mut all = timings(8, |_, _| 0);
            for process in 0..2 {
                let own = all.iter_mut().filter(|timing| timing.process == process).enumerate();
                own.for_each(|(at, timing)| (timing.input, timing.nanoseconds) = (at % 2, slow(process, at)));
            }
            fresh_over_repeated(&all, 1).unwrap()
        };
        assert!(looks(|_, at| if at < 2 { 1_000_000 } else { 1_000 }) > 900.0);
        assert!(looks(|process, at| if at < 2 && process == 0 { 70_000_000 } else { 1_000_000 }) < 1.1);
        assert!(looks(|_, at| if at == 0 { 70_000_000 } else { 1_000_000 }) < 1.1);
        assert!(fresh_over_repeated(&timings(1, |_, _| 5)[..1], 1).is_none());
    }
}
