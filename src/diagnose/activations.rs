//! Is it the activations' integers that carry the loss, and no cause with a name of its own?

use super::{Case, brought, integers_lost, is_explained, remedy, some, was_learned};
use crate::base::finding::{Finding, Verdict};
use crate::base::units;
use crate::manifest::Task;
use crate::record::Record;
use crate::record::format::{Change, Layer, Usage};

/// Tensors that are named.
const WORST: usize = 3;

/// Fewer levels than this for the central 99.9 % of the values, of 128 or 256: a few values far away take the others'.
const STRETCHED: usize = 24;

/// A tensor whose own rounding leaves less than this, in dB, is coarse, however its levels are used.
const COARSE: f64 = 20.0;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("activations", "Do the activations' integers carry the loss?");
    let Some((gained, loss)) = super::gained(record, Change::FloatActivations).filter(|(_, loss)| *loss > 0.0) else {
        case.note("not looked for: nothing was surely lost, or `record.interventions` is 0".into());
        return case.close();
    };
    let [value, low, high] = [gained.value, gained.low, gained.high].map(|x| units::signed(x * 100.0, 2));
    let brings = match record.settings.task {
        Task::Classification => {
            format!("activations in float bring {value} points ({low} to {high}) of {:.2}", loss * 100.0)
        }
        Task::Fidelity => format!("having activations in float {}", brought(record, gained)),
    };
    if gained.low <= loss / 2.0 || was_learned(record) {
        case.note(brings);
        return case.close();
    }
    worst(record).into_iter().for_each(|evidence| case.note(evidence));
    // Activations in float also take the integer kernels out: what float arithmetic brings is the kernels' loss.
    let by_kernels =
        super::gained(record, Change::FloatArithmetic).is_some_and(|(gained, loss)| gained.value > loss / 2.0);
    if by_kernels || is_explained(record) {
        // Another finding names what is wrong with them.
        case.note(brings);
        return case.close();
    }
    let cure = remedy::cheapest(record).map_or_else(|| remedy::next_experiment(record), |cure| cure.told());
    // A loss that may be less than a point, as the rounding of a healthy network costs, accuses nobody. Before 2.4 it did, and
    // `verify` derives the findings of older records again.
    let fails = integers_lost(record) || !record.is_since("2.4");
    let verdict = if fails { Verdict::Fail } else { Verdict::Pass };
    case.against(verdict, brings, &cure);
    case.finding.explains = Some(gained.value * 100.0);
    case.close()
}

/// The tensors that lose most by themselves, and why.
fn worst(record: &Record) -> Vec<String> {
    let known = record.network.layers.iter();
    let mut known: Vec<(&Layer, f64, Option<&Usage>)> = known
        .filter_map(|layer| Some((layer, layer.evidence.as_ref()?.local_sqnr_db?, layer.usage.as_ref())))
        .collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    let told = |(layer, db, usage): &(&Layer, f64, Option<&Usage>)| {
        let why = match usage.map(|usage| usage.levels) {
            Some(levels) if levels < STRETCHED => {
                format!("outliers leave the central 99.9 % of its values {levels} levels")
            }
            Some(levels) if *db < COARSE => format!("its values are spread so that {levels} levels are too few"),
            _ => "its levels are used well".to_owned(),
        };
        format!("{} keeps {db:.1} dB by itself: {why}", some(std::slice::from_ref(&layer.name)))
    };
    known.iter().take(WORST).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::format::{Attribution, Intervention, Judged, Outcome};
    use crate::stats::Estimate;

    /// The demo's run, as if its INT8 row had lost this much and activations in float had brought it back.
    fn lost(format: &str, points: f64, at_least: f64) -> Finding {
        let text = include_str!("../../results/digits/reference/record.json");
        let mut record: Record = serde_json::from_str(text).unwrap();
        record.format = format.to_owned();
        let of = |change, value: f64| {
            let gained = Estimate { value, low: value - 0.002, high: value + 0.002, n: 797 };
            Intervention { change, target: None, nodes: Vec::new(), gained, agreement: gained }
        };
        record.attribution = Some(Attribution {
            variant: "int8_fbgemm_cpu".into(),
            samples: 797,
            disagreeing: 50,
            interventions: vec![of(Change::Float, points), of(Change::FloatActivations, points)],
            exhausted: false,
        });
        let Outcome::Measured(measured) = &mut record.variants[1].outcome else { panic!("it ran") };
        let Judged::Classes(own) = &mut measured.judged else { panic!("it classifies") };
        let difference = &mut own.against_baseline.as_mut().unwrap().difference;
        (difference.value, difference.low, difference.high) = (-points, -2.0 * points, -at_least);
        check(&record)
    }

    #[test]
    fn a_loss_of_activations_fails_a_run_where_it_is_surely_more_than_a_point() {
        let small = lost("2.4", 0.017, 0.003);
        assert!(small.verdict == Verdict::Pass && !small.remedy.is_empty(), "{small:?}");
        assert_eq!(lost("2.4", 0.3, 0.25).verdict, Verdict::Fail);
        assert_eq!(lost("2.3", 0.017, 0.003).verdict, Verdict::Fail, "an older record is derived as it was");
    }
}
