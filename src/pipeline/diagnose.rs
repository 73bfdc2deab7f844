//! Assembles the facts of the run into a record and judges it.

mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::attribute::Attributed;
use super::benchmark::{Benchmarked, Footprint, Measurement};
use super::calibrate::Calibrated;
use super::evaluate::{Answers, Apart, Evaluated};
use super::prepare::Prepared;
use crate::backend::{self, Availability, Request};
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::finding::Verdict;
use crate::base::rng::Stream;
use crate::dataset::Chosen;
use crate::diagnose::{self as judge, goals};
use crate::inspect::DataInputs;
use crate::manifest;
use crate::measure::summary;
use crate::record::Record;
use crate::record::format::{
    Agreement, Comparison, DatasetFacts, FORMAT, Inputs, Measured, Memory, Outcome, Run, RuntimeFacts, SubsetFacts,
    TimingCheck, ValueFacts, VariantResult,
};
use crate::stats::paired::PairedCounts;
use crate::stats::{bootstrap, proportion};

/// The libtorch that the tch of this build was written for.
const LIBTORCH_TESTED: &str = "2.11.0";

/// A judged run.
pub(super) struct Diagnosed {
    pub benchmarked: Benchmarked,
    pub record: Record,
}

pub(super) fn diagnose(attributed: Attributed) -> Diagnosed {
    let Attributed { benchmarked, attribution } = attributed;
    let evaluated = &benchmarked.evaluated;
    let quantized = &evaluated.quantized;
    let prepared = &quantized.calibrated.prepared;
    let manifest = &prepared.resolved.manifest;
    let mut record = Record {
        format: FORMAT.to_owned(),
        requant: env!("CARGO_PKG_VERSION").to_owned(),
        run: run_facts(prepared),
        verdict: Verdict::Inconclusive,
        goals: Vec::new(),
        findings: Vec::new(),
        inputs: inputs(&quantized.calibrated),
        network: facts::network(quantized),
        quantization: facts::quantization(quantized),
        attribution,
        agreements: agreements(evaluated),
        variants: (0..manifest.variant.len()).map(|index| variant(&benchmarked, index)).collect(),
        runtime: runtime(prepared.reference),
        host: benchmarked.host.clone(),
        provenance: Some(prepared.provenance.clone()),
        conditions: Some(benchmarked.conditions.clone()),
        settings: manifest.clone(),
        files: BTreeMap::new(),
    };
    record.goals = goals::judge(&record);
    record.findings = judge::findings(&record);
    record.verdict = goals::verdict(&record);
    Diagnosed { record, benchmarked }
}

fn run_facts(prepared: &Prepared) -> Run {
    let resolved = &prepared.resolved;
    Run {
        id: prepared.draft.id().to_owned(),
        started: clock::stamp(prepared.started),
        finished: clock::stamp(clock::now()),
        manifest_path: shown_path(&resolved.path),
        manifest: Digest::of(resolved.text.as_bytes()),
        resolved: resolved.digest(),
        overrides: resolved.overrides.clone(),
        repeats: prepared.repeats.clone(),
    }
}

/// A path as seen from the working folder: an absolute one would tell about the machine, and mean nothing on another.
fn shown_path(path: &Path) -> String {
    let own = || std::env::current_dir().ok().map(|home| manifest::relative(&home, path));
    let name = || path.file_name().map_or_else(|| path.to_owned(), PathBuf::from);
    let shown = if path.is_absolute() { own().unwrap_or_else(name) } else { path.to_owned() };
    shown.to_string_lossy().into_owned()
}

fn inputs(calibrated: &Calibrated) -> Inputs {
    let Calibrated { prepared, looks, .. } = calibrated;
    let classes = prepared.inputs.data.source.classes();
    let subset = |chosen: &Chosen, sha256: Digest, numbers: Option<ValueFacts>| SubsetFacts {
        samples: chosen.entries.len(),
        sha256,
        per_class: chosen.per_class(classes.len()),
        numbers,
    };
    let DataInputs { calibration, evaluation, .. } = &prepared.inputs.data;
    let batch_size = prepared.resolved.manifest.calibration.batch_size;
    let seen: BTreeSet<Digest> = calibration.digests.iter().copied().collect();
    let twins = prepared.album.twins(calibration, evaluation);
    Inputs {
        model: prepared.inputs.model.facts.clone(),
        dataset: DatasetFacts {
            sha256: prepared.inputs.data.sha256,
            classes: classes.to_vec(),
            passed_over: prepared.inputs.data.source.passed_over(),
            turned: calibration.turned() + evaluation.turned(),
        },
        calibration: subset(calibration, calibration.digest_in_batches(batch_size), looks.calibration.clone()),
        template: Digest::of(prepared.inputs.template.as_bytes()).into(),
        evaluation: subset(evaluation, evaluation.digest(), looks.evaluation.clone()),
        shared_samples: evaluation.digests.iter().filter(|digest| seen.contains(*digest)).count(),
        shared_pictures: twins.same.len(),
        look_alikes: twins.alike.len(),
    }
}

fn runtime(reference: Request) -> RuntimeFacts {
    let backend::Runtime { libtorch, cpu_capability, threads, build, environment } = backend::runtime();
    RuntimeFacts {
        reference: backend::library_of(reference.backend),
        is_reference_tested: backend::is_tested(reference.backend),
        libtorch,
        libtorch_tested: LIBTORCH_TESTED.to_owned(),
        cpu_capability,
        threads,
        build,
        environment,
    }
}

fn variant(benchmarked: &Benchmarked, index: usize) -> VariantResult {
    let prepared = &benchmarked.evaluated.quantized.calibrated.prepared;
    let manifest = &prepared.resolved.manifest;
    let variant = &manifest.variant[index];
    let outcome = match (&prepared.inputs.availability[index], &benchmarked.evaluated.answers[index]) {
        (Availability::Missing { why, remedy }, _) => Outcome::Missing { reason: why.clone(), remedy: remedy.clone() },
        (_, Answers::Failed(reason)) => failed(benchmarked, index, reason),
        (_, _) => measured(benchmarked, index),
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

fn failed(benchmarked: &Benchmarked, index: usize, reason: &str) -> Outcome {
    let artefact = benchmarked.evaluated.quantized.artefacts[index].clone();
    Outcome::Failed { reason: reason.to_owned(), artefact }
}

fn measured(benchmarked: &Benchmarked, index: usize) -> Outcome {
    let failed = |reason: &str| failed(benchmarked, index, reason);
    let evaluated = &benchmarked.evaluated;
    let manifest = &evaluated.quantized.calibrated.prepared.resolved.manifest;
    let Some(measurement) = &benchmarked.measurements[index] else { return failed("it was not measured") };
    if let Some(reason) = &measurement.failed {
        return failed(reason);
    }
    let (Some(artefact), Some(right)) = (&evaluated.quantized.artefacts[index], right_answers(evaluated, index)) else {
        return failed("it gave no answers");
    };
    let correct = right.iter().filter(|right| **right).count();
    let Some(accuracy) = proportion::wilson(correct, right.len()) else { return failed("there were no samples") };
    let baseline = manifest.baseline();
    // What failed half way is nothing to compare with.
    let whole = benchmarked.measurements[baseline].as_ref().filter(|measurement| measurement.failed.is_none());
    let compared = whole.filter(|_| index != baseline);
    let theirs = compared.map(|baseline| baseline.timings.as_slice());
    let name = &manifest.variant[index].name;
    let timed = manifest.variant[index].timed_at(&manifest.benchmark);
    let latency = |&batch: &usize| summary::latency(&measurement.timings, theirs, batch, name);
    let (engine, undefined) = match &evaluated.answers[index] {
        Answers::Given { engine, undefined, .. } => (*engine, *undefined),
        Answers::Missing | Answers::Failed(_) => (None, 0),
    };
    Outcome::Measured(Box::new(Measured {
        artefact: artefact.clone(),
        library: backend::library_of(manifest.variant[index].backend),
        engine,
        correct,
        correct_if_relabelled: relabelled(evaluated, index),
        undefined,
        accuracy,
        against_baseline: compared.and_then(|_| compare(evaluated, baseline, index)),
        latency: timed.iter().filter_map(latency).collect(),
        memory: memory(&measurement.memory, name),
        timing_checks: timed.iter().map(|&batch| timing_check(measurement, batch)).collect(),
    }))
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

/// Whether each answer of a variant is the sample's label.
fn right_answers(evaluated: &Evaluated, index: usize) -> Option<Vec<bool>> {
    let Answers::Given { predictions, .. } = &evaluated.answers[index] else { return None };
    let entries = &evaluated.quantized.calibrated.prepared.inputs.data.evaluation.entries;
    Some(predictions.predictions.iter().zip(entries).map(|(answer, entry)| answer.class == entry.class).collect())
}

/// Fewer samples of a label say nothing of the class that it is put into.
const FEWEST: usize = 5;

/// How many answers are right once each class has the label that it mostly stands for, each label once: the
/// largest cells of the table of labels and answers first.
fn relabelled(evaluated: &Evaluated, index: usize) -> usize {
    let Answers::Given { predictions, .. } = &evaluated.answers[index] else { return 0 };
    let entries = &evaluated.quantized.calibrated.prepared.inputs.data.evaluation.entries;
    let mut cells: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (answer, entry) in predictions.predictions.iter().zip(entries) {
        *cells.entry((entry.class, answer.class)).or_default() += 1;
    }
    let mut cells: Vec<((usize, usize), usize)> = cells.into_iter().collect();
    // A class stands for another label where most of that label's samples, and not only a few, are put into it.
    let of_label = |wanted: usize| entries.iter().filter(|entry| entry.class == wanted).count();
    cells.retain(|&((label, class), count)| label == class || (count >= FEWEST && 2 * count > of_label(label)));
    cells.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let (mut labels, mut classes) = (BTreeSet::new(), BTreeSet::new());
    let mut free = |&((label, class), _): &((usize, usize), usize)| {
        !labels.contains(&label) && !classes.contains(&class) && labels.insert(label) && classes.insert(class)
    };
    cells.into_iter().filter(|cell| free(cell)).map(|(_, count)| count).sum()
}

/// Of every pair of variants of one precision that both answered.
fn agreements(evaluated: &Evaluated) -> Vec<Agreement> {
    let variants = &evaluated.quantized.calibrated.prepared.resolved.manifest.variant;
    let of =
        |(&(first, second), Apart { difference: largest_difference, logit, parting }): (&(usize, usize), &Apart)| {
            let Comparison { difference, agreeing, counts, .. } = compare(evaluated, first, second)?;
            Some(Agreement {
                first: variants[first].name.clone(),
                second: variants[second].name.clone(),
                precision: variants[first].precision,
                agreeing,
                samples: counts.both_right + counts.only_first + counts.only_second + counts.both_wrong,
                largest_difference: *largest_difference,
                largest_logit: *logit,
                difference,
                parting: parting.clone(),
            })
        };
    evaluated.apart.iter().filter_map(of).collect()
}

fn compare(evaluated: &Evaluated, baseline: usize, index: usize) -> Option<Comparison> {
    let (first, second) = (right_answers(evaluated, baseline)?, right_answers(evaluated, index)?);
    let mut counts = PairedCounts::default();
    first.iter().zip(&second).for_each(|(&first, &second)| counts.add(first, second));
    let (Answers::Given { predictions: theirs, .. }, Answers::Given { predictions: own, .. }) =
        (&evaluated.answers[baseline], &evaluated.answers[index])
    else {
        return None;
    };
    let agreeing = theirs.predictions.iter().zip(&own.predictions).filter(|(a, b)| a.class == b.class).count();
    Some(Comparison { difference: counts.difference()?, p_value: counts.mcnemar(), agreeing, counts })
}
