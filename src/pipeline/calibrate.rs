//! Runs the float network over the calibration subset and settles how it is quantized: as the recipe
//! says, or, for `robust`, as measuring candidates on that subset shows.

use crate::base::explain::Failure;
use crate::manifest::{Backend, Precision, Recipe, Step};
use crate::quantize::Scheme;
use crate::record::format::{Evidence, Parts, SpaceFacts, Trial};
use crate::search::robust::Robust;
use crate::workbench::event::Event;
use crate::workbench::levels::{self, Looks};
use crate::workbench::{Attempt, Prepared, Surroundings, Workbench};

/// How the network is quantized, settled.
pub(super) struct Calibrated {
    pub attempt: Attempt,
    /// What was tried, in order; empty where the recipe leaves nothing to try.
    pub trials: Vec<Trial>,
    /// What each integer node loses, by node; empty where nothing is quantized here.
    pub evidence: Vec<Option<Evidence>>,
    pub spaces: Vec<SpaceFacts>,
    pub parts: Option<Parts>,
    pub looks: Looks,
}

pub(super) fn calibrate(prepared: &Prepared, around: &Surroundings<'_>) -> Result<Calibrated, Failure> {
    let settings = &prepared.manifest().quantize;
    let wants_int8 = prepared.manifest().variant.iter().any(|variant| variant.precision == Precision::Int8);
    let scheme = Scheme::of(settings);
    let in_turn = [Step::AdaRound, Step::SequentialBiasCorrection].into_iter().any(|step| scheme.has(step));
    let mut bench = Workbench::new(prepared, around, in_turn || settings.recipe == Recipe::Robust);
    if !wants_int8 {
        let attempt = bench.all_in_float(&scheme);
        return Ok(Calibrated {
            attempt,
            trials: Vec::new(),
            evidence: Vec::new(),
            spaces: Vec::new(),
            parts: None,
            looks: Looks::default(),
        });
    }
    let (mut attempt, trials) = match (settings.recipe, prepared.judge()) {
        (Recipe::Robust, Some((_, judge))) => {
            let can_learn = prepared.reference.backend == Backend::Torch;
            if !can_learn {
                let note = "`adaround` is not among the candidates: it learns with libtorch, of which no variant is";
                around.events.emit(&Event::Note(note.to_owned()));
            }
            Robust::new(&mut bench, judge, can_learn).run(&scheme)?
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
    let wanted = prepared.manifest().record.evidence;
    let (evidence, spaces, parts) = match prepared.judge().filter(|_| wanted) {
        Some((_, judge)) => (bench.evidence(&attempt)?, bench.spaces(&attempt)?, bench.parts(&attempt, judge)?),
        None => (Vec::new(), Vec::new(), None),
    };
    let looks = if wanted { levels::look(prepared, &attempt, around)? } else { Looks::default() };
    Ok(Calibrated { attempt, trials, evidence, spaces, parts, looks })
}
