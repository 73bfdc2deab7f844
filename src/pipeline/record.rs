//! Writes what the run found: the record, the settings, the tables.

use safetensors::tensor::{Dtype, TensorView};

use super::diagnose::Diagnosed;
use super::evaluate::Answers;
use super::prepare::Prepared;
use crate::base::explain::Failure;
use crate::record::Record;
use crate::record::store::Draft;
use crate::record::tables;

/// A run on disk, but for its report.
pub(super) struct Recorded {
    pub prepared: Prepared,
    pub record: Record,
}

pub(super) fn record(diagnosed: Diagnosed) -> Result<Recorded, Failure> {
    let Diagnosed { record, benchmarked } = diagnosed;
    let evaluated = benchmarked.evaluated;
    let prepared = evaluated.quantized.calibrated.prepared;
    let draft = &prepared.draft;
    draft.put("manifest.toml", prepared.resolved.text.as_bytes())?;
    draft.put("resolved.toml", prepared.resolved.written_out.as_bytes())?;
    draft.put("record.json", &record.written().map_err(|error| bug(&error))?)?;
    draft.put("metrics.csv", &tables::metrics(&record))?;
    draft.put("layers.csv", &tables::layers(&record))?;
    let data = &prepared.inputs.data;
    for (name, chosen) in [("calibration", &data.calibration), ("evaluation", &data.evaluation)] {
        draft.put(&format!("subsets/{name}.txt"), chosen.listing().as_bytes())?;
        draft.put(&format!("subsets/{name}.sha256"), chosen.sums().as_bytes())?;
    }

    let samples: Vec<_> = prepared.inputs.data.evaluation.entries.iter().map(|e| (e.id.clone(), e.class)).collect();
    let mut answered = Vec::new();
    for (variant, answers) in prepared.resolved.manifest.variant.iter().zip(evaluated.answers) {
        if let Answers::Given { predictions, logits, classes, .. } = answers {
            put_logits(draft, &variant.name, &logits, classes)?;
            answered.push(predictions);
        }
    }
    draft.put("predictions.csv", &tables::predictions(&record.inputs.dataset.classes, &samples, &answered))?;

    let names = prepared.resolved.manifest.variant.iter().map(|variant| variant.name.clone());
    let timings = benchmarked.measurements.into_iter().map(|m| m.unwrap_or_default().timings);
    draft.put("latency.csv", &tables::latency(&names.zip(timings).collect::<Vec<_>>()))?;
    Ok(Recorded { record, prepared })
}

fn put_logits(draft: &Draft, variant: &str, logits: &[f32], classes: usize) -> Result<(), Failure> {
    if logits.is_empty() || classes == 0 {
        return Ok(());
    }
    let bytes: Vec<u8> = logits.iter().flat_map(|x| x.to_le_bytes()).collect();
    let shape = vec![logits.len() / classes, classes];
    let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(|error| bug(&error))?;
    let file = safetensors::serialize([("logits", view)], None).map_err(|error| bug(&error))?;
    Ok(draft.put(&format!("logits/{variant}.safetensors"), &file)?)
}

fn bug(error: &dyn std::fmt::Display) -> Failure {
    Failure::bug(error.to_string())
}
