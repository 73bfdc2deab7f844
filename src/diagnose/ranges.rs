//! Do a few outliers stretch a range, so that most values share few levels?

use super::remedy::loss;
use super::{Case, NEXT_TO_NOTHING, gained, integers_lost, some};
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::{Change, Intervention, Layer, Usage};
use crate::stats::Estimate;

/// Fewer levels than this for the central 99.9 % of the values, of 128 or 256, leave them coarse.
const FEW: usize = 24;

/// A share of the tensors that is no accident.
const MANY: f64 = 0.1;

/// Values that all lie on one side of 0 and spread by less than this share of their distance from it leave most levels,
/// which reach to 0, without a value.
const FAR: f64 = 0.25;

/// The gain of a part in float is credited to its far tensors only if the part has at most this many nodes per far tensor.
const FEW_OTHERS: usize = 3;

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
    let mut far: Vec<&(&Layer, &Usage)> =
        used.iter().filter(|(layer, usage)| usage.levels < FEW && is_far(layer)).collect();
    far.sort_by_key(|(_, usage)| usage.levels);
    let names: Vec<String> = far.iter().map(|(layer, _)| layer.name.clone()).collect();
    let Some((layer, usage)) = far.first() else { return };
    let Some(seen) = &layer.observed else { return };
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
    let part = part_in_float(record, &names);
    let all_in_float = gained(record, Change::FloatActivations).map(|(gained, _)| gained);
    let brought = part.map(|part| part.gained).into_iter().chain(all_in_float);
    let is_cause = !brought.into_iter().any(|gained| is_next_to_nothing(record, &gained));
    let is_lost = integers_lost(record) || record.attribution.is_some();
    if is_cause && is_lost {
        case.against(Verdict::Fail, evidence, remedy);
    } else {
        case.note(evidence);
    }
    if let Some(part) = part {
        case.tried(
            record,
            &format!("`{}` in float", part.target.as_deref().unwrap_or("a part of the network")),
            part.gained,
        );
        // What a part with many other nodes brought may be theirs.
        if is_cause && part.nodes.len() <= FEW_OTHERS * names.len() {
            case.credit(part.gained);
        }
    }
}

fn is_far(layer: &Layer) -> bool {
    layer.observed.as_ref().is_some_and(|seen| {
        let (min, max) = (f64::from(seen.min), f64::from(seen.max));
        min * max > 0.0 && max - min < FAR * min.abs().max(max.abs())
    })
}

/// The smallest part of the network that contains all these nodes and was tried in float.
fn part_in_float<'a>(record: &'a Record, nodes: &[String]) -> Option<&'a Intervention> {
    let parts = record.attribution.iter().flat_map(|attribution| &attribution.interventions);
    let parts = parts.filter(|tried| matches!(tried.change, Change::LayerInFloat | Change::BlockInFloat));
    let containing = parts.filter(|tried| nodes.iter().all(|node| tried.nodes.contains(node)));
    containing.min_by_key(|tried| tried.nodes.len())
}

/// Whether what a change brought is surely next to nothing of what was lost.
fn is_next_to_nothing(record: &Record, gained: &Estimate) -> bool {
    loss(record).is_some_and(|loss| gained.high < NEXT_TO_NOTHING * loss)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::format::Attribution;
    use crate::record::store;

    /// The demo's run, as if the values of its last layer lay far from 0, and changes had brought these accuracies.
    fn shifted_run(changes: &[(Change, f64)]) -> (Record, String) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/results/digits/reference");
        let mut record = store::read(std::path::Path::new(path)).unwrap();
        let layer = record.network.layers.iter_mut().rev().find(|layer| layer.usage.is_some()).unwrap();
        layer.usage.as_mut().unwrap().levels = 2;
        let observed = layer.observed.as_mut().unwrap();
        (observed.min, observed.max) = (990.0, 1010.0);
        let name = layer.name.clone();
        let tried = |&(change, value): &(Change, f64)| {
            let gained = Estimate { value, low: value - 0.01, high: value + 0.01, n: 797 };
            let nodes = match change {
                Change::LayerInFloat | Change::BlockInFloat => vec![name.clone()],
                _ => Vec::new(),
            };
            let target = (!nodes.is_empty()).then(|| name.clone());
            Intervention { change, target, nodes, gained, agreement: gained }
        };
        record.attribution = Some(Attribution {
            variant: "int8_fbgemm_cpu".into(),
            samples: 797,
            disagreeing: 300,
            interventions: changes.iter().map(tried).collect(),
            exhausted: false,
        });
        (record, name)
    }

    #[test]
    fn values_far_from_zero_are_weighed_by_what_their_layer_brought_in_float() {
        let lost = (Change::Float, 0.4);
        let (record, name) = shifted_run(&[lost]);
        let unknown = check(&record);
        assert_eq!((unknown.verdict, unknown.explains), (Verdict::Fail, None));
        assert!(unknown.evidence.iter().any(|line| line.contains(&name)), "{unknown:?}");

        let cause = check(&shifted_run(&[lost, (Change::FloatActivations, 0.4), (Change::LayerInFloat, 0.39)]).0);
        assert_eq!((cause.verdict, cause.explains), (Verdict::Fail, Some(39.0)));

        let other = check(&shifted_run(&[lost, (Change::FloatActivations, 0.4), (Change::LayerInFloat, 0.01)]).0);
        assert_eq!((other.verdict, other.remedy.as_str(), other.explains), (Verdict::Pass, "", None));
        assert!(other.evidence.iter().any(|line| line.contains("far from 0")), "{other:?}");

        let weights = check(&shifted_run(&[lost, (Change::FloatActivations, 0.01)]).0);
        assert_eq!((weights.verdict, weights.explains), (Verdict::Pass, None));
        let both = check(&shifted_run(&[lost, (Change::FloatActivations, 0.01), (Change::LayerInFloat, 0.39)]).0);
        assert_eq!((both.verdict, both.explains), (Verdict::Pass, None));
    }
}
