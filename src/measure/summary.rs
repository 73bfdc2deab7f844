//! Raw timings to estimates. The round is the unit of observation: calls within one turn share the
//! machine's mood and are not independent; nor, fully, are the rounds of one process.

use serde::{Deserialize, Serialize};

use crate::base::rng::Stream;
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

/// The rounds of one batch size, in order.
fn turns(timings: &[Timing], batch: usize) -> Vec<Turn> {
    let of_batch: Vec<&Timing> = timings.iter().filter(|timing| timing.batch == batch).collect();
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
/// are in the order in which they were taken.
#[must_use]
pub fn latency(timings: &[Timing], baseline: Option<&[Timing]>, batch: usize, name: &str) -> Option<Latency> {
    let stream = |what: &str| Stream::named(0, &format!("{name} {batch} {what}"));
    let turns_of = turns(timings, batch);
    let medians = by_process(turns_of.iter().map(|turn| (turn.process, turn.median)));
    // A turn of short passes has more of them: unweighted, quick rounds would outvote the slow.
    let weighted =
        |turn: &Turn| turn.calls.iter().map(|&call| (call, 1.0 / turn.calls.len() as f64)).collect::<Vec<_>>();
    let all: Vec<(f64, f64)> = turns_of.iter().flat_map(weighted).collect();
    let speedup = baseline.and_then(|baseline| {
        let ratios = ratios(&turns(baseline, batch), &turns_of);
        bootstrap::median_of_groups(&by_process(ratios.into_iter()), stream("speedup"))
    });
    let reaching = |value: f64| all.iter().filter(|(call, _)| *call >= value).count();
    let enough = |p: f64| (1.0 - p) * all.len() as f64 > 2.0 - 1e-9;
    let percentile = |p: f64| weight::quantile(&all, p).filter(|&value| enough(p) && reaching(value) > 2);
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
        outliers: turns_of.iter().map(|turn| sample::far_out(&turn.calls)).sum(),
        rounds_ms: medians.concat(),
    })
}

/// Process and baseline / own of every round that both have.
fn ratios(baseline: &[Turn], own: &[Turn]) -> Vec<(usize, f64)> {
    let of_round = |round: usize| baseline.iter().find(|turn| turn.round == round);
    own.iter().filter_map(|turn| Some((turn.process, of_round(turn.round)?.median / turn.median))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(rounds: usize, ns: impl Fn(usize, usize) -> u64) -> Vec<Timing> {
        let timing = |round, iteration| Timing {
            round,
            process: round / 4,
            batch: 1,
            iteration,
            nanoseconds: ns(round, iteration),
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
            (0..calls).map(move |iteration| Timing { round, process: 0, batch: 1, iteration, nanoseconds })
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
}
