//! Was every tensor that needs a range observed, and did it show one?

use super::{Case, has_integers, some};
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("observers", "Did every observer see its tensor?");
    if !has_integers(record) {
        case.note("no variant asks for INT8".into());
        return case.close();
    }
    let facts = &record.quantization;
    let observed = record.network.layers.iter().filter(|layer| layer.observed.is_some()).count();
    case.note(format!(
        "{} observers watched {observed} tensors over {} calibration batches",
        facts.observers, facts.calibration_batches
    ));
    let all_in_float = record.network.int8_modules.is_empty();
    if facts.observers == 0 && !all_in_float {
        case.against(
            Verdict::Fail,
            "no tensor was observed".into(),
            "check `quantize.layer`: every layer may be excepted",
        );
    }
    if !facts.dead_observers.is_empty() {
        case.against(
            Verdict::Fail,
            format!("constant or unseen: {}", some(&facts.dead_observers)),
            "calibrate with varied images, or set `precision = \"fp32\"` for these layers",
        );
    }
    let not_finite: u64 = record.network.layers.iter().filter_map(|l| l.observed.as_ref()).map(|o| o.not_finite).sum();
    if not_finite > 0 {
        case.against(
            Verdict::Fail,
            format!("{not_finite} infinite or undefined values were seen and left out"),
            "check the model and `dataset.preprocess`: a healthy network computes finite numbers",
        );
    } else {
        case.note("every observed value was finite".into());
    }
    case.close()
}
