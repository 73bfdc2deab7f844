//! Two models judged on the same samples: the difference that pairing allows to see.

use serde::{Deserialize, Serialize};

use super::{Estimate, Z80, Z95, proportion};

/// How two models' right and wrong answers fall together on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PairedCounts {
    pub both_right: usize,
    /// Right in the first model, wrong in the second.
    pub only_first: usize,
    /// Wrong in the first model, right in the second.
    pub only_second: usize,
    pub both_wrong: usize,
}

impl PairedCounts {
    pub fn add(&mut self, first_right: bool, second_right: bool) {
        *match (first_right, second_right) {
            (true, true) => &mut self.both_right,
            (true, false) => &mut self.only_first,
            (false, true) => &mut self.only_second,
            (false, false) => &mut self.both_wrong,
        } += 1;
    }

    #[must_use]
    pub const fn n(&self) -> usize {
        self.both_right + self.only_first + self.only_second + self.both_wrong
    }

    /// Accuracy of the second model minus that of the first, with the 95 % interval of Newcombe
    /// (1998, Statistics in Medicine 17:2635, method 10); `None` without samples.
    #[must_use]
    pub fn difference(&self) -> Option<Estimate> {
        let n = self.n();
        let first = proportion::wilson(self.both_right + self.only_first, n)?;
        let second = proportion::wilson(self.both_right + self.only_second, n)?;
        let phi = self.correlation();
        let spread = |a: f64, b: f64| (a * a - 2.0 * phi * a * b + b * b).max(0.0).sqrt();
        let value = second.value - first.value;
        Some(Estimate {
            value,
            low: (value - spread(second.value - second.low, first.high - first.value)).max(-1.0),
            high: (value + spread(second.high - second.value, first.value - first.low)).min(1.0),
            n,
        })
    }

    /// Newcombe's φ: the correlation of the two answers, with his continuity correction where it
    /// is positive, and zero where a margin is empty.
    fn correlation(&self) -> f64 {
        let [a, b, c, d] = [self.both_right, self.only_first, self.only_second, self.both_wrong].map(|x| x as f64);
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        if margins == 0.0 {
            return 0.0;
        }
        let product = a * d - b * c;
        let corrected = if product > 0.0 { (product - self.n() as f64 / 2.0).max(0.0) } else { product };
        corrected / margins.sqrt()
    }

    /// The smallest loss of accuracy, a fraction, that so many samples resolve: McNemar's test at the
    /// 5 % level would see it in four of five repetitions (Connor, 1987, Biometrics 43:207), taking
    /// the share of discordant pairs to be the one seen. Below six discordant pairs, all on one side,
    /// the exact test is never significant. `None` without samples.
    #[must_use]
    pub fn smallest_resolved_drop(&self) -> Option<f64> {
        const FEWEST_DISCORDANT: f64 = 6.0;
        let n = self.n();
        if n == 0 {
            return None;
        }
        let seen = (self.only_first + self.only_second) as f64 / n as f64;
        let needed = |drop: f64| {
            let discordant = seen.max(drop);
            let spread = Z95 * discordant.sqrt() + Z80 * (discordant - drop * drop).max(0.0).sqrt();
            (spread / drop).powi(2)
        };
        // The larger the drop, the fewer samples it needs.
        let (mut below, mut above) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = f64::midpoint(below, above);
            *(if needed(middle) > n as f64 { &mut below } else { &mut above }) = middle;
        }
        Some(above.max(FEWEST_DISCORDANT / n as f64).min(1.0))
    }

    /// Two-sided exact McNemar test (1947): the probability, if both models were equally good, of
    /// discordant pairs at least this uneven.
    #[must_use]
    pub fn mcnemar(&self) -> f64 {
        let discordant = self.only_first + self.only_second;
        let fewer = self.only_first.min(self.only_second);
        // Sum of the lower binomial tail in logarithms, so that thousands of pairs do not underflow.
        let mut log_term = -(discordant as f64) * std::f64::consts::LN_2;
        let mut tail = log_term.exp();
        for k in 1..=fewer {
            log_term += ((discordant - k + 1) as f64 / k as f64).ln();
            tail += log_term.exp();
        }
        (2.0 * tail).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counts(both_right: usize, only_first: usize, only_second: usize, both_wrong: usize) -> PairedCounts {
        PairedCounts { both_right, only_first, only_second, both_wrong }
    }

    #[test]
    fn the_interval_matches_newcombes_table() {
        // Newcombe (1998), Statistics in Medicine 17:2635, table II, method 10 (first minus second).
        let d = counts(36, 12, 2, 0).difference().unwrap();
        assert!((d.value + 0.2).abs() < 1e-12);
        assert!((d.low + 0.3404).abs() < 2e-4, "{d:?}");
        assert!((d.high + 0.0569).abs() < 2e-4, "{d:?}");
    }

    #[test]
    fn the_smallest_drop_agrees_with_connors_formula() {
        // (1.96 √0.03 + 0.8416 √(0.03 − 0.010844²))² / 0.010844² = 2000 samples.
        let seen = counts(1900, 40, 20, 40).smallest_resolved_drop().unwrap();
        assert!((seen - 0.010_844).abs() < 1e-6, "{seen}");
        assert!((counts(797, 0, 0, 0).smallest_resolved_drop().unwrap() - 0.009_819).abs() < 1e-6);
        assert_eq!(counts(3, 0, 0, 1).smallest_resolved_drop(), Some(1.0));
        assert_eq!(counts(0, 0, 0, 0).smallest_resolved_drop(), None);
    }

    #[test]
    fn such_a_drop_is_seen_in_four_of_five_simulations() {
        let (n, discordant) = (2000, 0.03);
        let drop = counts(1900, 40, 20, 40).smallest_resolved_drop().unwrap();
        let mut source = crate::base::rng::Stream::named(5, "power");
        let mut uniform = || source.below(1_000_001) as f64 / 1e6;
        let seen = (0..400)
            .filter(|_| {
                let mut sample = PairedCounts::default();
                for _ in 0..n {
                    let at = uniform();
                    let lost = at < f64::midpoint(discordant, drop);
                    sample.add(lost || at >= discordant, !lost);
                }
                sample.mcnemar() < 0.05
            })
            .count();
        assert!((290..=345).contains(&seen), "{seen} of 400");
    }

    #[test]
    fn mcnemar_is_the_binomial_tail() {
        assert!((counts(5, 0, 0, 5).mcnemar() - 1.0).abs() < 1e-12);
        assert!((counts(0, 1, 5, 0).mcnemar() - 14.0 / 64.0).abs() < 1e-12);
        assert!(counts(0, 4000, 0, 0).mcnemar() < 1e-300);
    }
}
