//! Accuracy as what it is: a proportion of a finite sample.

use super::{Estimate, Z95};

/// `successes` out of `n` with the 95 % score interval of Wilson (1927); `None` when `n` is zero.
#[must_use]
pub fn wilson(successes: usize, n: usize) -> Option<Estimate> {
    if n == 0 {
        return None;
    }
    let (count, p) = (n as f64, successes as f64 / n as f64);
    let z2 = Z95 * Z95;
    let center = (p + z2 / (2.0 * count)) / (1.0 + z2 / count);
    let half = Z95 / (1.0 + z2 / count) * (p * (1.0 - p) / count + z2 / (4.0 * count * count)).sqrt();
    Some(Estimate { value: p, low: (center - half).max(0.0), high: (center + half).min(1.0), n })
}

/// The second proportion minus the first, of independent samples, with the 95 % hybrid score interval of
/// Newcombe (1998, Statistics in Medicine 17:873, method 10). Each is `(successes, n)`; `None` where a
/// sample is empty.
#[must_use]
pub fn difference(first: (usize, usize), second: (usize, usize)) -> Option<Estimate> {
    let (first, second) = (wilson(first.0, first.1)?, wilson(second.0, second.1)?);
    let value = second.value - first.value;
    let low = value - (second.value - second.low).hypot(first.high - first.value);
    let high = value + (second.high - second.value).hypot(first.value - first.low);
    Some(Estimate { value, low, high, n: first.n.min(second.n) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_matches_newcombes_table() {
        // Newcombe (1998), Statistics in Medicine 17:873, table II, method 10: 56/70 − 48/80, 9/10 − 3/10.
        for (first, second, low, high) in [((48, 80), (56, 70), 0.0524, 0.3339), ((3, 10), (9, 10), 0.1705, 0.8090)] {
            let interval = difference(first, second).unwrap();
            assert!((interval.low - low).abs() < 1e-4 && (interval.high - high).abs() < 1e-4, "{interval:?}");
        }
        assert!(difference((0, 0), (1, 1)).is_none());
    }

    #[test]
    fn wilson_matches_published_values() {
        // Newcombe (1998), Statistics in Medicine 17:857, table I, method 3.
        for (successes, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let interval = wilson(successes, n).unwrap();
            assert!((interval.low - low).abs() < 5e-5, "{interval:?}");
            assert!((interval.high - high).abs() < 5e-5, "{interval:?}");
        }
        assert!(wilson(0, 0).is_none());
    }
}
