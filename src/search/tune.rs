//! Mixed precision under a limit of accuracy: schemes and layers in float, tried on samples that neither calibrate
//! nor judge.

mod held_out;
mod kernels;
mod page;
mod race;
mod trial;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use kernels::{Form, Raced};
pub use trial::{Candidate, Outcome, Trial};

use held_out::HeldOut;
use race::race;
use trial::Trials;

use super::attribute::{block_of, units};
use crate::backend::{self, Request, Session};
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::interrupt;
use crate::codec::{self, torchscript};
use crate::inspect;
use crate::manifest::{Backend, LayerOverride, Step, Variant};
use crate::quantize::observer::ObserverKind;
use crate::quantize::{LayerRule, Scheme};
use crate::workbench::event::{Event, Stage};
use crate::workbench::{Prepared, Surroundings, Workbench, open, stage};

/// What is asked of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// Points of accuracy that may be lost at most, on the held-out samples.
    pub max_drop: f64,
    /// Times as fast as the baseline at the manifest's first batch size.
    pub min_speedup: Option<f64>,
    /// Candidates to try at most.
    pub trials: usize,
    /// No candidate is begun after so long.
    pub budget: Option<Duration>,
    /// Held-out samples to judge by.
    pub samples: usize,
}

/// What tuning came to.
#[derive(Debug)]
pub struct Tuned {
    /// The float network on the held-out samples.
    pub float: Outcome,
    pub trials: Vec<Trial>,
    /// What convolutions took in each form, where that was measured.
    pub raced: Vec<Raced>,
    /// Place in `trials`; absent where no candidate is as asked.
    pub chosen: Option<usize>,
    /// Held-out samples, and their digest.
    pub samples: usize,
    pub digest: Digest,
    /// The batch size that latencies are of.
    pub batch: usize,
    pub wish: Wish,
    /// Beside the manifest: what was tried, kept for next time.
    pub folder: PathBuf,
}

/// Candidates this close to the fastest, a fraction, count as equally fast: the closest to the float network wins.
const AS_FAST: f64 = 0.05;

/// Tries candidates in an order that depends on accuracy alone, never on a timing; but for the one whose kernels are
/// the fastest of each layer.
pub fn tune(prepared: &Prepared, wish: &Wish, around: &Surroundings<'_>) -> Result<Tuned, Failure> {
    let folder = folder_of(&prepared.resolved.path);
    let add = "add a variant with `backend = \"torch\"` and `precision = \"int8\"`";
    if prepared.inputs.model.outputs.head().is_none() {
        let message = "tuning chooses by accuracy, and `task = \"fidelity\"` has none";
        let next = "use `recipe = \"robust\"`, which chooses by how close the outputs stay";
        return Err(Diagnostic::error(Cause::Input, message).next(next).into());
    }
    if prepared.reference.backend != Backend::Torch {
        let message = "tuning chooses among libtorch's kernels, and no variant is of `torch`";
        return Err(Diagnostic::error(Cause::Input, message).next(add).into());
    }
    let Some((_, judge)) = prepared.judge() else {
        return Err(Diagnostic::error(Cause::Input, "no variant computes in INT8 here").next(add).into());
    };
    let held_out = stage(around, Stage::Prepare, || HeldOut::choose(prepared, wish.samples, around))?;
    let manifest = prepared.manifest();
    let batch = manifest.benchmark.batch_sizes[0].min(held_out.count());
    // All that an outcome depends on; who times on another machine starts another file.
    let conditions = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        manifest.compute,
        judge.engine,
        judge.memory_format,
        manifest.quantize.layer,
        manifest.dataset.preprocess,
        prepared.inputs.data.source.classes()
    );
    let programs = format!("{} {}", env!("CARGO_PKG_VERSION"), backend::runtime().libtorch);
    let calibration = prepared.inputs.data.calibration.digest_in_batches(manifest.calibration.batch_size);
    let about = [held_out.digest, calibration, prepared.inputs.model.facts.sha256];
    let cpu = crate::record::host::facts().cpu;
    let about = Digest::of(format!("{about:?} {batch} {conditions} {programs} {cpu}").as_bytes());
    let ledger = Trials::open(&folder, &about)?;
    let mut bench = Workbench::new(prepared, around, true);
    let float = torchscript::write(&prepared.inputs.model.graph, torchscript::Variant::FusedFloat);
    let float = float.map_err(|error| Failure::bug(error.to_string()))?;
    let mut float = backend::open(Request::float(Backend::Torch), &float)?;
    let of_float = held_out.judge(&mut *float)?;
    let mut search = Search {
        bench: &mut bench,
        judge,
        held_out: &held_out,
        float,
        ledger,
        wish,
        batch,
        began: clock::tick(),
        trials: Vec::new(),
        raced: Vec::new(),
        around,
    };
    stage(around, Stage::Calibrate, || {
        search.run()?;
        search.polish(&of_float)
    })?;
    let Search { trials, raced, .. } = search;
    let chosen = choose(&trials, &of_float, wish);
    let (samples, digest) = (held_out.count(), held_out.digest);
    Ok(Tuned { float: of_float, trials, raced, chosen, samples, digest, batch, wish: wish.clone(), folder })
}

/// `NAME.tuning` beside `NAME.toml`.
fn folder_of(manifest: &Path) -> PathBuf {
    manifest.with_extension("tuning")
}

/// The closest to the float network among those that are as asked and about as fast as the fastest of them.
fn choose(trials: &[Trial], float: &Outcome, wish: &Wish) -> Option<usize> {
    let fast = |trial: &Trial| trial.outcome.speedup();
    let asked = |trial: &Trial| {
        trial.outcome.lost_to(float) * 100.0 <= wish.max_drop * trial.outcome.samples as f64 + 1e-9
            && wish.min_speedup.is_none_or(|wanted| fast(trial) >= wanted)
    };
    let fit: Vec<usize> = (0..trials.len()).filter(|&at| asked(&trials[at])).collect();
    let fastest = fit.iter().map(|&at| fast(&trials[at])).fold(0.0, f64::max);
    let about_as_fast = fit.into_iter().filter(|&at| fast(&trials[at]) >= fastest * (1.0 - AS_FAST));
    about_as_fast.min_by(|&a, &b| trials[a].outcome.divergence.total_cmp(&trials[b].outcome.divergence))
}

struct Search<'a, 'b> {
    bench: &'a mut Workbench<'b>,
    judge: &'a Variant,
    held_out: &'a HeldOut,
    float: Box<dyn Session>,
    ledger: Trials,
    wish: &'a Wish,
    batch: usize,
    began: Instant,
    trials: Vec<Trial>,
    raced: Vec<Raced>,
    around: &'a Surroundings<'a>,
}

/// Seconds for a candidate and fused FP32 together.
const SECONDS: f64 = 0.4;

/// Step sets from the fastest to the most exact.
const LADDER: [&[Step]; 6] = [
    &[],
    &[Step::Equalize, Step::BoundWeights],
    &[Step::Equalize, Step::BoundWeights, Step::BiasCorrection],
    &[Step::Equalize, Step::FloatStem, Step::BoundWeights, Step::BiasCorrection],
    &[Step::Equalize, Step::FloatStem, Step::Fuse, Step::BoundWeights, Step::BiasCorrection],
    &[Step::Equalize, Step::ProductsOnly, Step::Fuse, Step::BoundWeights],
];

const OBSERVERS: [ObserverKind; 3] = [ObserverKind::Histogram, ObserverKind::Percentile, ObserverKind::Mse];

impl Search<'_, '_> {
    fn run(&mut self) -> Result<(), Failure> {
        for steps in LADDER {
            for observer in OBSERVERS {
                self.attempt(Candidate::of(Scheme { observer, steps: steps.to_vec(), ..Scheme::fx() }))?;
            }
        }
        self.kernels()?;
        // From the closest scheme that keeps depthwise convolutions in integers: blocks in float, alone and then
        // together, those that help most first.
        let Some(base) = self.closest(|candidate| !candidate.scheme.has(Step::ProductsOnly)) else { return Ok(()) };
        let base = self.trials[base].candidate.clone();
        let blocks = self.blocks(&base)?;
        let mut helped: Vec<(f64, Vec<String>)> = Vec::new();
        for name in blocks {
            let float = self.patterns(&name);
            if let Some(at) = self.attempt(Candidate { float: float.clone(), ..base.clone() })? {
                helped.push((self.trials[at].outcome.divergence, float));
            }
        }
        helped.sort_by(|a, b| a.0.total_cmp(&b.0));
        for count in 2..=helped.len().min(6) {
            let float = helped[..count].iter().flat_map(|(_, patterns)| patterns.clone()).collect();
            self.attempt(Candidate { float, ..base.clone() })?;
        }
        Ok(())
    }

    /// The best so far with learned rounding and biases corrected in turn, which cost time here and none when it runs.
    fn polish(&mut self, float: &Outcome) -> Result<(), Failure> {
        let Some(best) = choose(&self.trials, float, self.wish) else { return Ok(()) };
        let mut polished = self.trials[best].candidate.clone();
        polished.scheme.steps.retain(|step| *step != Step::BiasCorrection);
        polished.scheme.steps.extend([Step::AdaRound, Step::SequentialBiasCorrection]);
        polished.scheme = polished.scheme.in_order();
        self.attempt(polished)?;
        Ok(())
    }

    /// The closest scheme whose convolutions are calls of their own amid floats, with the fastest kernel of each.
    fn kernels(&mut self) -> Result<(), Failure> {
        let alone = |candidate: &Candidate| candidate.scheme.has(Step::ProductsOnly);
        let Some(base) = self.closest(alone).filter(|_| self.may_go_on()) else { return Ok(()) };
        let base = self.trials[base].candidate.clone();
        let raced = if let Some(known) = self.ledger.raced() {
            known
        } else {
            let rules = self.rules(&base)?;
            self.bench.except(rules.clone());
            let attempt = self.bench.carry_out(&base.scheme)?;
            let raced = kernels::race_all(&attempt, &rules, self.judge, &self.held_out.first(self.batch)?)?;
            self.ledger.keep_raced(&raced)?;
            raced
        };
        let forms: Vec<_> = raced.iter().filter_map(Raced::exception).collect();
        self.raced = raced;
        if !forms.is_empty() {
            self.attempt(Candidate { forms, ..base })?;
        }
        Ok(())
    }

    fn closest(&self, which: fn(&Candidate) -> bool) -> Option<usize> {
        let fit = (0..self.trials.len()).filter(|&at| which(&self.trials[at].candidate));
        fit.min_by(|&a, &b| self.trials[a].outcome.divergence.total_cmp(&self.trials[b].outcome.divergence))
    }

    fn blocks(&mut self, base: &Candidate) -> Result<Vec<String>, Failure> {
        self.bench.except(self.rules(base)?);
        let attempt = self.bench.carry_out(&base.scheme)?;
        let Some(quantization) = &attempt.quantization else { return Ok(Vec::new()) };
        Ok(units(&attempt.graph, quantization, block_of).into_iter().map(|(name, _)| name).collect())
    }

    /// The globs of a block's layers, as `[[quantize.layer]]` takes them.
    fn patterns(&self, block: &str) -> Vec<String> {
        let below = format!("{block}.*");
        let nodes = &self.bench.prepared().inputs.model.graph.nodes;
        let any = |pattern: &str| nodes.iter().any(|node| matches(pattern, &node.name));
        [block.to_owned(), below].into_iter().filter(|pattern| any(pattern)).collect()
    }

    /// Tries a candidate, or looks up what came of it; its place, unless the budget is spent.
    fn attempt(&mut self, candidate: Candidate) -> Result<Option<usize>, Failure> {
        interrupt::check()?;
        if !self.may_go_on() {
            return Ok(None);
        }
        let outcome = if let Some(known) = self.ledger.known(&candidate) {
            known
        } else {
            let outcome = self.measure(&candidate)?;
            self.ledger.keep(&candidate, &outcome)?;
            outcome
        };
        self.trials.push(Trial { candidate, outcome });
        let (done, total) = (self.trials.len(), self.wish.trials);
        self.around.events.emit(&Event::Progress { done, total, unit: "candidates" });
        Ok(Some(self.trials.len() - 1))
    }

    fn may_go_on(&self) -> bool {
        let late = self.wish.budget.is_some_and(|budget| self.began.elapsed() > budget);
        self.trials.len() < self.wish.trials && !late
    }

    /// The manifest's exceptions and then a candidate's own, by node.
    fn rules(&self, candidate: &Candidate) -> Result<Vec<LayerRule>, Failure> {
        let prepared = self.bench.prepared();
        let own = prepared.manifest().quantize.layer.iter().cloned();
        let all: Vec<LayerOverride> = own.chain(candidate.layers()).collect();
        inspect::rules(&prepared.inputs.model.graph, &all).map_err(|(_, problem)| problem.into())
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Outcome, Failure> {
        self.bench.except(self.rules(candidate)?);
        let attempt = self.bench.carry_out(&candidate.scheme)?;
        let Some(quantization) = &attempt.quantization else {
            return Err(Failure::bug("nothing was quantized, and nothing can be judged"));
        };
        let int8 = codec::Form::Int8(quantization);
        let mut session = open(Request::from(self.judge), &attempt.graph, int8)?;
        let judged = self.held_out.judge(&mut *session)?;
        let runners = [&mut session, &mut self.float];
        let [milliseconds, float_milliseconds] = race(runners, &self.held_out.first(self.batch)?, SECONDS)?;
        Ok(Outcome { milliseconds, float_milliseconds, ..judged })
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |stem| name.starts_with(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(right: usize, divergence: f64, milliseconds: f64) -> Trial {
        let outcome = Outcome { right, samples: 1000, divergence, milliseconds, float_milliseconds: 10.0, agreeing: 0 };
        Trial { candidate: Candidate::of(Scheme::fx()), outcome }
    }

    #[test]
    fn the_closest_of_the_fastest_that_hold_the_limit_is_chosen() {
        let float = trial(900, 0.0, 10.0).outcome;
        let wish = Wish { max_drop: 0.5, min_speedup: None, trials: 9, budget: None, samples: 1000 };
        // Fast but too wrong; fast; as fast and closer; close and slow.
        let trials = [trial(880, 0.5, 2.0), trial(896, 0.1, 4.0), trial(897, 0.05, 4.1), trial(900, 0.01, 8.0)];
        assert_eq!(choose(&trials, &float, &wish), Some(2));
        assert_eq!(choose(&trials, &float, &Wish { min_speedup: Some(4.0), ..wish.clone() }), None);
        assert_eq!(choose(&trials, &float, &Wish { max_drop: 0.0, ..wish }), Some(3));
    }
}
