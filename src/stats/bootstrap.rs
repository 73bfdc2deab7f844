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
pub fn median(observations: &[f64], stream: Stream) -> Option<Estimate> {
    median_of_groups(&[observations.to_vec()], stream)
}

/// The median of all observations with its 95 % interval, where observations of one group, such as
/// one process, may share what others do not. Whole groups are drawn with replacement, as Davison and
/// Hinkley (1997, section 3.8) advise; of a few groups that may look too sure by chance, so
/// observations are drawn as if there were no groups too, and the interval reaches as far as either.
#[must_use]
pub fn median_of_groups(groups: &[Vec<f64>], mut stream: Stream) -> Option<Estimate> {
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    let all: Vec<f64> = groups.iter().flat_map(|group| group.iter().copied()).collect();
    let value = sample::median(&all)?;
    let (mut low, mut high) = interval(|resampled| {
        resampled.extend(all.iter().map(|_| all[stream.below(all.len())]));
    })?;
    if groups.len() > 1 {
        let of_groups = interval(|resampled| {
            groups.iter().for_each(|_| resampled.extend(groups[stream.below(groups.len())]));
        })?;
        (low, high) = (low.min(of_groups.0), high.max(of_groups.1));
    }
    Some(Estimate { value, low, high, n: all.len() })
}

/// The middle 95 % of a statistic of samples that are drawn with replacement from `count`, given as their places; `None` of no
/// samples.
pub fn interval_of(count: usize, mut stream: Stream, mut statistic: impl FnMut(&[usize]) -> f64) -> Option<(f64, f64)> {
    if count == 0 {
        return None;
    }
    let mut drawn = vec![0; count];
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            drawn.iter_mut().for_each(|place| *place = stream.below(count));
            statistic(&drawn)
        })
        .collect();
    found.sort_unstable_by(f64::total_cmp);
    Some((sample::quantile_sorted(&found, 0.025)?, sample::quantile_sorted(&found, 0.975)?))
}

/// The middle 95 % of the medians of what `draw` fills in.
fn interval(mut draw: impl FnMut(&mut Vec<f64>)) -> Option<(f64, f64)> {
    let mut resampled = Vec::new();
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            resampled.clear();
            draw(&mut resampled);
            sample::median(&resampled)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    Some((sample::quantile_sorted(&medians, 0.025)?, sample::quantile_sorted(&medians, 0.975)?))
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

    /// Observations of a group share an offset; the true median is 0.5.
    fn coverage(groups: usize, each: usize, shared: f64, told: bool) -> usize {
        let mut source = Stream::named(3, "coverage");
        let mut uniform = || source.below(1_000_001) as f64 / 1e6;
        (0..200)
            .filter(|&trial| {
                let sample: Vec<Vec<f64>> = (0..groups)
                    .map(|_| {
                        let offset = shared * (uniform() - 0.5);
                        (0..each).map(|_| offset + uniform()).collect()
                    })
                    .collect();
                let stream = Stream::named(trial, "resample");
                let interval = if told { median_of_groups(&sample, stream) } else { median(&sample.concat(), stream) };
                let interval = interval.unwrap();
                interval.low <= 0.5 && 0.5 <= interval.high
            })
            .count()
    }

    #[test]
    fn coverage_is_near_the_nominal_level() {
        let hits = coverage(1, 25, 0.0, true);
        assert!((178..=200).contains(&hits), "{hits} of 200 intervals hold the true median");
    }

    #[test]
    fn what_a_group_shares_is_spread_and_no_precision() {
        let (naive, honest) = (coverage(6, 8, 2.0, false), coverage(6, 8, 2.0, true));
        assert!(naive < 150 && honest > 165, "{naive} and {honest} of 200 intervals hold the true median");
    }
}
