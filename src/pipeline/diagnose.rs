//! Assembles the facts of the run into a record and judges it.

mod facts;
mod variants;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Outcomes;
use crate::backend::{self, Request};
use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::finding::Verdict;
use crate::dataset::Chosen;
use crate::diagnose::{self as judge, goals};
use crate::inspect::DataInputs;
use crate::manifest;
use crate::record::Record;
use crate::record::format::{DatasetFacts, FORMAT, Inputs, Run, RuntimeFacts, SubsetFacts, ValueFacts};
use crate::workbench::Prepared;
use crate::workbench::levels::Looks;
use variants::Variants;

/// The libtorch that the tch of this build was written for.
const LIBTORCH_TESTED: &str = "2.11.0";

pub(super) fn diagnose(prepared: &Prepared, outcomes: &Outcomes) -> Record {
    let Outcomes { calibrated, quantized, evaluated, benchmarked, attribution } = outcomes;
    let manifest = prepared.manifest();
    let variants = Variants { prepared, quantized, evaluated, benchmarked };
    let mut record = Record {
        format: FORMAT.to_owned(),
        requant: env!("CARGO_PKG_VERSION").to_owned(),
        run: run_facts(prepared),
        verdict: Verdict::Inconclusive,
        goals: Vec::new(),
        findings: Vec::new(),
        inputs: inputs(prepared, &calibrated.looks),
        network: facts::network(prepared, calibrated),
        quantization: facts::quantization(prepared, calibrated, quantized),
        attribution: attribution.clone(),
        agreements: variants.agreements(),
        variants: (0..manifest.variant.len()).map(|index| variants.result(index)).collect(),
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
    record
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

fn inputs(prepared: &Prepared, looks: &Looks) -> Inputs {
    let classes = prepared.inputs.data.source.classes();
    let subset = |chosen: &Chosen, sha256: Digest, numbers: Option<ValueFacts>| SubsetFacts {
        samples: chosen.entries.len(),
        sha256,
        per_class: chosen.per_class(classes.len()),
        numbers,
    };
    let DataInputs { calibration, evaluation, .. } = &prepared.inputs.data;
    let batch_size = prepared.manifest().calibration.batch_size;
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
