//! The result of each variant, and how the results compare.

use crate::backend::{self, Availability};
use crate::base::explain::{Cause, Diagnostic};
use crate::base::rng::Stream;
use crate::bench::{Benchmarked, Footprint, Measurement};
use crate::measure::summary;
use crate::pipeline::evaluate::{Answers, Apart, Evaluated, Given};
use crate::pipeline::quantize::Quantized;
use crate::record::format::{
    Agreement, Classified, Comparison, Fidelity, Judged, Measured, Memory, Outcome, TimingCheck, VariantResult,
};
use crate::stats::bootstrap;
use crate::task::{Outputs, classification};
use crate::workbench::Prepared;

/// The variants of a run, with all that was done to them.
pub(super) struct Variants<'a> {
    pub prepared: &'a Prepared,
    pub quantized: &'a Quantized,
    pub evaluated: &'a Evaluated,
    pub benchmarked: &'a Benchmarked,
}

impl Variants<'_> {
    pub(super) fn result(&self, index: usize) -> VariantResult {
        let manifest = self.prepared.manifest();
        let variant = &manifest.variant[index];
        let outcome = match (&self.prepared.inputs.availability[index], &self.evaluated.answers[index]) {
            (Availability::Missing { why, remedy }, _) => {
                Outcome::Missing { reason: why.clone(), remedy: remedy.clone() }
            }
            (_, Answers::Failed(why)) => self.failed(index, why),
            (_, _) => self.measured(index),
        };
        VariantResult {
            name: variant.name.clone(),
            backend: variant.backend.to_string(),
            precision: variant.precision,
            device: variant.device,
            engine: variant.engine,
            memory_format: variant.memory_format,
            required: variant.required,
            baseline: index == manifest.baseline(),
            outcome,
        }
    }

    fn failed(&self, index: usize, why: &Diagnostic) -> Outcome {
        Outcome::Failed {
            reason: why.message.clone(),
            // What is requant's own fault has none but a report of it.
            remedy: why.next_step.clone().filter(|_| why.cause != Cause::Bug),
            artefact: self.quantized.artefacts[index].clone(),
        }
    }

    fn measured(&self, index: usize) -> Outcome {
        let failed = |reason: &str| self.failed(index, &Diagnostic::error(Cause::Bug, reason));
        let manifest = self.prepared.manifest();
        let Some(measurement) = &self.benchmarked.measurements[index] else { return failed("it was not measured") };
        if let Some(why) = &measurement.failed {
            return self.failed(index, why);
        }
        let (Some(artefact), Some(given)) = (&self.quantized.artefacts[index], self.evaluated.answers[index].given())
        else {
            return failed("it gave no answers");
        };
        let baseline = manifest.baseline();
        // What failed half way is nothing to compare with.
        let whole = self.benchmarked.measurements[baseline].as_ref().filter(|measurement| measurement.failed.is_none());
        let compared = whole.filter(|_| index != baseline);
        let theirs = compared.map(|baseline| baseline.timings.as_slice());
        let name = &manifest.variant[index].name;
        let timed = manifest.variant[index].timed_at(&manifest.benchmark);
        let latency = |&batch: &usize| summary::latency(&measurement.timings, theirs, batch, name);
        let Some(judged) = self.judged(index, given, compared.is_some()) else {
            return failed("there were no samples");
        };
        Outcome::Measured(Box::new(Measured {
            artefact: artefact.clone(),
            library: backend::library_of(manifest.variant[index].backend),
            engine: self.evaluated.answers[index].engine(),
            judged,
            latency: timed.iter().filter_map(latency).collect(),
            memory: memory(&measurement.memory, name),
            timing_checks: timed.iter().map(|&batch| timing_check(measurement, batch)).collect(),
        }))
    }

    /// By the task; against the baseline where that was measured and is another.
    fn judged(&self, index: usize, given: &Given, is_compared: bool) -> Option<Judged> {
        Some(match &self.prepared.inputs.model.outputs {
            Outputs::Scores { .. } => {
                let right: Vec<bool> = self.labelled(index)?.map(|(label, class)| label == class).collect();
                Judged::Classes(Classified {
                    correct: right.iter().filter(|right| **right).count(),
                    correct_if_relabelled: self.relabelled(index),
                    undefined: given.undefined,
                    accuracy: classification::accuracy(&right)?,
                    against_baseline: if is_compared {
                        self.compare(self.prepared.manifest().baseline(), index)
                    } else {
                        None
                    },
                })
            }
            Outputs::Tensors(names) => {
                let entries = &self.prepared.inputs.data.evaluation.entries;
                let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
                Judged::Outputs {
                    fidelity: if is_compared && given.closeness.iter().all(|all| all.len() == ids.len()) {
                        Fidelity::of(names, &ids, &given.closeness)
                    } else {
                        Fidelity::of_baseline(given.samples, given.undefined)
                    },
                }
            }
        })
    }

    /// The class of each sample, and the class that a variant puts it into.
    fn labelled(&self, index: usize) -> Option<impl Iterator<Item = (usize, usize)>> {
        let labels = self.prepared.inputs.data.evaluation.entries.iter().map(|entry| entry.class);
        Some(labels.zip(self.evaluated.answers[index].given()?.answers.iter().map(|answer| answer.class)))
    }

    fn relabelled(&self, index: usize) -> usize {
        let (labels, classes): (Vec<usize>, Vec<usize>) = self.labelled(index).into_iter().flatten().unzip();
        classification::right_if_relabelled(&labels, &classes)
    }

    fn compare(&self, first: usize, second: usize) -> Option<Comparison> {
        let pairs = self.labelled(first)?.zip(self.labelled(second)?);
        Comparison::of(pairs.map(|((label, a), (_, b))| (label == a, label == b, a == b)))
    }

    /// Of every pair of variants of one precision that both answered.
    pub(super) fn agreements(&self) -> Vec<Agreement> {
        let variants = &self.prepared.manifest().variant;
        let of = |(&(first, second), apart): (&(usize, usize), &Apart)| {
            let Apart { difference: largest_difference, logit, parting } = apart;
            let Comparison { difference, agreeing, counts, .. } = self.compare(first, second)?;
            Some(Agreement {
                first: variants[first].name.clone(),
                second: variants[second].name.clone(),
                precision: variants[first].precision,
                agreeing,
                samples: counts.n(),
                largest_difference: *largest_difference,
                largest_logit: *logit,
                difference,
                parting: parting.clone(),
            })
        };
        self.evaluated.apart.iter().filter_map(of).collect()
    }
}

fn memory(footprints: &[Footprint], name: &str) -> Memory {
    let estimate = |what: &str, pick: fn(&Footprint) -> Option<u64>| {
        let bytes: Vec<f64> = footprints.iter().filter_map(pick).map(|bytes| bytes as f64).collect();
        bootstrap::median(&bytes, Stream::named(0, &format!("{name} memory {what}")))
    };
    Memory {
        runtime: estimate("runtime", |footprint| footprint.runtime),
        loaded: estimate("loaded", |footprint| footprint.loaded),
        inference: estimate("inference", |footprint| footprint.inference),
        device_loaded: estimate("device loaded", |footprint| footprint.device_loaded),
        device_inference: estimate("device inference", |footprint| footprint.device_inference),
    }
}

fn timing_check(measurement: &Measurement, batch: usize) -> TimingCheck {
    let outputs = measurement.outputs.get(&batch).copied().unwrap_or_default();
    TimingCheck {
        batch,
        passes: outputs.passes,
        identical: outputs.identical,
        fresh_over_repeated: summary::fresh_over_repeated(&measurement.timings, batch),
        warm_ups: measurement.warm_ups,
        unsettled: measurement.unsettled,
    }
}
