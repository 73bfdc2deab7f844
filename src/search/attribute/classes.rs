//! Of a classifier: samples by whether the networks part on them, and how many a change moves.
//!
//! Samples on which the quantized network leaves the float one are few and tell the most, so they are looked at
//! more closely than the rest: two strata, weighed by their sizes (W. G. Cochran, Sampling Techniques, chapter 5).

use serde::{Deserialize, Serialize};

use crate::backend::Session;
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::stats::paired::PairedCounts;
use crate::stats::{Estimate, Z95};
use crate::task::classification::{Answer, Head};
use crate::tensor::Tensor;
use crate::workbench::{Prepared, Surroundings, each_batch};

/// So many samples of each stratum at most. Few that agree will change, and each stands for many.
const MOST: [usize; 2] = [128, 384];

/// Samples per forward pass.
const BATCH: usize = 32;

pub(super) struct Samples {
    batches: Vec<Tensor>,
    /// Of each sample, those that disagree first.
    labels: Vec<usize>,
    was_right: Vec<bool>,
    /// The float network's answers.
    float: Vec<usize>,
    /// Samples looked at and all there are, disagreeing and agreeing.
    strata: [(usize, usize); 2],
    /// What there is to gain over all evaluation samples: accuracy and agreement, which are known.
    all: (Estimate, Estimate),
    digest: Digest,
    head: Head,
}

/// What a change does, samples by stratum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changes {
    right: Moved,
    agreeing: Moved,
}

/// Samples of which something becomes true, and of which it is true no longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Moved {
    gained: [usize; 2],
    lost: [usize; 2],
}

impl Moved {
    fn add(&mut self, stratum: usize, was: bool, is: bool) {
        self.gained[stratum] += usize::from(is && !was);
        self.lost[stratum] += usize::from(was && !is);
    }
}

impl Samples {
    /// `None` unless the quantized network has surely lost accuracy.
    pub(super) fn choose(
        prepared: &Prepared,
        head: Head,
        float: &[Answer],
        int8: &[Answer],
        around: &Surroundings<'_>,
    ) -> Result<Option<Self>, Failure> {
        let all = &prepared.inputs.data.evaluation;
        let right = |answer: &Answer, at: usize| answer.class == all.entries[at].class;
        let mut counts = PairedCounts::default();
        (0..all.entries.len()).for_each(|at| counts.add(right(&float[at], at), right(&int8[at], at)));
        if counts.difference().is_none_or(|difference| difference.high >= 0.0) {
            return Ok(None);
        }
        let places = |agreeing: bool| -> Vec<usize> {
            (0..all.entries.len()).filter(|&at| (float[at].class == int8[at].class) == agreeing).collect()
        };
        let strata = [places(false), places(true)];
        let spread = |stratum: usize| -> Vec<usize> {
            let places = &strata[stratum];
            let count = places.len().min(MOST[stratum]);
            (0..count).map(|at| places[at * places.len() / count]).collect()
        };
        let looked = [spread(0), spread(1)];
        let sizes = [0, 1].map(|stratum| (looked[stratum].len(), strata[stratum].len()));
        let places = looked.concat();
        let chosen = all.at(&places);
        let mut batches = Vec::new();
        each_batch(prepared, &chosen, BATCH, around, |batch| {
            batches.push(batch.clone());
            Ok(())
        })?;
        Ok(Some(Self {
            batches,
            labels: chosen.entries.iter().map(|entry| entry.class).collect(),
            was_right: places.iter().map(|&at| right(&int8[at], at)).collect(),
            float: places.iter().map(|&at| float[at].class).collect(),
            strata: sizes,
            all: to_gain(&counts, strata[0].len()),
            digest: chosen.digest(),
            head,
        }))
    }

    pub(super) const fn all(&self) -> (Estimate, Estimate) {
        self.all
    }

    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) const fn count(&self) -> usize {
        self.strata[0].0 + self.strata[1].0
    }

    pub(super) const fn disagreeing(&self) -> usize {
        self.strata[0].0
    }

    /// Runs a changed network over the samples.
    pub(super) fn changes(&self, session: &mut dyn Session) -> Result<Changes, Failure> {
        let mut changes = Changes::default();
        let mut at = 0;
        for batch in &self.batches {
            let outputs = session.run(batch)?;
            for logits in outputs.first().into_iter().flat_map(Tensor::f32_rows) {
                let stratum = usize::from(at >= self.strata[0].0);
                let class = self.head.answer(logits).class;
                changes.right.add(stratum, self.was_right[at], class == self.labels[at]);
                changes.agreeing.add(stratum, stratum == 1, class == self.float[at]);
                at += 1;
            }
        }
        Ok(changes)
    }

    /// Accuracy gained over all evaluation samples, a fraction, with its 95 % interval.
    pub(super) fn accuracy(&self, changes: &Changes) -> Estimate {
        self.estimate(&changes.right)
    }

    /// The same of agreement with the float network.
    pub(super) fn agreement(&self, changes: &Changes) -> Estimate {
        self.estimate(&changes.agreeing)
    }

    fn estimate(&self, moved: &Moved) -> Estimate {
        let all = (self.strata[0].1 + self.strata[1].1) as f64;
        let (mut value, mut variance) = (0.0, 0.0);
        for (stratum, &(looked, size)) in self.strata.iter().enumerate().filter(|(_, strata)| strata.0 > 0) {
            let (n, weight) = (looked as f64, size as f64 / all);
            let (gained, lost) = (moved.gained[stratum] as f64, moved.lost[stratum] as f64);
            let mean = (gained - lost) / n;
            // Four samples more, two of them changed: none among few is no proof of none, nor are all of all (after
            // A. Agresti and B. Caffo, 2000).
            let spread = (gained + lost + 2.0) / (n + 4.0) - ((gained - lost) / (n + 4.0)).powi(2);
            value += weight * mean;
            // A stratum that was looked at whole has no error of sampling.
            variance += weight * weight * spread.max(0.0) / n * (1.0 - n / size as f64);
        }
        let reach = Z95 * variance.sqrt();
        Estimate { value, low: value - reach, high: value + reach, n: self.count() }
    }
}

/// By the float network in place of the quantized one.
fn to_gain(counts: &PairedCounts, disagreeing: usize) -> (Estimate, Estimate) {
    let n = counts.both_right + counts.only_first + counts.only_second + counts.both_wrong;
    let exact = |value: f64| Estimate { value, low: value, high: value, n };
    let right = (counts.only_first as f64 - counts.only_second as f64) / n as f64;
    (exact(right), exact(disagreeing as f64 / n as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(strata: [(usize, usize); 2]) -> Samples {
        let digest = Digest::of(b"");
        Samples {
            batches: Vec::new(),
            labels: Vec::new(),
            was_right: Vec::new(),
            float: Vec::new(),
            strata,
            all: to_gain(&PairedCounts::default(), 0),
            digest,
            head: Head::Scores,
        }
    }

    #[test]
    fn strata_count_by_their_sizes() {
        // 100 of 1 000 samples disagree and all were looked at: righting 40 of them is 4 points, for sure.
        let sure = samples([(100, 100), (900, 900)]).estimate(&Moved { gained: [40, 0], lost: [0, 0] });
        assert!((sure.value - 0.04).abs() < 1e-12 && sure.low == sure.high, "{sure:?}");
        // Of the others a few were looked at, and none changed: that is less sure.
        let gained = samples([(100, 100), (50, 900)]).estimate(&Moved { gained: [40, 0], lost: [0, 0] });
        assert!((gained.value - 0.04).abs() < 1e-12 && gained.low < 0.03, "{gained:?}");
        // One of 50 agreeing samples stands for 18 of 900.
        let spoilt = samples([(100, 100), (50, 900)]).estimate(&Moved { gained: [40, 0], lost: [0, 1] });
        assert!((spoilt.value - 0.022).abs() < 1e-12 && spoilt.low < 0.0 + 0.022 && spoilt.high > 0.022, "{spoilt:?}");
    }
}
