//! PyTorch's `HistogramObserver`: a running histogram and a search for the range with the least
//! squared quantization error.
//!
//! Every step keeps PyTorch's precision and order of operations, because the search compares sums
//! of rounded numbers: one different bit can move a range by a bin. The golden test compares every
//! range of a real network with PyTorch's.

use super::minmax::MinMax;
use super::reduce;

pub(super) const BINS: usize = OUTSIDE as usize;

/// After the last bin: where values are counted that have none.
const OUTSIDE: u32 = 2048;

/// How many parts a bin is cut into before it is laid into a wider histogram.
const UPSAMPLE: usize = 16;

/// Levels of the destination type; 256 whether or not the range is reduced, as in PyTorch.
const LEVELS: f32 = 256.0;

/// How far the search moves a quantile at a time.
const QUANTILE_STEP: f64 = 1e-5;

#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    pub(super) counts: Vec<f32>,
    pub(super) range: MinMax,
}

impl Histogram {
    /// Takes in values and the smallest and largest of them.
    pub(super) fn observe(&mut self, values: &[f32], seen: MinMax) {
        if self.counts.is_empty() {
            self.counts = count(values, seen);
            self.range = seen;
            return;
        }
        let wider = self.range.union(seen);
        let mut update = count(values, wider);
        let old = if wider == self.range {
            std::mem::take(&mut self.counts)
        } else if self.range.min == self.range.max {
            let total = reduce::sum(&self.counts);
            count(&[self.range.min], wider).into_iter().map(|c| c * total).collect()
        } else {
            self.stretched(wider)
        };
        update.iter_mut().zip(old).for_each(|(new, old)| *new += old);
        self.counts = update;
        self.range = wider;
    }

    /// The counts laid into a wider range, each bin cut into equal parts at their midpoints.
    fn stretched(&self, wider: MinMax) -> Vec<f32> {
        let fine = BINS * UPSAMPLE;
        let half_part = 0.5 * ((self.range.max - self.range.min) / fine as f32);
        let edges: Vec<f32> = (0..=BINS).map(|i| linspace(wider, BINS + 1, i)).collect();
        let mut counts = vec![0.0; BINS];
        // Parts come in ascending order but for what is rounded where two halves of them meet.
        let mut bin = 0;
        for part in 0..fine {
            let middle = linspace(self.range, fine + 1, part) + half_part;
            while bin + 1 < BINS && edges[bin + 1] <= middle {
                bin += 1;
            }
            while bin > 0 && edges[bin] > middle {
                bin -= 1;
            }
            counts[bin] += self.counts[part / UPSAMPLE] / UPSAMPLE as f32;
        }
        counts
    }

    /// The range with the least quantization error, found by moving the outer quantiles inwards
    /// (PyTorch's `_non_linear_param_search`, after Caffe2's norm minimization).
    #[expect(clippy::cast_possible_truncation, reason = "PyTorch compares in f32")]
    pub(super) fn search(&self) -> (f32, f32) {
        if self.counts.is_empty() {
            return (0.0, 0.0);
        }
        let total = f64::from(reduce::sum(&self.counts));
        let cumulative = reduce::cumulative(&self.counts);
        let (mut alpha, mut beta) = (0.0, 1.0);
        let (mut first, mut last) = (0, BINS - 1);
        let mut least = f32::INFINITY;
        while alpha < beta {
            let (next_alpha, next_beta): (f64, f64) = (alpha + QUANTILE_STEP, beta - QUANTILE_STEP);
            let (left_mass, right_mass) = ((next_alpha * total) as f32, (next_beta * total) as f32);
            let (mut left, mut right) = (first, last);
            while left < last && cumulative[left] < left_mass {
                left += 1;
            }
            while right > first && cumulative[right] > right_mass {
                right -= 1;
            }
            let (mut next_first, mut next_last) = (first, last);
            if left - first > last - right {
                next_first = left;
                alpha = next_alpha;
            } else {
                next_last = right;
                beta = next_beta;
            }
            if (next_first, next_last) == (first, last) {
                continue;
            }
            let error = self.error(next_first, next_last);
            if error > least {
                break;
            }
            least = error;
            (first, last) = (next_first, next_last);
        }
        let width = (self.range.max - self.range.min) / BINS as f32;
        (self.range.min + width * first as f32, self.range.min + width * (last + 1) as f32)
    }

    /// Squared error of quantizing the whole histogram with the range of bins `first..=last`,
    /// values spread evenly inside each bin (PyTorch's `_compute_quantization_error`).
    #[expect(clippy::cast_possible_truncation, reason = "Python floats become f32 in tensor arithmetic")]
    fn error(&self, first: usize, last: usize) -> f32 {
        let bin_width = (f64::from(self.range.max) - f64::from(self.range.min)) / BINS as f64;
        let level_width = bin_width * (last - first + 1) as f64 / f64::from(LEVELS);
        if level_width == 0.0 {
            return 0.0;
        }
        let half = (level_width / 2.0) as f32;
        let (bin_width, level_width) = (bin_width as f32, level_width as f32);
        let cube = |x: f32| x * x * x;
        let whole_level = (cube(half) - cube(-half)) / 3.0;

        let mut errors = [0.0_f32; BINS];
        for (bin, error) in errors.iter_mut().enumerate() {
            let density = self.counts[bin] / bin_width;
            let begin = (bin as i64 - first as i64) as f32 * bin_width;
            let end = begin + bin_width;
            let level_of_begin = floor_divide(begin, level_width).clamp(0.0, LEVELS - 1.0);
            let level_of_end = floor_divide(end, level_width).clamp(0.0, LEVELS - 1.0);
            let from = begin - (level_of_begin + 0.5) * level_width;
            let to = end - (level_of_end * level_width + half);
            *error += density * ((cube(half) - cube(from)) / 3.0);
            *error += (level_of_end - level_of_begin - 1.0) * (density * whole_level);
            *error += density * ((cube(to) - cube(-half)) / 3.0);
        }
        reduce::sum(&errors)
    }
}

/// `torch.histc`: bins of equal width over the range, the last one closed.
fn count(values: &[f32], range: MinMax) -> Vec<f32> {
    let bins = Bins::over(range);
    // Neighbours often fall into one bin, and a count waits for the one before it: each has its table.
    let mut tables = vec![[0_u32; SLOTS]; TABLES];
    let mut slots = [0; BLOCK];
    let (blocks, tail) = values.as_chunks::<BLOCK>();
    for block in blocks {
        block.iter().zip(&mut slots).for_each(|(value, slot)| *slot = bins.slot(*value));
        for few in slots.as_chunks::<TABLES>().0 {
            few.iter().zip(&mut tables).for_each(|(slot, table)| table[*slot as usize % SLOTS] += 1);
        }
    }
    tail.iter().for_each(|value| tables[0][bins.slot(*value) as usize % SLOTS] += 1);
    (0..BINS).map(|bin| tables.iter().map(|table| table[bin]).sum::<u32>() as f32).collect()
}

/// So many values have their bins computed before any is counted, which lets the compiler use vectors.
const BLOCK: usize = 256;

const TABLES: usize = 4;

/// The bins, [`OUTSIDE`], and on to a power of two: a remainder needs no check of bounds.
const SLOTS: usize = 2 * BINS;

struct Bins {
    low: f32,
    high: f32,
    span: f32,
}

impl Bins {
    fn over(MinMax { min, max }: MinMax) -> Self {
        let (low, high) = if min == max { (min - 1.0, max + 1.0) } else { (min, max) };
        Self { low, high, span: high - low }
    }

    /// The bin of a value, or [`OUTSIDE`].
    #[inline]
    fn slot(&self, value: f32) -> u32 {
        let last = (BINS - 1) as f32;
        let position = (value - self.low) * BINS as f32 / self.span;
        let position = if position >= last { last } else { position };
        // The whole part without a conversion, which would not be done in vectors: an f32 of this size has no
        // bits after the point, so the sum is rounded and the integer stands in its lowest ones. Of a position that
        // is not a number, which a range beyond f32 gives, the remainder is bin 0, as of the conversion.
        let rounded = position + INTEGERS;
        let up = u32::from(rounded - INTEGERS > position);
        let bin = (rounded.to_bits() & (MANTISSA - 1)).wrapping_sub(up);
        if (self.low..=self.high).contains(&value) { bin } else { OUTSIDE }
    }
}

/// From here on to twice as far an f32 is every integer and nothing else.
const INTEGERS: f32 = MANTISSA as f32;

/// What lies above the bits of its fraction.
const MANTISSA: u32 = 1 << 23;

/// Element `i` of `torch.linspace(min, max, n)`: counted from the nearer end, with one rounding.
fn linspace(range: MinMax, n: usize, i: usize) -> f32 {
    let step = (range.max - range.min) / (n - 1) as f32;
    if i < n / 2 { step.mul_add(i as f32, range.min) } else { (-step).mul_add((n - i - 1) as f32, range.max) }
}

/// `torch.div(a, b, rounding_mode="floor")` for `b > 0`: the exact remainder first, so that a
/// quotient which rounds up to an integer still floors down.
#[expect(clippy::cast_possible_truncation, reason = "the remainder of two f32 is an f32")]
fn floor_divide(a: f32, b: f32) -> f32 {
    // In f64 the product of a small integer and an f32 is exact, and so is this difference.
    let (wide_a, wide_b) = (f64::from(a), f64::from(b));
    let mut remainder = wide_a - (wide_a / wide_b).trunc() * wide_b;
    if remainder != 0.0 && (remainder < 0.0) != (wide_a < 0.0) {
        remainder += wide_b.copysign(wide_a);
    }
    let remainder = remainder as f32;
    let mut quotient = (a - remainder) / b;
    if remainder < 0.0 {
        quotient -= 1.0;
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

#[cfg(test)]
mod tests {
    use super::super::minmax::Look;
    use super::*;

    #[test]
    fn floor_division_floors() {
        assert_eq!(floor_divide(7.0, 2.0), 3.0);
        assert_eq!(floor_divide(-7.0, 2.0), -4.0);
        assert_eq!(floor_divide(-8.0, 2.0), -4.0);
        // The quotient of these two rounds up to 3; the remainder says that it is less.
        assert_eq!(floor_divide(0.299_999_98, 0.1), 2.0);
    }

    #[test]
    fn a_constant_tensor_has_one_full_bin_and_widens_later() {
        let mut histogram = Histogram::default();
        observe(&mut histogram, &[2.0; 10]);
        assert_eq!(histogram.counts.iter().sum::<f32>(), 10.0);
        observe(&mut histogram, &[0.0, 4.0]);
        assert_eq!(histogram.counts.iter().sum::<f32>(), 12.0);
        assert_eq!(histogram.counts[BINS / 2], 10.0);
    }

    #[test]
    fn stretching_loses_no_mass() {
        let mut histogram = Histogram::default();
        observe(&mut histogram, &(0..5000).map(|i| i as f32 * 0.001).collect::<Vec<_>>());
        observe(&mut histogram, &[-3.0, 9.0]);
        assert!((histogram.counts.iter().sum::<f32>() - 5002.0).abs() < 1e-2);
    }

    /// Bin by bin what the formula gives, whatever the range and wherever the values lie.
    #[test]
    fn values_are_counted_where_the_formula_puts_them() {
        let values: Vec<f32> = (0..5003_u16).map(|i| (f32::from(i) * 0.37).sin() * f32::from(i % 97)).collect();
        let (tiny, huge) = (f32::MIN_POSITIVE / 8.0, f32::MAX);
        let ranges = [
            (-96.0, 96.0),
            (0.0, 1.0),
            (-0.1, 0.3),
            (3.0, 3.0),
            (0.0, tiny),
            (-huge, huge),
            (0.0, huge),
            (95.0, 200.0),
        ];
        for (min, max) in ranges {
            let edges = (0..=2 * BINS).map(|i| min / 2.0 + (max / 2.0 - min / 2.0) * (i as f32 / BINS as f32));
            let values: Vec<f32> = values.iter().copied().chain(edges).chain([min, max, 0.0, -0.0]).collect();
            assert_eq!(
                count(&values, MinMax { min, max }),
                plainly_counted(&values, MinMax { min, max }),
                "{min} {max}"
            );
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positions lie in 0..=BINS")]
    fn plainly_counted(values: &[f32], range: MinMax) -> Vec<f32> {
        let Bins { low, high, span } = Bins::over(range);
        let mut counts = vec![0.0; BINS];
        for value in values.iter().filter(|value| (low..=high).contains(*value)) {
            counts[(((value - low) * BINS as f32 / span) as usize).min(BINS - 1)] += 1.0;
        }
        counts
    }

    fn observe(histogram: &mut Histogram, values: &[f32]) {
        histogram.observe(values, Look::over(values).range);
    }
}
