//! Do the kernels compute what the integers say? On CPUs without VNNI pairs of products are added in 16 bits.

use super::{Case, integers_lost};
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::{Change, Followed, Parts};

/// The kernels lose more than their arithmetic should where divergence is this many times that of the same
/// integers in float arithmetic, and by this much, in nats.
const TIMES: f64 = 1.5;
const MORE: f64 = 0.005;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("saturation", "Do the kernels compute what the integers say?");
    let Some(Parts { both, kernels, .. }) = &record.quantization.parts else {
        let because = if record.runtime.reference.is_some() {
            ", nothing was quantized, or no INT8 variant of the backend that calibrates ran"
        } else {
            ", or nothing was quantized"
        };
        case.note(format!("not looked at: `record.evidence` is off{because}"));
        return case.close();
    };
    let told = |followed: &Followed| {
        format!("{:.4} nats, {} of {} agree", followed.divergence, followed.agreeing, followed.samples)
    };
    let evidence = format!("in float arithmetic: {}; in the kernels: {}", told(both), told(kernels));
    if kernels.divergence <= TIMES * both.divergence || kernels.divergence - both.divergence <= MORE {
        case.note(evidence);
        return case.close();
    }
    let verdict = if integers_lost(record) { Verdict::Fail } else { Verdict::Pass };
    let remedy = if record.settings.quantize.reduce_range == Some(false) {
        "remove `quantize.reduce_range = false`, or add \"bound-weights\" to `quantize.steps`"
    } else if record.runtime.reference.is_some() {
        "add \"bound-weights\" to `quantize.steps`"
    } else {
        "add \"bound-weights\" to `quantize.steps`, or choose another `engine`"
    };
    case.against(verdict, format!("products leave 16 bits: {evidence}"), remedy);
    case.weigh(record, &[Change::FloatArithmetic]);
    case.close()
}
