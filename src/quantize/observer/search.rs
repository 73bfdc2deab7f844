//! Ranges found in a histogram: of least squared error, and of least divergence.

use super::histogram::{BINS, Histogram};

/// The share of the values that [`least_divergence`] may clip: a range beside nearly all of them is like itself, too.
const CLIPPED: f64 = 0.01;

/// Bins by which an end of the range is moved at a time.
const STRIDE: usize = 8;

/// The range of bins whose rounding to `levels` costs the least squared error, values beyond it clipped: first one
/// end is moved, then the other, until neither gains (coordinate descent over the grid that OMSE and LAPQ scan).
pub(super) fn least_squares(histogram: &Histogram, levels: usize) -> (f32, f32) {
    descend(histogram, 2, |first, last| squared_error(&histogram.counts, first, last, levels))
}

/// The range of bins after whose rounding to `levels` the distribution is closest to what it was, by
/// Kullback-Leibler divergence (S. Migacz, 8-bit Inference with TensorRT, GTC 2017; here for both ends).
pub(super) fn least_divergence(histogram: &Histogram, levels: usize) -> (f32, f32) {
    let counts = without_zeros(histogram);
    // With fewer bins than levels nothing would be rounded, and any range looked perfect.
    descend(histogram, levels, |first, last| divergence(&counts, first, last, levels))
}

/// The counts with that of exact zeros, which rectifiers make and every range represents, as its neighbours are:
/// left in, it outweighs all else (TensorRT leaves it out too).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bin of the histogram")]
fn without_zeros(histogram: &Histogram) -> Vec<f32> {
    let mut counts = histogram.counts.clone();
    let (min, max) = (histogram.range.min, histogram.range.max);
    if counts.is_empty() || min > 0.0 || max < 0.0 || min >= max {
        return counts;
    }
    let zero = ((-min / (max - min) * BINS as f32) as usize).min(BINS - 1);
    let beside =
        [zero.checked_sub(1), Some(zero + 1)].into_iter().flatten().filter_map(|bin| histogram.counts.get(bin));
    let (sum, number) = beside.fold((0.0, 0.0), |(sum, number), count| (sum + count, number + 1.0));
    counts[zero] = counts[zero].min(sum / number);
    counts
}

/// The cheapest range of so many bins at least.
fn descend(histogram: &Histogram, fewest: usize, cost: impl Fn(usize, usize) -> f64) -> (f32, f32) {
    if histogram.counts.is_empty() {
        return (0.0, 0.0);
    }
    let (mut first, mut last) = (0, BINS - 1);
    let mut least = cost(first, last);
    // The whole grid coarsely, then what is near finely.
    for (stride, reach) in [(STRIDE, BINS), (1, STRIDE)] {
        loop {
            let before = least;
            for candidate in (first.saturating_sub(reach)..(last + 2 - fewest).min(first + reach)).step_by(stride) {
                let cost = cost(candidate, last);
                if cost < least {
                    (least, first) = (cost, candidate);
                }
            }
            for candidate in
                (last.saturating_sub(reach).max(first + fewest - 1)..BINS.min(last + reach)).step_by(stride)
            {
                let cost = cost(first, candidate);
                if cost < least {
                    (least, last) = (cost, candidate);
                }
            }
            if least >= before {
                break;
            }
        }
    }
    let width = (histogram.range.max - histogram.range.min) / BINS as f32;
    (histogram.range.min + width * first as f32, histogram.range.min + width * (last + 1) as f32)
}

/// In squares of a bin's width: rounding inside (a twelfth of a level's square, where a level is wider than a bin)
/// and the distance to the range outside.
fn squared_error(counts: &[f32], first: usize, last: usize, levels: usize) -> f64 {
    let level = (last - first + 1) as f64 / (levels - 1) as f64;
    let rounding = level * level / 12.0;
    let cost = |(bin, &count): (usize, &f32)| {
        let beyond = if bin < first { first - bin } else { bin.saturating_sub(last) };
        let error = if beyond == 0 { rounding } else { (beyond as f64).powi(2) };
        f64::from(count) * error
    };
    counts.iter().enumerate().map(cost).sum()
}

/// `Σ p·ln(p/q)`: `p` is the distribution with its tails laid on the ends, `q` the same with the mass of each level
/// spread evenly over those of its bins that are not empty.
fn divergence(counts: &[f32], first: usize, last: usize, levels: usize) -> f64 {
    let mut p: Vec<f64> = counts[first..=last].iter().map(|&count| f64::from(count)).collect();
    let inside = p.clone();
    let tail = |counts: &[f32]| counts.iter().map(|&count| f64::from(count)).sum::<f64>();
    p[0] += tail(&counts[..first]);
    let end = p.len() - 1;
    p[end] += tail(&counts[last + 1..]);
    let total: f64 = p.iter().sum();
    let kept: f64 = inside.iter().sum();
    if total <= 0.0 || kept < total * (1.0 - CLIPPED) {
        return f64::INFINITY;
    }
    let bins = p.len();
    let mut sum = 0.0;
    for level in 0..levels.min(bins) {
        let (from, to) = (level * bins / levels.min(bins), (level + 1) * bins / levels.min(bins));
        let mass: f64 = inside[from..to].iter().sum();
        let filled = inside[from..to].iter().filter(|count| **count > 0.0).count();
        for at in from..to {
            if p[at] <= 0.0 {
                continue;
            }
            let q = if inside[at] > 0.0 { mass / filled as f64 / kept } else { f64::EPSILON };
            sum += p[at] / total * (p[at] / total / q).ln();
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::minmax::Look;
    use super::*;

    /// A bell of values, and some far away.
    fn bell(outlier: f32, outliers: usize) -> Histogram {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32
        };
        let mut histogram = Histogram::default();
        let values: Vec<f32> = (0..100_000).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect();
        for values in [values, vec![outlier; outliers]] {
            histogram.observe(&values, Look::over(&values).range);
        }
        histogram
    }

    #[test]
    fn both_keep_the_bell_and_leave_a_lone_outlier_out() {
        let far = bell(20.0, 1);
        for (low, high) in [least_squares(&far, 32), least_divergence(&far, 32)] {
            assert!((-6.0..-1.5).contains(&low) && (1.5..12.0).contains(&high), "{low} to {high}");
        }
    }

    #[test]
    fn what_is_often_far_away_is_kept() {
        let (_, high) = least_squares(&bell(20.0, 1_000), 256);
        assert!(high > 18.0, "{high}");
    }

    #[test]
    fn fewer_levels_clip_more() {
        let width = |levels| {
            let (low, high) = least_squares(&bell(20.0, 1), levels);
            high - low
        };
        assert!(width(16) < width(256), "{} and {}", width(16), width(256));
    }

    #[test]
    fn the_best_range_is_no_worse_than_any_other_on_the_grid() {
        let histogram = bell(20.0, 20);
        let width = (histogram.range.max - histogram.range.min) / BINS as f32;
        let (low, high) = least_squares(&histogram, 128);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bin")]
        let bin = |value: f32| ((value - histogram.range.min) / width).round() as usize;
        let own = squared_error(&histogram.counts, bin(low), bin(high) - 1, 128);
        for first in (0..BINS / 2).step_by(64) {
            for last in (BINS / 2..BINS).step_by(64) {
                let other = squared_error(&histogram.counts, first, last, 128);
                assert!(own <= other * 1.001, "{first} to {last}: {other} is less than {own}");
            }
        }
    }
}
