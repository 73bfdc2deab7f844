//! Percentile bootstrap (Efron, 1979) with a named, seeded stream.

use super::{Estimate, sample};
use crate::base::rng::Stream;

/// How many resamples an interval is built from.
const RESAMPLES: usize = 2000;

/// The median of a sample with its 95 % percentile-bootstrap interval; `None` when empty.
///
/// The interval of a single observation is that observation, which says "unknown spread" through
/// `n = 1`.
#[must_use]
pub fn median(observations: &[f64], mut stream: Stream) -> Option<Estimate> {
    let value = sample::median(observations)?;
    let n = observations.len();
    let mut resampled = vec![0.0; n];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            resampled.fill_with(|| observations[stream.below(n)]);
            sample::median(&resampled)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    Some(Estimate {
        value,
        low: sample::quantile_sorted(&medians, 0.025)?,
        high: sample::quantile_sorted(&medians, 0.975)?,
        n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_median_and_repeats() {
        let observations: Vec<f64> = (0..51).map(f64::from).collect();
        let once = median(&observations, Stream::named(1, "t")).unwrap();
        assert_eq!(Some(once), median(&observations, Stream::named(1, "t")));
        assert!(once.low < once.value && once.value < once.high);
        assert!((once.value - 25.0).abs() < 1e-12);
        assert!(median(&[], Stream::named(1, "t")).is_none());
    }

    #[test]
    fn coverage_is_near_the_nominal_level() {
        let mut source = Stream::named(3, "coverage");
        let hits = (0..200)
            .filter(|&trial| {
                let observations: Vec<f64> = (0..25).map(|_| source.below(1_000_001) as f64 / 1e6).collect();
                let interval = median(&observations, Stream::named(trial, "resample")).unwrap();
                interval.low <= 0.5 && 0.5 <= interval.high
            })
            .count();
        assert!((178..=200).contains(&hits), "{hits} of 200 intervals hold the true median");
    }
}
