//! A run: prepare → calibrate → quantize → evaluate → benchmark → attribute → diagnose →
//! record → render. One file per stage; each takes what was prepared and what the stages before it came to.

mod calibrate;
mod diagnose;
mod evaluate;
mod prepare;
mod quantize;
mod record;
mod render;

use std::path::PathBuf;

use crate::base::explain::Failure;
use crate::bench::{self, Ahead, Benchmarked};
use crate::manifest::Resolved;
use crate::record::Record;
use crate::record::format::Attribution;
use crate::search::attribute::{self, Case, Loss};
use crate::task::Outputs;
use crate::workbench::event::Stage;
use crate::workbench::{Prepared, Surroundings, stage};

use calibrate::Calibrated;
use evaluate::{Answers, Evaluated};
use quantize::Quantized;

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    pub record: Record,
    pub folder: PathBuf,
}

/// Executes a resolved manifest from its model to its report.
pub fn run(resolved: Resolved, around: &Surroundings<'_>) -> Result<Finished, Failure> {
    let prepared = prepare(resolved, around)?;
    let calibrated = stage(around, Stage::Calibrate, || calibrate::calibrate(&prepared, around))?;
    let quantized = stage(around, Stage::Quantize, || quantize::quantize(&prepared, &calibrated))?;
    let (evaluated, benches) = stage(around, Stage::Evaluate, || {
        let ahead = Ahead::start(&prepared, &quantized.artefacts, around);
        let evaluated = evaluate::evaluate(&prepared, &calibrated, &quantized, around)?;
        let benches = ahead.benches(evaluated.answers.iter().map(Answers::expected));
        Ok((evaluated, benches))
    })?;
    let benchmarked =
        stage(around, Stage::Benchmark, || bench::benchmark(&prepared, &evaluated.samples, benches, around))?;
    let attribution =
        stage(around, Stage::Attribute, || attribute(&prepared, &calibrated, &quantized, &evaluated, around))?;
    let outcomes = Outcomes { calibrated, quantized, evaluated, benchmarked, attribution };
    let record = stage(around, Stage::Diagnose, || Ok(diagnose::diagnose(&prepared, &outcomes)))?;
    let record = stage(around, Stage::Record, || record::record(&prepared, record, outcomes))?;
    stage(around, Stage::Render, || render::render(prepared, record))
}

/// Looks at everything before anything is computed.
pub fn prepare(resolved: Resolved, around: &Surroundings<'_>) -> Result<Prepared, Failure> {
    stage(around, Stage::Prepare, || prepare::prepare(resolved, around))
}

/// What the stages between the first and the record came to.
struct Outcomes {
    calibrated: Calibrated,
    quantized: Quantized,
    evaluated: Evaluated,
    benchmarked: Benchmarked,
    attribution: Option<Attribution>,
}

/// Where the judge and the baseline both answered, what they lost is looked into.
fn attribute(
    prepared: &Prepared,
    calibrated: &Calibrated,
    quantized: &Quantized,
    evaluated: &Evaluated,
    around: &Surroundings<'_>,
) -> Result<Option<Attribution>, Failure> {
    let Some((place, judge)) = prepared.judge() else { return Ok(None) };
    let (Some(float), Some(int8), Some(artefact)) = (
        evaluated.answers[prepared.manifest().baseline()].given(),
        evaluated.answers[place].given(),
        &quantized.artefacts[place],
    ) else {
        return Ok(None);
    };
    let loss = match &prepared.inputs.model.outputs {
        Outputs::Scores { .. } => Loss::Classes { float: &float.answers, int8: &int8.answers },
        Outputs::Tensors(_) => Loss::Outputs { closeness: &int8.closeness },
    };
    let case = Case { attempt: &calibrated.attempt, artefact: artefact.sha256, judge, loss };
    attribute::attribute(prepared, &case, around)
}
