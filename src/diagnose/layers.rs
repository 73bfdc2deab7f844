//! Which layers carry the loss?

use super::Case;
use crate::base::finding::{Finding, Verdict};
use crate::base::units;
use crate::record::Record;
use crate::record::format::{Change, Intervention};

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("layers", "Which layers carry the loss?");
    let Some(attribution) = &record.attribution else {
        case.note("not looked for: nothing was surely lost, or `record.interventions` is 0".into());
        return case.close();
    };
    let best = |change: Change| {
        let tried = attribution.interventions.iter().filter(|tried| tried.change == change);
        tried.max_by(|a, b| a.gained.value.total_cmp(&b.gained.value))
    };
    let told = |tried: &Intervention| {
        let [value, low, high] =
            [tried.gained.value, tried.gained.low, tried.gained.high].map(|x| units::signed(x * 100.0, 2));
        format!("`{}` in float brings {value} points ({low} to {high})", tried.target.as_deref().unwrap_or("?"))
    };
    if let Some(alone) = best(Change::FloatActivations) {
        let value = units::signed(alone.gained.value * 100.0, 2);
        case.note(format!("activations in float bring {value} points, on {} samples", attribution.samples));
    }
    let sure = |tried: &&Intervention| tried.gained.low > 0.0;
    match (best(Change::BlockInFloat).filter(sure), best(Change::LayerInFloat).filter(sure)) {
        (None, None) => case.note("no block in float brings any accuracy back by itself".into()),
        (block, layer) => {
            block.into_iter().for_each(|block| case.note(told(block)));
            if let Some(layer) = layer.or(block) {
                let name = layer.target.as_deref().unwrap_or("?");
                let pattern = if layer.change == Change::BlockInFloat { format!("{name}.*") } else { name.to_owned() };
                let remedy = format!("`[[quantize.layer]] match = \"{pattern}\", precision = \"fp32\"`");
                case.against(Verdict::Pass, told(layer), &remedy);
            }
        }
    }
    case.close()
}
