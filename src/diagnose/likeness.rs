//! Do calibration samples look like evaluation samples, as numbers and inside the network?

use super::{Case, integers_lost, some};
use crate::base::finding::{Finding, Verdict};
use crate::base::units;
use crate::record::Record;
use crate::record::format::{Change, Layer, Usage, ValueFacts};

/// Means that differ by this share of the spread, or spreads by this factor, are those of other images: two
/// halves of one data set differ by a tenth.
const MEANS: f64 = 0.5;
const SPREADS: f64 = 1.5;

/// A tensor is calibrated for other values where evaluation clips this share of its own and this many times as
/// much as calibration does, or where it uses fewer levels than this share of calibration's.
const CLIPPED: f64 = 0.01;
const TIMES: f64 = 5.0;
const LEVELS: f64 = 0.4;

/// A share of the tensors that is no accident.
const MANY: f64 = 0.2;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("likeness", "Does the calibration data look like the evaluation data?");
    let (own, other) = (&record.inputs.calibration.numbers, &record.inputs.evaluation.numbers);
    if let (Some(own), Some(other)) = (own, other) {
        numbers(&mut case, record, own, other);
    } else {
        case.note("not looked at: `record.evidence` is off, or nothing was quantized".into());
    }
    let used: Vec<(&Layer, &Usage)> =
        record.network.layers.iter().filter_map(|layer| Some((layer, layer.usage.as_ref()?))).collect();
    if !used.is_empty() {
        ranges(&mut case, record, &used);
    }
    case.weigh(record, &[Change::Calibration]);
    case.close()
}

fn numbers(case: &mut Case, record: &Record, own: &ValueFacts, other: &ValueFacts) {
    let channels = own.mean.iter().zip(&own.std).zip(other.mean.iter().zip(&other.std));
    let apart = channels.map(|((own_mean, own_std), (mean, std))| {
        let spread = own_std.max(*std).max(f64::EPSILON);
        ((own_mean - mean).abs() / spread, spread / own_std.min(*std).max(f64::EPSILON))
    });
    let (shift, ratio) = apart.fold((0.0_f64, 1.0_f64), |(s, r), (shift, ratio)| (s.max(shift), r.max(ratio)));
    let evidence = format!("inputs: means {shift:.2} spreads apart, spreads {ratio:.2} times as wide, at most");
    if shift > MEANS || ratio > SPREADS {
        let verdict = if integers_lost(record) { Verdict::Fail } else { Verdict::Inconclusive };
        case.against(verdict, evidence, REMEDY);
    } else {
        case.note(evidence);
    }
}

const REMEDY: &str = "draw `calibration.splits` from data of the same source and preprocessing as `evaluation.splits`";

fn ranges(case: &mut Case, record: &Record, used: &[(&Layer, &Usage)]) {
    let clips =
        |usage: &Usage| usage.clipped_in_evaluation > CLIPPED && usage.clipped_in_evaluation > TIMES * usage.clipped;
    let idle = |usage: &Usage| (usage.levels_in_evaluation as f64) < LEVELS * usage.levels as f64;
    let named = |of: &dyn Fn(&Usage) -> bool| -> Vec<String> {
        used.iter().filter(|(_, usage)| of(usage)).map(|(layer, _)| layer.name.clone()).collect()
    };
    let (clipping, idling) = (named(&clips), named(&idle));
    let many = |names: &[String]| names.len() as f64 > MANY * used.len() as f64;
    let verdict = if integers_lost(record) { Verdict::Fail } else { Verdict::Inconclusive };
    if many(&clipping) {
        let most = used.iter().map(|(_, usage)| usage.clipped_in_evaluation).fold(0.0, f64::max);
        let evidence = format!(
            "{} of {} tensors leave their calibrated range on evaluation samples, up to {} of the values: {}",
            clipping.len(),
            used.len(),
            units::percent(most),
            some(&clipping)
        );
        case.against(verdict, evidence, REMEDY);
    }
    if many(&idling) {
        let evidence = format!(
            "{} of {} tensors use less than {:.0} % of the levels on evaluation samples that they use on calibration samples: {}",
            idling.len(),
            used.len(),
            LEVELS * 100.0,
            some(&idling)
        );
        case.against(verdict, evidence, REMEDY);
    }
    if !many(&clipping) && !many(&idling) {
        case.note(format!(
            "ranges: {} of {} tensors are used otherwise than in calibration",
            clipping.len() + idling.len(),
            used.len()
        ));
    }
}
