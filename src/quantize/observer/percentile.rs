//! The central part of a histogram: equal shares are cut from both tails.

use super::histogram::{BINS, Histogram};

/// The share of values kept.
const KEPT: f64 = 0.9999;

/// The bin edges between which [`KEPT`] of the values lie.
pub(super) fn central(histogram: &Histogram) -> (f32, f32) {
    let total: f64 = histogram.counts.iter().map(|&c| f64::from(c)).sum();
    let cut = total * (1.0 - KEPT) / 2.0;
    let tail = |counts: &mut dyn Iterator<Item = &f32>| {
        let mut sum = 0.0;
        counts
            .take_while(|&&count| {
                sum += f64::from(count);
                sum <= cut
            })
            .count()
    };
    let first = tail(&mut histogram.counts.iter());
    let last = BINS - tail(&mut histogram.counts.iter().rev());
    let width = (histogram.range.max - histogram.range.min) / BINS as f32;
    (histogram.range.min + width * first as f32, histogram.range.min + width * last as f32)
}
