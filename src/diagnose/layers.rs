//! Which layers carry the loss?

use super::{Case, brought, remedy};
use crate::base::finding::{Finding, Verdict};
use crate::base::units;
use crate::manifest::Task;
use crate::record::Record;
use crate::record::format::{Change, Fidelity, Intervention, Measured};
use crate::stats::Estimate;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("layers", "Which layers carry the loss?");
    let Some(attribution) = &record.attribution else {
        let because = if record.runtime.reference.is_some() {
            ", `record.interventions` is 0, or no INT8 variant of the backend that calibrates ran"
        } else {
            ", or `record.interventions` is 0"
        };
        case.note(format!("not looked for: nothing was surely lost{because}"));
        return case.close();
    };
    let best = |change: Change| {
        let tried = attribution.interventions.iter().filter(|tried| tried.change == change);
        tried.max_by(|a, b| a.agreement.value.total_cmp(&b.agreement.value))
    };
    let told = |tried: &Intervention| {
        let told = |estimate: &Estimate| {
            let [value, low, high] = [estimate.value, estimate.low, estimate.high].map(|x| units::signed(x * 100.0, 2));
            format!("{value} points ({low} to {high})")
        };
        let name = tried.target.as_deref().unwrap_or("?");
        if record.settings.task == Task::Fidelity {
            return format!("`{name}` in float {}", brought(record, tried.gained));
        }
        let (agreement, accuracy) = (told(&tried.agreement), told(&tried.gained));
        format!("`{name}` in float brings {agreement} of agreement with the float network, {accuracy} of accuracy")
    };
    if let Some(worst) = judged(record).and_then(Fidelity::worst) {
        let db = worst.sqnr_db.map_or(0.0, |own| own.value);
        case.note(format!("of the outputs `{}` loses most: it keeps {db:.1} dB", worst.name));
    }
    if let Some(alone) = best(Change::FloatActivations).filter(|_| record.settings.task == Task::Fidelity) {
        case.note(format!("having activations in float {}", brought(record, alone.gained)));
    } else if let Some(alone) = best(Change::FloatActivations) {
        let value = units::signed(alone.gained.value * 100.0, 2);
        case.note(format!("activations in float bring {value} points, on {} samples", attribution.samples));
    }
    let sure = |tried: &&Intervention| tried.agreement.low > 0.0;
    match (best(Change::BlockInFloat).filter(sure), best(Change::LayerInFloat).filter(sure)) {
        (None, None) => case.note("no block in float brings the network closer to the float one by itself".into()),
        (block, layer) => {
            block.into_iter().for_each(|block| case.note(told(block)));
            if let Some(layer) = layer.or(block) {
                match remedy::cheapest(record) {
                    // Nothing is to be kept in float for what costs nothing.
                    Some(cure) if !matches!(cure.change, Change::LayerInFloat | Change::BlockInFloat) => {
                        case.note(told(layer));
                        case.note(format!("cheaper: {}", cure.told()));
                    }
                    _ => case.against(Verdict::Pass, told(layer), &remedy::instruction(layer)),
                }
            }
        }
    }
    case.close()
}

/// The outputs of the variant that was looked into.
fn judged(record: &Record) -> Option<&Fidelity> {
    let variant = &record.attribution.as_ref()?.variant;
    record.variants.iter().find(|own| own.name == *variant)?.measured().and_then(Measured::fidelity)
}
