//! Is the calibration set large, balanced, and apart from the evaluation set?

use super::{Case, some};
use crate::base::finding::{Finding, Verdict};
use crate::manifest::{Strategy, Task};
use crate::record::Record;
use crate::record::format::{Change, Inputs};

/// Below this many samples, ranges still move with the choice of samples; the advice of NNCF,
/// AIMET and MLPerf starts between 100 and 500.
const FEW_SAMPLES: usize = 100;

/// A class with less than this share of an even split is called under-represented.
const SPARSE_SHARE: f64 = 0.25;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("calibration", "Is the calibration data sufficient and separate?");
    let facts = &record.inputs.calibration;
    let counts = present(record);
    let even = facts.samples as f64 / counts.len().max(1) as f64;
    let each = || counts.iter().map(|(_, count)| *count);
    let (fewest, most) = (each().min().unwrap_or(0), each().max().unwrap_or(0));
    let (samples, batches) = (facts.samples, record.quantization.calibration_batches);
    case.note(if counts.is_empty() {
        format!("{samples} samples in {batches} batches")
    } else {
        format!("{samples} samples in {batches} batches, {fewest} to {most} of each of {} classes", counts.len())
    });
    let absent = record.inputs.dataset.classes.len() - counts.len();
    if absent > 0 {
        case.note(format!("{absent} classes that the model knows have no samples in either subset"));
    }
    if facts.samples < FEW_SAMPLES {
        let evidence = format!("fewer than {FEW_SAMPLES} samples");
        let next = if record.settings.calibration.strategy == Strategy::All {
            "add samples to the splits of `calibration`, or name another split there, until it has 300 or more"
        } else {
            "raise `calibration.samples` to 300 or more, and where its splits have fewer, add samples or name another split"
        };
        case.against(Verdict::Inconclusive, evidence, next);
    }
    if record.quantization.calibration_batches == 1 && facts.samples > 1 {
        case.note("all in one batch: nothing shows whether ranges had settled".into());
    } else {
        settling(&mut case, record);
    }
    let sparse: Vec<String> = counts
        .iter()
        .filter(|(_, count)| (*count as f64) < even * SPARSE_SHARE)
        .map(|(name, _)| (*name).clone())
        .collect();
    // Where no class is judged, none can be wronged.
    if !sparse.is_empty() && record.settings.task == Task::Classification {
        let evidence = format!("hardly any samples of {}", some(&sparse));
        case.against(Verdict::Fail, evidence, "set `calibration.strategy = \"stratified\"`");
    }
    case.explain(record, &[Change::Calibration]);
    separate(&mut case, record);
    case.close()
}

/// Whether samples are on both sides, by what is stored, by their pixels, and by what they look like.
fn separate(case: &mut Case, record: &Record) {
    let Inputs { shared_samples, shared_pictures, look_alikes, evaluation, .. } = &record.inputs;
    let of = evaluation.samples;
    let apart = "draw `calibration.splits` and `evaluation.splits` from different data";
    if *shared_samples > 0 {
        let evidence = format!("{shared_samples} of {of} evaluation samples are also calibration samples, by content");
        case.against(Verdict::Fail, evidence, apart);
    }
    if *shared_pictures > 0 {
        let evidence = format!(
            "{shared_pictures} of {of} evaluation samples show the same pixels as a calibration sample, in another file"
        );
        case.against(Verdict::Fail, evidence, apart);
    }
    if *look_alikes > 0 {
        let evidence = format!("{look_alikes} of {of} evaluation samples look like a calibration sample");
        case.against(Verdict::Pass, evidence, "look at the pairs that `requant check --deep` names");
    }
    if shared_samples + shared_pictures + look_alikes == 0 {
        case.note("no evaluation sample has the content of a calibration sample".into());
    }
}

/// Calibration samples of each class that either subset has samples of: a model may know more.
fn present(record: &Record) -> Vec<(&String, usize)> {
    let own = record.inputs.dataset.classes.iter().zip(&record.inputs.calibration.per_class);
    let both = own.zip(&record.inputs.evaluation.per_class);
    both.filter(|((_, own), other)| **own + **other > 0).map(|((name, own), _)| (name, *own)).collect()
}

/// How many tensors were still finding wider ranges towards the end.
fn settling(case: &mut Case, record: &Record) {
    let batches = record.quantization.calibration_batches;
    let seen: Vec<usize> =
        record.network.layers.iter().filter_map(|l| l.observed.as_ref()).map(|o| o.settled).collect();
    let late = seen.iter().filter(|&&settled| settled * 4 > batches * 3).count();
    if !seen.is_empty() && seen.iter().any(|settled| *settled > 0) {
        case.note(format!(
            "{late} of {} ranges still grew by a hundredth in the last quarter of the batches",
            seen.len()
        ));
    }
}
