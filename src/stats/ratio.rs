//! The ratio of two estimates that were made independently of each other.

use super::Estimate;

/// `numerator / denominator` with a 95 % interval recovered from theirs on the logarithmic scale
/// (Zou and Donner, 2008, Statistics in Medicine 27:1693). `None` where a bound is not positive.
#[must_use]
pub fn of(numerator: Estimate, denominator: Estimate) -> Option<Estimate> {
    let positive = |e: &Estimate| e.low > 0.0 && e.value > 0.0 && e.high.is_finite();
    if !positive(&numerator) || !positive(&denominator) {
        return None;
    }
    let [top, bottom] = [numerator, denominator].map(|estimate| estimate.map(f64::ln));
    let value = top.value - bottom.value;
    let low = value - (top.value - top.low).hypot(bottom.high - bottom.value);
    let high = value + (top.high - top.value).hypot(bottom.value - bottom.low);
    Some(Estimate { value, low, high, n: numerator.n.min(denominator.n) }.map(f64::exp))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn known(value: f64, low: f64, high: f64) -> Estimate {
        Estimate { value, low, high, n: 20 }
    }

    #[test]
    fn an_exact_denominator_leaves_the_numerators_interval() {
        let ratio = of(known(4.0, 3.0, 6.0), known(2.0, 2.0, 2.0)).unwrap();
        for (is, should) in [(ratio.value, 2.0), (ratio.low, 1.5), (ratio.high, 3.0)] {
            assert!((is - should).abs() < 1e-12, "{ratio:?}");
        }
        assert!(of(known(1.0, 0.0, 2.0), known(1.0, 1.0, 1.0)).is_none());
    }

    #[test]
    fn the_interval_of_the_inverse_is_the_inverse() {
        let (a, b) = (known(4.0, 3.0, 6.0), known(2.0, 1.8, 2.5));
        let (there, back) = (of(a, b).unwrap(), of(b, a).unwrap());
        assert!((there.low * back.high - 1.0).abs() < 1e-12 && (there.high * back.low - 1.0).abs() < 1e-12);
    }
}
