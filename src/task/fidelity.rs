//! Any image model, no labels: how far every output of a network lies from the float network's, sample by sample.

use serde::{Deserialize, Serialize};

use crate::base::rng::Stream;
use crate::stats::{Estimate, bootstrap};

/// More decibels than single precision can show. Where nothing differs, a comparison counts as this; where the baseline's
/// output is 0 throughout and the variant's is not, as its negative.
pub const MOST_DB: f64 = 300.0;

/// Fewer samples than this decide no goal: an interval that is drawn from a handful looks far too sure.
pub const FEWEST_SAMPLES: usize = 20;

/// An output below this ratio, in dB, is far from the baseline's, where no goal says otherwise: noise of a tenth of the signal's
/// amplitude.
pub const LOW_DB: f64 = 20.0;

/// Samples that a record names as the worst of an output.
const WORST: usize = 5;

/// One sample's output `ŷ` beside the float network's `y`: sums over its values, in double precision.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Closeness {
    /// `Σ y²`
    pub signal: f64,
    /// `Σ (y − ŷ)²`
    pub noise: f64,
    /// `Σ y·ŷ`
    pub product: f64,
    /// `Σ ŷ²`
    pub energy: f64,
}

impl Closeness {
    /// Of two tensors of one shape. The sums are no numbers where a value is none.
    #[must_use]
    pub fn of(should: &[f32], is: &[f32]) -> Self {
        let mut sums = Self::default();
        for (&y, &z) in should.iter().zip(is) {
            let (y, z) = (f64::from(y), f64::from(z));
            sums.signal += y * y;
            sums.noise += (y - z) * (y - z);
            sums.product += y * z;
            sums.energy += z * z;
        }
        sums
    }

    /// Whether every value of both is a finite number.
    #[must_use]
    pub const fn is_defined(&self) -> bool {
        self.signal.is_finite() && self.energy.is_finite() && self.noise.is_finite()
    }

    /// `10·log₁₀(signal / noise)`; `None` where there is no noise, −[`MOST_DB`] where there is noise and no signal.
    #[must_use]
    pub fn sqnr_db(&self) -> Option<f64> {
        ratio_db(self.signal, self.noise)
    }

    /// `Σ y·ŷ / √(Σ y² · Σ ŷ²)`; 1 where both are 0 throughout, 0 where one is.
    #[must_use]
    pub fn cosine(&self) -> f64 {
        let length = (self.signal * self.energy).sqrt();
        if length > 0.0 {
            (self.product / length).clamp(-1.0, 1.0)
        } else {
            f64::from(u8::from(self.signal <= 0.0 && self.energy <= 0.0))
        }
    }
}

/// `10·log₁₀(signal / noise)`; `None` where there is no signal or no noise.
#[must_use]
pub fn decibels(signal: f64, noise: f64) -> Option<f64> {
    (signal > 0.0 && noise > 0.0).then(|| 10.0 * (signal / noise).log10())
}

/// As [`decibels`], but noise without a signal is as bad as can be.
fn ratio_db(signal: f64, noise: f64) -> Option<f64> {
    let is_lost = noise > 0.0 && signal <= 0.0;
    if is_lost { Some(-MOST_DB) } else { decibels(signal, noise).map(|db| db.clamp(-MOST_DB, MOST_DB)) }
}

/// A ratio as a person reads it.
#[must_use]
pub fn shown(sqnr_db: f64) -> String {
    if sqnr_db >= MOST_DB {
        "no difference".to_owned()
    } else if sqnr_db <= -MOST_DB {
        "noise without a signal".to_owned()
    } else {
        format!("{sqnr_db:.2} dB")
    }
}

/// A network's outputs beside those of the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Of the evaluation subset.
    pub samples: usize,
    /// Samples with a value that is no finite number, in this network or in the baseline's. They are in no other figure.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub undefined: usize,
    /// In the order of the model's file; empty for the baseline itself, and where it did not run.
    pub outputs: Vec<OutputFidelity>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// One output of a network beside the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputFidelity {
    /// Its name in the model's file.
    pub name: String,
    /// Ratio of signal to noise in dB, over all samples together, with its 95 % interval (bootstrap over samples); absent
    /// where no value differs. −300 where the baseline gives 0 throughout and this network does not.
    pub sqnr_db: Option<Estimate>,
    /// Cosine, the mean over samples, with its 95 % interval.
    pub cosine: Option<Estimate>,
    /// Samples of which no value differs.
    pub identical: usize,
    /// The samples with the smallest ratio, the smallest first.
    pub worst: Vec<WorstSample>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorstSample {
    pub sample: String,
    pub sqnr_db: f64,
}

impl Fidelity {
    /// From the closeness of every sample, by output. `samples` are their ids.
    #[must_use]
    pub fn of(names: &[String], samples: &[&str], closeness: &[Vec<Closeness>]) -> Self {
        let defined: Vec<bool> =
            (0..samples.len()).map(|at| closeness.iter().all(|output| output[at].is_defined())).collect();
        let output = |(name, all): (&String, &Vec<Closeness>)| {
            let kept = all.iter().zip(samples).zip(&defined).filter_map(|(own, defined)| defined.then_some(own));
            OutputFidelity::of(name, &kept.collect::<Vec<_>>())
        };
        Self {
            samples: samples.len(),
            undefined: defined.iter().filter(|defined| !**defined).count(),
            outputs: names.iter().zip(closeness).map(output).collect(),
        }
    }

    /// Of the network that the others are compared with.
    #[must_use]
    pub const fn of_baseline(samples: usize, undefined: usize) -> Self {
        Self { samples, undefined, outputs: Vec::new() }
    }

    /// Whether the whole interval of every output is on the right side of what is asked, in dB and as a cosine; where
    /// nothing is asked, of [`LOW_DB`].
    #[must_use]
    pub fn is_close(&self, sqnr_db: Option<f64>, cosine: Option<f64>) -> bool {
        let least = if sqnr_db.is_none() && cosine.is_none() { Some(LOW_DB) } else { sqnr_db };
        let holds = |known: Option<Estimate>, asked: Option<f64>| {
            known.zip(asked).is_none_or(|(known, asked)| known.low >= asked)
        };
        self.outputs.iter().all(|own| holds(own.sqnr_db, least) && holds(own.cosine, cosine))
    }

    /// The output that keeps least.
    #[must_use]
    pub fn worst(&self) -> Option<&OutputFidelity> {
        let known = self.outputs.iter().filter_map(|output| Some((output, output.sqnr_db?.value)));
        known.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(output, _)| output)
    }
}

impl OutputFidelity {
    fn of(name: &str, all: &[(&Closeness, &&str)]) -> Self {
        let closeness: Vec<Closeness> = all.iter().map(|(own, _)| **own).collect();
        let differing = all.iter().filter_map(|(own, sample)| Some(((**sample).to_owned(), own.sqnr_db()?)));
        let mut worst: Vec<WorstSample> = differing.map(|(sample, sqnr_db)| WorstSample { sample, sqnr_db }).collect();
        worst.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
        worst.truncate(WORST);
        Self {
            name: name.to_owned(),
            sqnr_db: ratio(&closeness, name),
            cosine: mean_cosine(&closeness, name),
            identical: closeness.iter().filter(|own| own.noise <= 0.0).count(),
            worst,
        }
    }
}

/// The ratio of all samples together, with an interval from drawing samples.
fn ratio(all: &[Closeness], seed: &str) -> Option<Estimate> {
    let db = |signal: f64, noise: f64| ratio_db(signal, noise).unwrap_or(MOST_DB);
    let sum = |pick: fn(&Closeness) -> f64| all.iter().map(pick).sum::<f64>();
    let value = ratio_db(sum(|own| own.signal), sum(|own| own.noise))?;
    let (low, high) = bootstrap::interval_of(all.len(), Stream::named(0, &format!("{seed} sqnr")), |drawn| {
        let (signal, noise) = drawn.iter().fold((0.0, 0.0), |(s, n), &at| (s + all[at].signal, n + all[at].noise));
        db(signal, noise)
    })?;
    Some(Estimate { value, low, high, n: all.len() })
}

fn mean_cosine(all: &[Closeness], seed: &str) -> Option<Estimate> {
    let cosines: Vec<f64> = all.iter().map(Closeness::cosine).collect();
    let mean = |drawn: &mut dyn Iterator<Item = f64>, n: usize| drawn.sum::<f64>() / n.max(1) as f64;
    let (low, high) = bootstrap::interval_of(all.len(), Stream::named(0, &format!("{seed} cosine")), |drawn| {
        mean(&mut drawn.iter().map(|&at| cosines[at]), drawn.len())
    })?;
    Some(Estimate { value: mean(&mut cosines.iter().copied(), cosines.len()), low, high, n: all.len() })
}

/// How many dB more the second network keeps than the first, on the same samples, with an interval from drawing samples.
#[must_use]
pub fn change(first: &[Closeness], second: &[Closeness], seed: &str) -> Option<Estimate> {
    if first.len() != second.len() {
        return None;
    }
    let both = first.iter().zip(second).filter(|(a, b)| a.is_defined() && b.is_defined());
    let (first, second): (Vec<Closeness>, Vec<Closeness>) = both.unzip();
    let db = |all: &[Closeness], drawn: &mut dyn Iterator<Item = usize>| {
        let (signal, noise) = drawn.fold((0.0, 0.0), |(s, n), at| (s + all[at].signal, n + all[at].noise));
        ratio_db(signal, noise).unwrap_or(MOST_DB)
    };
    let n = first.len();
    let value = db(&second, &mut (0..n)) - db(&first, &mut (0..n));
    let (low, high) = bootstrap::interval_of(n, Stream::named(0, &format!("{seed} change")), |drawn| {
        db(&second, &mut drawn.iter().copied()) - db(&first, &mut drawn.iter().copied())
    })?;
    Some(Estimate { value, low, high, n })
}

/// The error of each sample relative to the mean signal of each output, summed over outputs: `Σₒ noiseₒ / signalₒ`. Of an
/// output without a signal, any noise counts as much as a signal would. No number where the sample is undefined.
#[must_use]
pub fn errors(closeness: &[Vec<Closeness>], signals: &[f64]) -> Vec<f64> {
    let samples = closeness.first().map_or(0, Vec::len);
    let of = |at: usize| {
        let each = closeness.iter().zip(signals).map(|(output, signal)| match output[at] {
            own if !own.is_defined() => f64::NAN,
            own if *signal > 0.0 => own.noise / signal,
            own => f64::from(u8::from(own.noise > 0.0)),
        });
        each.sum()
    };
    (0..samples).map(of).collect()
}

/// The mean signal of each output over the samples that are defined.
#[must_use]
pub fn signals(closeness: &[Vec<Closeness>]) -> Vec<f64> {
    let mean = |output: &Vec<Closeness>| {
        let known: Vec<f64> = output.iter().filter(|own| own.is_defined()).map(|own| own.signal).collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    };
    closeness.iter().map(mean).collect()
}

/// The share of the error that a change removes, `1 − Σ after / Σ before`, with an interval from drawing samples; negative
/// where it adds error. `None` where there is no error to remove.
#[must_use]
pub fn removed(before: &[f64], after: &[f64], seed: &str) -> Option<Estimate> {
    let share = |before: f64, after: f64| if before > 0.0 { 1.0 - after / before } else { 0.0 };
    let (all_before, all_after) = (before.iter().sum::<f64>(), after.iter().sum::<f64>());
    if !(all_before > 0.0 && all_before.is_finite() && all_after.is_finite()) {
        return None;
    }
    let (low, high) = bootstrap::interval_of(before.len(), Stream::named(0, seed), |drawn| {
        let (b, a) = drawn.iter().fold((0.0, 0.0), |(b, a), &at| (b + before[at], a + after[at]));
        share(b, a)
    })?;
    Some(Estimate { value: share(all_before, all_after), low, high, n: before.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_amplitude_is_20_db() {
        let own = Closeness::of(&[10.0, -10.0], &[11.0, -9.0]);
        assert!((own.sqnr_db().unwrap() - 20.0).abs() < 1e-9);
        assert!((own.cosine() - 200.0 / (200.0_f64 * 202.0).sqrt()).abs() < 1e-12);
        assert_eq!(Closeness::of(&[1.0], &[1.0]).sqnr_db(), None);
        assert_eq!(Closeness::of(&[0.0], &[1e-9]).sqnr_db(), Some(-MOST_DB));
        assert_eq!(Closeness::of(&[0.0], &[0.0]).cosine().to_bits(), 1.0_f64.to_bits());
        assert_eq!(Closeness::of(&[0.0], &[1.0]).cosine().to_bits(), 0.0_f64.to_bits());
        assert!(!Closeness::of(&[0.0], &[f32::NAN]).is_defined());
    }

    #[test]
    fn the_worst_samples_are_named_and_undefined_ones_are_left_out() {
        let of = |noise: f64| Closeness { signal: 100.0, noise, product: 100.0, energy: 100.0 };
        let outputs = vec![vec![of(1.0), of(0.0), of(10.0), of(f64::NAN)]];
        let fidelity = Fidelity::of(&["y".to_owned()], &["a", "b", "c", "d"], &outputs);
        assert_eq!((fidelity.samples, fidelity.undefined), (4, 1));
        let output = &fidelity.outputs[0];
        assert_eq!(output.identical, 1);
        let worst: Vec<&str> = output.worst.iter().map(|worst| worst.sample.as_str()).collect();
        assert_eq!(worst, ["c", "a"]);
        let sqnr = output.sqnr_db.unwrap();
        assert!((sqnr.value - 10.0 * (300.0_f64 / 11.0).log10()).abs() < 1e-9);
        assert!(sqnr.low < sqnr.value && sqnr.value < sqnr.high && sqnr.high <= MOST_DB, "{sqnr:?}");
        assert_eq!(fidelity.worst().unwrap().name, "y");
    }

    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        let mut source = Stream::named(5, "fidelity");
        // Noise of one tenth of the signal on the mean: 10 dB.
        let mut draw = || 0.2 * source.below(1_000_001) as f64 / 1e6;
        let hits = (0..200).filter(|trial| {
            let all: Vec<Closeness> =
                (0..60).map(|_| Closeness { signal: 1.0, noise: draw(), product: 1.0, energy: 1.0 }).collect();
            let sqnr = ratio(&all, &trial.to_string()).unwrap();
            sqnr.low <= 10.0 && 10.0 <= sqnr.high
        });
        let hits = hits.count();
        assert!((178..=200).contains(&hits), "{hits} of 200 intervals hold the true ratio");
    }

    #[test]
    fn removing_all_error_is_a_share_of_one() {
        let before = [1.0, 2.0, 3.0];
        let all = removed(&before, &[0.0; 3], "t").unwrap();
        assert!((all.value - 1.0).abs() < 1e-12 && (all.low - 1.0).abs() < 1e-12);
        assert!(removed(&before, &[2.0, 4.0, 6.0], "t").unwrap().value < -0.99);
        assert_eq!(removed(&[0.0], &[0.0], "t"), None);
        let two = vec![
            vec![Closeness { signal: 4.0, noise: 1.0, ..Closeness::default() }],
            vec![Closeness { signal: 100.0, noise: 1.0, ..Closeness::default() }],
        ];
        assert!((errors(&two, &signals(&two))[0] - (0.25 + 0.01)).abs() < 1e-12);
    }

    #[test]
    fn noise_where_the_baseline_gives_nothing_is_the_worst_and_never_the_best() {
        let dead = |noise: f64| Closeness { signal: 0.0, noise, product: 0.0, energy: noise };
        let fidelity = Fidelity::of(&["y".to_owned()], &["a", "b"], &[vec![dead(0.0), dead(1e-6)]]);
        let output = &fidelity.outputs[0];
        assert!(output.sqnr_db.is_some_and(|own| own.value <= -MOST_DB), "{output:?}");
        assert_eq!((output.identical, output.worst.len()), (1, 1));
        assert!(!fidelity.is_close(None, None) && shown(-MOST_DB) != shown(MOST_DB));
        assert!(errors(&[vec![dead(1e-6)]], &[0.0])[0] > 0.5);
    }

    #[test]
    fn samples_that_are_undefined_in_either_run_are_no_gain() {
        let of = |noise: f64| Closeness { signal: 1.0, noise, product: 1.0, energy: 1.0 };
        let (first, second) = ([of(0.01), of(f64::NAN), of(0.01)], [of(0.1), of(0.1), of(0.1)]);
        let change = change(&first, &second, "t").unwrap();
        assert!((change.value + 10.0).abs() < 1e-9 && change.n == 2, "{change:?}");
    }
}
