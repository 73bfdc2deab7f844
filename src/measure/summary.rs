//! Raw timings to estimates. The round is the unit of observation: calls within one turn share
//! the machine's mood and are not independent.

use serde::{Deserialize, Serialize};

use crate::base::rng::Stream;
use crate::stats::{Estimate, bootstrap, sample};

/// One timed forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub round: usize,
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
    /// Mean over all timed calls, in milliseconds.
    pub mean_ms: f64,
    /// Their standard deviation; absent for a single call.
    pub std_ms: Option<f64>,
    /// Timed calls behind it.
    pub calls: usize,
    /// How many times faster than the baseline: median over rounds of the rounds' ratios. Absent
    /// for the baseline itself.
    pub speedup: Option<Estimate>,
}

impl Latency {
    /// Images per second at the median.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.batch as f64 * 1e3 / self.milliseconds.value
    }
}

/// Each round's median in milliseconds at one batch size.
fn round_medians(timings: &[Timing], batch: usize) -> Vec<f64> {
    let rounds = timings.iter().map(|t| t.round + 1).max().unwrap_or(0);
    let of_round = |round| {
        let calls: Vec<f64> = timings
            .iter()
            .filter(|t| t.round == round && t.batch == batch)
            .map(|t| t.nanoseconds as f64 / 1e6)
            .collect();
        sample::median(&calls)
    };
    (0..rounds).filter_map(of_round).collect()
}

/// Summarizes one variant at one batch size; `baseline` is absent for the baseline itself.
#[must_use]
pub fn latency(timings: &[Timing], baseline: Option<&[Timing]>, batch: usize, name: &str) -> Option<Latency> {
    let stream = |what: &str| Stream::named(0, &format!("{name} {batch} {what}"));
    let medians = round_medians(timings, batch);
    let all: Vec<f64> = timings.iter().filter(|t| t.batch == batch).map(|t| t.nanoseconds as f64 / 1e6).collect();
    let speedup = baseline.and_then(|baseline| {
        let theirs = round_medians(baseline, batch);
        let ratios: Vec<f64> = theirs.iter().zip(&medians).map(|(base, own)| base / own).collect();
        bootstrap::median(&ratios, stream("speedup"))
    });
    Some(Latency {
        batch,
        milliseconds: bootstrap::median(&medians, stream("latency"))?,
        mean_ms: sample::mean(&all)?,
        std_ms: sample::std_dev(&all),
        calls: all.len(),
        speedup,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(ms: impl Fn(usize) -> u64) -> Vec<Timing> {
        let timing = |round, iteration| Timing { round, batch: 1, iteration, nanoseconds: ms(round) * 1_000_000 };
        (0..8).flat_map(|round| (0..3).map(move |i| timing(round, i))).collect()
    }

    #[test]
    fn speedup_pairs_rounds_so_that_common_drift_cancels() {
        let drifting = timings(|round| 10 * (1 + round as u64));
        let twice_as_fast = timings(|round| 5 * (1 + round as u64));
        let summary = latency(&twice_as_fast, Some(&drifting), 1, "v").unwrap();
        let speedup = summary.speedup.unwrap();
        assert_eq!((speedup.value, speedup.low, speedup.high, speedup.n), (2.0, 2.0, 2.0, 8));
        assert!(latency(&drifting, None, 7, "v").is_none());
    }
}
