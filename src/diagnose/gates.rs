//! Do gates and hard-swish have levels where they bend? Both are straight below −3 and above 3; one value far away
//! takes the levels from all that lies between.

use super::{Case, integers_lost, some};
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::{Change, Layer};

/// Fewer levels than this from −3 to 3 leave some steps instead of a curve. Trained networks have a few such
/// places and hardly lose by them, so it is a cause only where accuracy was lost.
const FEW: f64 = 16.0;

/// Operator, what to call it, and the change that undoes its loss.
const KINDS: [(&str, &str, Change); 2] = [
    ("Hardsigmoid", "squeeze-excite gates", Change::GatesInFloat),
    ("Hardswish", "hard-swish", Change::HardSwishInFloat),
];

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("gates", "Do gates and hard-swish keep their curve?");
    let bends = |kind: &str| -> Vec<(&Layer, f64)> {
        let own = record.network.layers.iter().filter(|layer| layer.operator == kind);
        own.filter_map(|layer| Some((layer, layer.bend_levels?))).collect()
    };
    let mut undone = Vec::new();
    for (kind, name, change) in KINDS {
        let found = bends(kind);
        let Some(least) = found.iter().map(|(_, levels)| *levels).reduce(f64::min) else { continue };
        case.note(format!("{name}: {least:.0} levels or more from −3 to 3 in {} places", found.len()));
        let coarse: Vec<String> =
            found.iter().filter(|(_, levels)| *levels < FEW).map(|(layer, _)| layer.name.clone()).collect();
        if coarse.is_empty() {
            continue;
        }
        let evidence =
            format!("{name}: fewer than {FEW:.0} levels for the curve in {}: {}", coarse.len(), some(&coarse));
        if integers_lost(record) {
            let remedy = "set `precision = \"fp32\"` for these and the layers before them in `quantize.layer`";
            case.against(Verdict::Fail, evidence, remedy);
            undone.push(change);
        } else {
            case.note(evidence);
        }
    }
    if case.finding.evidence.is_empty() {
        case.note("there are none in integers".into());
    }
    case.weigh(record, &undone);
    case.close()
}
