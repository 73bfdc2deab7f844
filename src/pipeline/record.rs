//! Writes what the run found: the settings, the tables, and the record that has their digests.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, TensorView};

use super::Outcomes;
use super::evaluate::Given;
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::base::files::FileError;
use crate::record::Record;
use crate::record::store::Draft;
use crate::record::tables;
use crate::task::Outputs;
use crate::workbench::Prepared;

/// Writes the run but for its report.
pub(super) fn record(prepared: &Prepared, mut record: Record, outcomes: Outcomes) -> Result<Record, Failure> {
    let Outcomes { calibrated, evaluated, benchmarked, .. } = outcomes;
    let mut files = Files { draft: &prepared.draft, digests: BTreeMap::new() };
    files.put("manifest.toml", prepared.resolved.text.as_bytes())?;
    files.put("resolved.toml", prepared.resolved.written_out.as_bytes())?;
    files.put("metrics.csv", &tables::metrics(&record))?;
    files.put("layers.csv", &tables::layers(&record))?;
    let attempt = &calibrated.attempt;
    if let Some(quantization) = &attempt.quantization {
        let weights = quantization.weights.iter();
        let scales = weights.map(|(id, int)| (attempt.graph.node(*id).name.as_str(), int.scales.as_slice()));
        files.put("scales.csv", &tables::scales(scales))?;
    }
    let data = &prepared.inputs.data;
    for (name, chosen) in [("calibration", &data.calibration), ("evaluation", &data.evaluation)] {
        files.put(&format!("subsets/{name}.txt"), chosen.listing().as_bytes())?;
        files.put(&format!("subsets/{name}.sha256"), chosen.sums().as_bytes())?;
    }

    let entries = &prepared.inputs.data.evaluation.entries;
    let samples: Vec<_> = entries.iter().map(|entry| (entry.id.clone(), entry.class)).collect();
    let given = prepared.manifest().variant.iter().zip(&evaluated.answers);
    let given: Vec<(&str, &Given)> =
        given.filter_map(|(variant, answers)| Some((variant.name.as_str(), answers.given()?))).collect();
    for (name, given) in &given {
        put_logits(&mut files, name, &given.numbers, given.width)?;
    }
    match &prepared.inputs.model.outputs {
        Outputs::Scores { .. } => {
            let answered: Vec<_> = given.iter().map(|(name, given)| (*name, given.answers.as_slice())).collect();
            let classes = &record.inputs.dataset.classes;
            files.put("predictions.csv", &tables::predictions(classes, &samples, &answered))?;
        }
        Outputs::Tensors(names) => {
            let compared: Vec<_> = given.iter().map(|(name, given)| (*name, given.closeness.as_slice())).collect();
            let ids: Vec<&str> = samples.iter().map(|(id, _)| id.as_str()).collect();
            files.put("fidelity.csv", &tables::fidelity(&record))?;
            files.put("outputs.csv", &tables::outputs(names, &ids, &compared))?;
        }
    }

    let names = prepared.manifest().variant.iter().map(|variant| variant.name.clone());
    let timings = benchmarked.measurements.into_iter().map(|m| m.unwrap_or_default().timings);
    files.put("latency.csv", &tables::latency(&names.zip(timings).collect::<Vec<_>>()))?;
    record.files = files.digests;
    prepared.draft.put("record.json", &record.written().map_err(|error| bug(&error))?)?;
    Ok(record)
}

/// The files of a draft and their digests.
struct Files<'a> {
    draft: &'a Draft,
    digests: BTreeMap<String, Digest>,
}

impl Files<'_> {
    fn put(&mut self, name: &str, content: &[u8]) -> Result<(), FileError> {
        self.digests.insert(name.to_owned(), Digest::of(content));
        self.draft.put(name, content)
    }
}

fn put_logits(files: &mut Files<'_>, variant: &str, logits: &[f32], classes: usize) -> Result<(), Failure> {
    if logits.is_empty() || classes == 0 {
        return Ok(());
    }
    let bytes: Vec<u8> = logits.iter().flat_map(|x| x.to_le_bytes()).collect();
    let shape = vec![logits.len() / classes, classes];
    let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(|error| bug(&error))?;
    let file = safetensors::serialize([("logits", view)], None).map_err(|error| bug(&error))?;
    Ok(files.put(&format!("logits/{variant}.safetensors"), &file)?)
}

fn bug(error: &dyn std::fmt::Display) -> Failure {
    Failure::bug(error.to_string())
}
