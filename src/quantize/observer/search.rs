//! Ranges found in a histogram: of least squared error, and of least divergence.

use super::histogram::{BINS, Histogram};

/// Bins by which an end of the range is moved at a time.
const STRIDE: usize = 8;

/// The range of bins whose rounding to `levels` costs the least squared error, values beyond it clipped: first one
/// end is moved, then the other, until neither gains (coordinate descent over the grid that OMSE and LAPQ scan).
pub(super) fn least_squares(histogram: &Histogram, levels: usize) -> (f32, f32) {
    descend(histogram, |first, last| squared_error(&histogram.counts, first, last, levels))
}

/// The range of bins after whose rounding to `levels` the distribution is closest to what it was, by
/// Kullback-Leibler divergence (S. Migacz, 8-bit Inference with TensorRT, GTC 2017; here for both ends).
pub(super) fn least_divergence(histogram: &Histogram, levels: usize) -> (f32, f32) {
    let counts = without_zeros(histogram);
    descend(histogram, |first, last| divergence(&counts, first, last, levels))
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

fn descend(histogram: &Histogram, cost: impl Fn(usize, usize) -> f64) -> (f32, f32) {
    if histogram.counts.is_empty() {
        return (0.0, 0.0);
    }
    let (mut first, mut last) = (0, BINS - 1);
    let mut least = cost(first, last);
    loop {
        let before = least;
        for candidate in (first + STRIDE..last).step_by(STRIDE) {
            let cost = cost(candidate, last);
            if cost < least {
                (least, first) = (cost, candidate);
            }
        }
        for candidate in (first + 1..last).rev().step_by(STRIDE) {
            let cost = cost(first, candidate);
            if cost < least {
                (least, last) = (cost, candidate);
            }
        }
        if least >= before {
            break;
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
    if total <= 0.0 || kept <= 0.0 {
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
    use super::*;

    /// A bell of values with one far away.
    fn bell() -> Histogram {
        let mut histogram = Histogram::default();
        let uniform =
            |i: u32, k: u32| f64::from(i.wrapping_mul(2_654_435_761).wrapping_add(k) >> 8) / f64::from(1 << 24);
        #[expect(clippy::cast_possible_truncation, reason = "a test's values")]
        let values: Vec<f32> =
            (0..100_000_u32).map(|i| (0..12).map(|k| uniform(i * 12 + k, k * 977)).sum::<f64>() as f32 - 6.0).collect();
        histogram.observe(&values);
        histogram.observe(&[60.0]);
        histogram
    }

    #[test]
    fn both_leave_out_a_lone_outlier_and_keep_the_bell() {
        for (low, high) in [least_squares(&bell(), 256), least_divergence(&bell(), 256)] {
            assert!((-7.0..-1.5).contains(&low) && (1.5..20.0).contains(&high), "{low} to {high}");
        }
    }

    #[test]
    fn fewer_levels_clip_more() {
        let width = |levels| {
            let (low, high) = least_squares(&bell(), levels);
            high - low
        };
        assert!(width(16) < width(256), "{} and {}", width(16), width(256));
    }

    #[test]
    fn the_best_range_is_no_worse_than_any_other_on_the_grid() {
        let histogram = bell();
        let width = (histogram.range.max - histogram.range.min) / BINS as f32;
        let (low, high) = least_squares(&histogram, 128);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bin")]
        let bin = |value: f32| ((value - histogram.range.min) / width).round() as usize;
        let own = squared_error(&histogram.counts, bin(low), bin(high) - 1, 128);
        for first in (0..BINS / 2).step_by(64) {
            for last in (BINS / 2..BINS).step_by(64) {
                assert!(own <= squared_error(&histogram.counts, first, last, 128) * 1.001, "{first} to {last}");
            }
        }
    }
}
