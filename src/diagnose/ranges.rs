//! Do a few outliers stretch a range, so that most values share few levels?

use super::{Case, integers_lost, some};
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::{Change, Layer, Usage};

/// Fewer levels than this for the central 99.9 % of the values, of 128 or 256, leave them coarse.
const FEW: usize = 24;

/// A share of the tensors that is no accident.
const MANY: f64 = 0.1;

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
    case.close()
}
