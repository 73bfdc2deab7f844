//! Summaries of a list of observations.

/// The `p`-quantile (0 to 1) by linear interpolation between order statistics, definition 7 of
/// Hyndman and Fan (1996). `None` for an empty sample.
#[must_use]
pub fn quantile(sample: &[f64], p: f64) -> Option<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile_sorted(&sorted, p)
}

/// [`quantile`] of a sample that is already in ascending order.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positions lie in 0..=last")]
pub fn quantile_sorted(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    Some((above - below).mul_add(position.fract(), below))
}

#[must_use]
pub fn median(sample: &[f64]) -> Option<f64> {
    quantile(sample, 0.5)
}

#[must_use]
pub fn mean(sample: &[f64]) -> Option<f64> {
    (!sample.is_empty()).then(|| sample.iter().sum::<f64>() / sample.len() as f64)
}

/// Standard deviation with Bessel's correction; `None` below two observations.
#[must_use]
pub fn std_dev(sample: &[f64]) -> Option<f64> {
    let center = mean(sample).filter(|_| sample.len() > 1)?;
    let squares: f64 = sample.iter().map(|x| (x - center).powi(2)).sum();
    Some((squares / (sample.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_and_ignore_order() {
        let sample = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(median(&sample), Some(2.5));
        assert_eq!(quantile(&sample, 0.0), Some(1.0));
        assert_eq!(quantile(&sample, 1.0), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn spread_needs_two_observations() {
        assert_eq!(std_dev(&[1.0]), None);
        assert!((std_dev(&[2.0, 4.0]).unwrap() - 2.0_f64.sqrt()).abs() < 1e-12);
    }
}
