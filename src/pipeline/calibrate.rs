//! Runs the float network over the calibration subset and settles how it is quantized: as the recipe
//! says, or, for `robust`, as measuring candidates on that subset shows.

use super::prepare::Prepared;
use super::usage::Looks;
use super::workbench::{Attempt, Workbench};
use super::{Event, Surroundings, usage};
use crate::backend::Availability;
use crate::base::explain::Failure;
use crate::manifest::{Backend, Precision, Recipe, Step, Variant};
use crate::quantize::Scheme;
use crate::quantize::observer::ObserverKind;
use crate::record::format::{Evidence, Parts, SpaceFacts, Trial};

/// A prepared run with its quantization settled.
pub(super) struct Calibrated {
    pub prepared: Prepared,
    pub attempt: Attempt,
    /// What was tried, in order; empty where the recipe leaves nothing to try.
    pub trials: Vec<Trial>,
    /// What each integer node loses, by node; empty where nothing is quantized here.
    pub evidence: Vec<Option<Evidence>>,
    pub spaces: Vec<SpaceFacts>,
    pub parts: Option<Parts>,
    pub looks: Looks,
}

pub(super) fn calibrate(prepared: Prepared, around: &Surroundings<'_>) -> Result<Calibrated, Failure> {
    let settings = &prepared.resolved.manifest.quantize;
    let wants_int8 = prepared.resolved.manifest.variant.iter().any(|variant| variant.precision == Precision::Int8);
    let scheme = Scheme::of(settings);
    let in_turn = [Step::AdaRound, Step::SequentialBiasCorrection].into_iter().any(|step| scheme.has(step));
    let mut bench = Workbench::new(&prepared, around, in_turn || settings.recipe == Recipe::Robust);
    if !wants_int8 {
        let attempt = bench.all_in_float(&scheme);
        return Ok(Calibrated {
            attempt,
            trials: Vec::new(),
            evidence: Vec::new(),
            spaces: Vec::new(),
            parts: None,
            looks: Looks::default(),
            prepared,
        });
    }
    let (mut attempt, trials) = match (settings.recipe, judge(&prepared)) {
        (Recipe::Robust, Some((_, judge))) => {
            let can_learn = prepared.reference.backend == Backend::Torch;
            if !can_learn {
                let note = "`adaround` is not among the candidates: it learns with libtorch, of which no variant is";
                around.events.emit(&Event::Note(note.to_owned()));
            }
            Search { bench: &mut bench, judge, can_learn, trials: Vec::new() }.run(&scheme)?
        }
        (Recipe::Robust, None) => {
            let backend = prepared.reference.backend;
            let note = format!(
                "`robust` was not searched for: no INT8 variant of `{backend}`, which calibrates, can run here"
            );
            around.events.emit(&Event::Note(note));
            (bench.carry_out(&scheme)?, Vec::new())
        }
        (_, _) => (bench.carry_out(&scheme)?, Vec::new()),
    };
    if attempt.scheme.has(Step::SmallBatches) {
        attempt.few = Some(Box::new(bench.carry_out_for_few(&attempt.scheme)?));
    }
    let wanted = prepared.resolved.manifest.record.evidence;
    let (evidence, spaces, parts) = match judge(&prepared).filter(|_| wanted) {
        Some((_, judge)) => (bench.evidence(&attempt)?, bench.spaces(&attempt)?, bench.parts(&attempt, judge)?),
        None => (Vec::new(), Vec::new(), None),
    };
    let looks = if wanted { usage::look(&prepared, &attempt, around)? } else { Looks::default() };
    Ok(Calibrated { attempt, trials, evidence, spaces, parts, looks, prepared })
}

/// The variant whose kernels candidates are measured with, and its place: the first in INT8 that can run here, of the
/// backend that calibrates.
pub(super) fn judge(prepared: &Prepared) -> Option<(usize, &Variant)> {
    let variants = prepared.resolved.manifest.variant.iter().zip(&prepared.inputs.availability);
    let ready = |(_, (variant, availability)): &(usize, (&Variant, &Availability))| {
        let judges = variant.backend == prepared.reference.backend && variant.precision == Precision::Int8;
        judges && matches!(availability, Availability::Ready { .. })
    };
    variants.enumerate().find(ready).map(|(place, (variant, _))| (place, variant))
}

/// A walk from one scheme to better ones. It sees calibration samples alone, and no labels: what counts is
/// how closely the quantized network follows the float one.
struct Search<'a, 'b> {
    bench: &'a mut Workbench<'b>,
    judge: &'a Variant,
    /// Whether rounding can be learned: libtorch alone gives derivatives.
    can_learn: bool,
    trials: Vec<Trial>,
}

impl Search<'_, '_> {
    /// The best attempt found. One choice is changed at a time, and kept where it helps.
    fn run(mut self, start: &Scheme) -> Result<(Attempt, Vec<Trial>), Failure> {
        // For the reader: what PyTorch's default comes to by the same measure.
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
