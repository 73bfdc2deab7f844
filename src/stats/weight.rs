//! Summaries of observations that do not all count alike.

/// Mean of `(value, weight)` pairs; `None` for an empty sample.
#[must_use]
pub fn mean(sample: &[(f64, f64)]) -> Option<f64> {
    let total: f64 = sample.iter().map(|(_, weight)| weight).sum();
    (total > 0.0).then(|| sample.iter().map(|(value, weight)| value * weight).sum::<f64>() / total)
}

/// Standard deviation around the weighted mean; `None` below two observations. With equal weights it is
/// the one with Bessel's correction: the denominator is Σw − Σw²/Σw (reliability weights).
#[must_use]
pub fn std_dev(sample: &[(f64, f64)]) -> Option<f64> {
    let center = mean(sample).filter(|_| sample.len() > 1)?;
    let total: f64 = sample.iter().map(|(_, weight)| weight).sum();
    let squared: f64 = sample.iter().map(|(_, weight)| weight * weight).sum();
    let spread: f64 = sample.iter().map(|(value, weight)| weight * (value - center).powi(2)).sum();
    Some((spread / (total - squared / total)).sqrt())
}

/// The smallest value that at least the share `p` (0 to 1) of the weight does not exceed.
#[must_use]
pub fn quantile(sample: &[(f64, f64)], p: f64) -> Option<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = p * sorted.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut below = 0.0;
    let reached = sorted.iter().find(|(_, weight)| {
        below += weight;
        // Sums of reciprocals are not exact.
        below >= wanted * (1.0 - 1e-12)
    });
    reached.or(sorted.last()).map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn equal_weights_are_none() {
        let values = [4.0, 1.0, 3.0, 2.0, 7.5];
        let pairs: Vec<(f64, f64)> = values.iter().map(|&value| (value, 0.2)).collect();
        assert!((mean(&pairs).unwrap() - sample::mean(&values).unwrap()).abs() < 1e-12);
        assert!((std_dev(&pairs).unwrap() - sample::std_dev(&values).unwrap()).abs() < 1e-12);
        assert_eq!(quantile(&pairs, 0.5), sample::median(&values));
        assert_eq!((mean(&[]), std_dev(&pairs[..1]), quantile(&[], 0.5)), (None, None, None));
    }

    #[test]
    fn a_weight_counts_like_so_many_observations() {
        let pairs = [(1.0, 3.0), (9.0, 1.0)];
        assert!((mean(&pairs).unwrap() - 3.0).abs() < 1e-12);
        assert_eq!((quantile(&pairs, 0.75), quantile(&pairs, 0.76)), (Some(1.0), Some(9.0)));
    }
}
