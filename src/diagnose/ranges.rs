//! Do a few outliers stretch a range, so that most values share few levels?

use super::{Case, integers_lost, some};
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::{Change, Layer, Usage};

/// Fewer levels than this for the central 99.9 % of the values, of 128 or 256, leave them coarse.
const FEW: usize = 24;

/// A share of the tensors that is no accident.
const MANY: f64 = 0.1;

/// Values that all lie on one side of 0 and spread by less than this share of their distance from it leave most levels,
/// which reach to 0, without a value.
const FAR: f64 = 0.25;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("ranges", "Do the observed ranges fit the values?");
    let used: Vec<(&Layer, &Usage)> =
        record.network.layers.iter().filter_map(|layer| Some((layer, layer.usage.as_ref()?))).collect();
    if used.is_empty() {
        case.note("not looked at: `record.evidence` is off, or nothing was quantized".into());
        return case.close();
    }
    let mut levels: Vec<usize> = used.iter().map(|(_, usage)| usage.levels).collect();
    levels.sort_unstable();
    case.note(format!(
        "the central 99.9 % of the values use {} levels in the median of {} tensors, {} at least",
        levels[levels.len() / 2],
        levels.len(),
        levels[0]
    ));
    let stretched: Vec<String> =
        used.iter().filter(|(_, usage)| usage.levels < FEW).map(|(layer, _)| layer.name.clone()).collect();
    if stretched.len() as f64 > MANY * used.len() as f64 {
        let verdict = if integers_lost(record) { Verdict::Fail } else { Verdict::Pass };
        let evidence = format!("fewer than {FEW} levels in {} tensors: {}", stretched.len(), some(&stretched));
        let remedy = "set `quantize.recipe = \"percentile\"`, or leave the outlying samples out of calibration";
        case.against(verdict, evidence, remedy);
    }
    case.weigh(record, &[Change::Percentile, Change::Calibration]);
    shifted(&mut case, record, &used);
    case.close()
}

/// Tensors whose values lie far from 0, from where integers begin.
fn shifted(case: &mut Case, record: &Record, used: &[(&Layer, &Usage)]) {
    let is_far = |layer: &Layer| {
        layer.observed.as_ref().is_some_and(|seen| {
            let (min, max) = (f64::from(seen.min), f64::from(seen.max));
            min * max > 0.0 && max - min < FAR * min.abs().max(max.abs())
        })
    };
    let mut far: Vec<&(&Layer, &Usage)> =
        used.iter().filter(|(layer, usage)| usage.levels < FEW && is_far(layer)).collect();
    far.sort_by_key(|(_, usage)| usage.levels);
    let names: Vec<String> = far.iter().map(|(layer, _)| layer.name.clone()).collect();
    if let Some((layer, usage)) = far.first()
        && let Some(seen) = &layer.observed
    {
        let evidence = format!(
            "values lie far from 0, from where integers begin, in {} of {} tensors ({}): those of `{}` from {} to {}, for which \
             {} levels are left",
            far.len(),
            used.len(),
            some(&names),
            layer.name,
            seen.min,
            seen.max,
            usage.levels
        );
        let remedy = "keep these tensors in float with `precision = \"fp32\"` in `quantize.layer`, or take the constant out of \
                      the model: what is added to all scores alike changes no answer";
        if integers_lost(record) || record.attribution.is_some() {
            case.against(Verdict::Fail, evidence, remedy);
        } else {
            case.note(evidence);
        }
    }
}
