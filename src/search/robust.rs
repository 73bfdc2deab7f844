//! The recipe `robust`: candidates measured on the calibration subset, one choice changed at a time.

use crate::base::explain::Failure;
use crate::manifest::{Step, Variant};
use crate::quantize::Scheme;
use crate::quantize::observer::ObserverKind;
use crate::record::format::Trial;
use crate::workbench::{Attempt, Workbench};

/// A walk from one scheme to better ones. It sees calibration samples alone, and no labels: what counts is
/// how closely the quantized network follows the float one.
pub(crate) struct Robust<'a, 'b> {
    bench: &'a mut Workbench<'b>,
    judge: &'a Variant,
    /// Whether rounding can be learned: libtorch alone gives derivatives.
    can_learn: bool,
    trials: Vec<Trial>,
}

impl<'a, 'b> Robust<'a, 'b> {
    pub(crate) const fn new(bench: &'a mut Workbench<'b>, judge: &'a Variant, can_learn: bool) -> Self {
        Self { bench, judge, can_learn, trials: Vec::new() }
    }

    /// The best attempt found. One choice is changed at a time, and kept where it helps.
    pub(crate) fn run(mut self, start: &Scheme) -> Result<(Attempt, Vec<Trial>), Failure> {
        // For the reader: what PyTorch's default gives by the same measure.
        self.attempt(&Scheme { steps: Vec::new(), observer: ObserverKind::Histogram, ..start.clone() })?;
        let mut best = self.attempt(start)?;
        for observer in [ObserverKind::Minmax, ObserverKind::Percentile, ObserverKind::Mse] {
            let candidate = Scheme { observer, ..best.attempt.scheme.clone() };
            self.keep_better(&mut best, &candidate)?;
        }
        for step in [Step::BiasCorrection, Step::Equalize, Step::BoundWeights] {
            let candidate = best.attempt.scheme.toggled(step);
            self.keep_better(&mut best, &candidate)?;
        }
        // Those that cost the most, once.
        for step in [Step::AdaRound, Step::SequentialBiasCorrection] {
            if step == Step::AdaRound && !self.can_learn {
                continue;
            }
            let mut candidate = best.attempt.scheme.toggled(step);
            if step == Step::SequentialBiasCorrection {
                candidate.steps.retain(|other| *other != Step::BiasCorrection);
            }
            self.keep_better(&mut best, &candidate)?;
        }
        self.trials[best.place].chosen = true;
        Ok((best.attempt, self.trials))
    }

    /// What a time limit has cut short is never chosen: another machine would come to something else.
    fn keep_better(&mut self, best: &mut Candidate, scheme: &Scheme) -> Result<(), Failure> {
        let other = self.attempt(scheme)?;
        let cut = other.attempt.rounding.as_ref().is_some_and(|rounding| rounding.learned < rounding.layers);
        if other.score > best.score && !cut {
            *best = other;
        }
        Ok(())
    }

    /// Carries a scheme out; its score falls as its class probabilities leave the float network's.
    fn attempt(&mut self, scheme: &Scheme) -> Result<Candidate, Failure> {
        let attempt = self.bench.carry_out(scheme)?;
        let followed = self.bench.followed(&attempt, self.judge)?;
        let candidate = Candidate { score: -followed.divergence, place: self.trials.len(), attempt };
        self.trials.push(Trial {
            observer: scheme.observer.word().to_owned(),
            rounding: candidate.attempt.rounding.clone(),
            steps: scheme.steps.clone(),
            followed,
            chosen: false,
        });
        Ok(candidate)
    }
}

/// A scheme that was carried out, and where it stands among the trials.
struct Candidate {
    score: f64,
    place: usize,
    attempt: Attempt,
}
