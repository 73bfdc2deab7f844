//! Do integers hold the weights?

use super::{Case, gained, integers_lost, some, to_equalize};
use crate::base::finding::{Finding, Verdict};
use crate::manifest::Granularity;
use crate::quantize::bias::ACCUMULATOR_BITS;
use crate::record::Record;
use crate::record::format::{Change, Layer, RoundingFacts};

/// In dB. Channels with a scale each keep 30 to 45 in trained networks; a scale for all channels of a depthwise
/// convolution leaves 10 to 25.
const COARSE: f64 = 25.0;

/// In nats. Integer weights alone stay within 0.001 of healthy networks.
const APART: f64 = 0.05;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("weights", "Do the integers hold the weights?");
    let weighted = || record.network.layers.iter().filter_map(|layer| Some((layer, layer.weight.as_ref()?)));
    let known: Vec<(&Layer, f64)> = weighted().filter_map(|(layer, weight)| Some((layer, weight.sqnr_db?))).collect();
    let Some(least) = known.iter().map(|(_, db)| *db).reduce(f64::min) else {
        case.note("no layer has integer weights".into());
        return case.close();
    };
    case.note(format!("{} layers with integer weights keep {least:.1} dB or more of signal to noise", known.len()));
    let coarse: Vec<String> =
        known.iter().filter(|(_, db)| *db < COARSE).map(|(layer, _)| layer.name.clone()).collect();
    let per_tensor = record.settings.quantize.weights == Some(Granularity::PerTensor);
    if !coarse.is_empty() {
        let verdict = if integers_lost(record) { Verdict::Fail } else { Verdict::Pass };
        let remedy = if per_tensor {
            "remove `quantize.weights = \"per-tensor\"`: channels then have a scale each"
        } else {
            let both = "set `precision = \"fp32\"` for these layers in `quantize.layer`, or add \"equalize\" to `quantize.steps`";
            to_equalize(record, both)
        };
        let scales = if per_tensor { "with one scale for all channels, " } else { "" };
        let evidence = format!("{scales}{} layers keep less than {COARSE} dB: {}", coarse.len(), some(&coarse));
        case.against(verdict, evidence, remedy);
        case.weigh(record, &[if per_tensor { Change::PerChannel } else { Change::FloatWeights }]);
    }
    if let Some(parts) = record.quantization.parts.as_ref().filter(|parts| parts.weights.divergence > APART) {
        let verdict = if integers_lost(record) { Verdict::Fail } else { Verdict::Pass };
        let evidence =
            format!("integer weights alone bring the network {:.3} nats from the float one", parts.weights.divergence);
        case.against(verdict, evidence, to_equalize(record, "add \"equalize\" to `quantize.steps`"));
        case.weigh(record, &[Change::FloatWeights, Change::PerChannel]);
    }
    let overflowing: Vec<String> = weighted()
        .filter(|(_, weight)| weight.bias_log2.is_some_and(|log2| log2 >= ACCUMULATOR_BITS))
        .map(|(layer, _)| layer.name.clone())
        .collect();
    if !overflowing.is_empty() {
        let evidence = format!(
            "biases beyond the accumulator's 32 bits, for the scales of their layer are too small: {}",
            some(&overflowing)
        );
        let remedy = "set `precision = \"fp32\"` in `quantize.layer` for these layers and all that reads them up to the next \
                      layers: channels with next to no weight and a large bias";
        // Where nothing reads such a channel, or little of it, nothing is lost, and undoing it gives nothing back.
        let surely_costs = gained(record, Change::OverflowInFloat).is_some_and(|(gained, _)| gained.low > 0.0);
        let fails = integers_lost(record) || surely_costs;
        case.against(if fails { Verdict::Fail } else { Verdict::Pass }, evidence, remedy);
        case.explain(record, &[Change::OverflowInFloat]);
    }
    let tried = record.quantization.trials.iter().filter_map(|trial| trial.rounding.as_ref());
    let cut = record.quantization.rounding.iter().chain(tried).find(|rounding| rounding.learned < rounding.layers);
    if let Some(RoundingFacts { learned, layers, .. }) = cut {
        let evidence = format!(
            "rounding was learned for {learned} of {layers} layers before the time was over: another machine comes to \
             something else"
        );
        case.against(Verdict::Pass, evidence, "raise `quantize.adaround.max_seconds`, or lower `iterations`");
    }
    case.close()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::format::{Attribution, Intervention};
    use crate::record::store;
    use crate::stats::Estimate;

    #[test]
    fn a_bias_beyond_the_accumulator_fails_a_run_only_where_it_costs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records/2.2.json");
        let mut record = store::read(&path).unwrap();
        record.network.layers.iter_mut().find_map(|layer| layer.weight.as_mut()).unwrap().bias_log2 = Some(40.0);
        let told = |record: &Record| {
            let found = check(record);
            assert!(found.evidence.iter().any(|line| line.contains("beyond the accumulator")), "{found:?}");
            found.verdict
        };
        assert_eq!(told(&record), Verdict::Pass, "nothing was surely lost");
        let tried = |change, low: f64| {
            let estimate = Estimate { value: low + 0.005, low, high: low + 0.01, n: 512 };
            Intervention { change, target: None, nodes: Vec::new(), gained: estimate, agreement: estimate }
        };
        let undoing = |low| Attribution {
            variant: "int8_fbgemm_cpu".into(),
            samples: 512,
            disagreeing: 9,
            interventions: vec![tried(Change::Float, 0.01), tried(Change::OverflowInFloat, low)],
            exhausted: true,
        };
        record.attribution = Some(undoing(0.008));
        assert_eq!(told(&record), Verdict::Fail, "undoing it surely gives accuracy back");
        record.attribution = Some(undoing(-0.002));
        assert_eq!(told(&record), Verdict::Pass);
    }
}
