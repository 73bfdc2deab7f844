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

/// Observations far out by Tukey's rule (1977): more than three interquartile ranges beyond the
/// quartiles. They are counted, never removed.
#[must_use]
pub fn far_out(sample: &[f64]) -> usize {
    let (Some(first), Some(third)) = (quantile(sample, 0.25), quantile(sample, 0.75)) else { return 0 };
    let reach = 3.0 * (third - first);
    sample.iter().filter(|&&x| x < first - reach || x > third + reach).count()
}

/// Relative interquartile range: the middle half's width as a fraction of the median.
#[must_use]
pub fn relative_spread(sample: &[f64]) -> Option<f64> {
    Some((quantile(sample, 0.75)? - quantile(sample, 0.25)?) / median(sample)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_far_out_is_an_outlier() {
        let mut sample: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(far_out(&sample), 0);
        // Quartiles 24.75 and 74.25: far out begins at 222.75.
        sample.extend([220.0, 240.0, -300.0]);
        assert_eq!(far_out(&sample), 2);
        assert_eq!(far_out(&[]), 0);
        assert!((relative_spread(&[9.0, 10.0, 10.0, 11.0]).unwrap() - 0.05).abs() < 1e-12);
    }

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
