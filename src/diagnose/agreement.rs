//! Do engines agree on the same network? Two that round otherwise flip some answers; they do not lose accuracy.

use super::Case;
use crate::base::finding::{Finding, Verdict};
use crate::base::units;
use crate::manifest::{Choice as _, Precision, Step};
use crate::record::Record;
use crate::record::format::{Agreement, Parting};

/// Float engines order their sums differently, and no more: how far logits may lie apart for it, relative to the
/// largest. In FP32 that is hundreds of times what engines were seen to differ by.
fn rounding(precision: Precision) -> Option<f32> {
    let epsilon = precision.epsilon()?;
    Some(if precision.is_short() { 16.0 * epsilon } else { 1e-3 })
}

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("agreement", "Do engines agree on the same network?");
    for pair in &record.agreements {
        let evidence = told(pair);
        let allowed = rounding(pair.precision).map(|rounding| rounding * pair.largest_logit.max(1.0));
        match allowed {
            Some(allowed) if pair.largest_difference > allowed => {
                let remedy = format!(
                    "compare both engines on this model: one of them does not compute it in {}",
                    pair.precision.word().to_uppercase()
                );
                case.against(Verdict::Fail, evidence, &remedy);
            }
            None if pair.difference.low > 0.0 || pair.difference.high < 0.0 => {
                let remedy = if record.quantization.steps.contains(&Step::BoundWeights) {
                    "leave out the engine that lost, or look for the layer with `record.interventions`"
                } else {
                    "add \"bound-weights\" to `quantize.steps`, so that no engine leaves 16 bits"
                };
                case.against(Verdict::Fail, evidence, remedy);
            }
            _ => case.note(evidence),
        }
    }
    if record.agreements.is_empty() {
        case.note("no two variants compute the same network in one precision".into());
    }
    case.close()
}

fn told(pair: &Agreement) -> String {
    let Agreement { first, second, agreeing, samples, largest_difference, difference, parting, .. } = pair;
    let [value, low, high] = [difference.value, difference.low, difference.high].map(|x| units::signed(x * 100.0, 2));
    let told = format!(
        "`{second}` agrees with `{first}` on {agreeing} of {samples} samples, logits at most {largest_difference:.2e} \
         apart, {value} points ({low} to {high})"
    );
    match parting {
        Some(Parting { layer, operator, differing, most }) => {
            let share = units::percent(*differing);
            let levels = units::counted(*most, "level");
            format!("{told}; they part at `{layer}` ({operator}): {share} of its values, by {levels} at most")
        }
        None => told,
    }
}
