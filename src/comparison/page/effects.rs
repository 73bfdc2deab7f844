//! What each axis does, and what seeds change.

use serde::Serialize;

use crate::base::units::{self, counted};
use crate::comparison::analysis::{self, Compared, Dimension, Measure};
use crate::grid::SweepRecord;
use crate::stats::sample;

#[derive(Serialize)]
pub(super) struct Sensitivity {
    axis: String,
    variant: String,
    rows: Vec<SensitivityRow>,
}

#[derive(Serialize)]
pub(super) struct SensitivityRow {
    value: String,
    points: usize,
    difference: String,
    paired: String,
    speedup: String,
}

#[derive(Serialize)]
pub(super) struct SeedLine {
    axis: String,
    variant: String,
    deviation: String,
    widest: String,
    groups: String,
}

pub(super) fn sensitivity(
    sweep: &SweepRecord,
    compared: &[Compared<'_>],
    dimensions: &[Dimension],
    measure: Measure,
) -> Vec<Sensitivity> {
    let mut found = Vec::new();
    for dimension in dimensions {
        for variant in analysis::variants(compared) {
            let effects = analysis::effects(sweep, compared, dimension, variant);
            let row = |(at, effect): (usize, &analysis::Effect)| SensitivityRow {
                value: effect.value.clone(),
                points: effect.differences.len(),
                difference: mean_and_range(&effect.differences, measure),
                paired: if at == 0 { "(the first)".to_owned() } else { paired(&effect.against_first, measure) },
                speedup: sample::mean(&effect.speedups).map_or_else(String::new, units::times),
            };
            let rows = effects.iter().enumerate().map(row).collect();
            found.push(Sensitivity { axis: dimension.label.clone(), variant: variant.to_owned(), rows });
        }
    }
    found
}

fn mean_and_range(differences: &[f64], measure: Measure) -> String {
    let Some(mean) = sample::mean(differences) else { return "—".to_owned() };
    let low = differences.iter().copied().fold(f64::INFINITY, f64::min);
    let high = differences.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let [mean, low, high] = [mean, low, high].map(|x| units::signed(measure.shown(x), 2));
    if differences.len() == 1 { mean } else { format!("{mean} ({low} to {high})") }
}

fn paired(against_first: &[f64], measure: Measure) -> String {
    let Some(mean) = sample::mean(against_first) else { return "no pair".to_owned() };
    let mean = units::signed(measure.shown(mean), 2);
    match sample::std_dev(against_first) {
        Some(deviation) => {
            format!("{mean} ± {:.2}, {}", measure.shown(deviation), counted(against_first.len(), "pair"))
        }
        None => format!("{mean}, one pair"),
    }
}

pub(super) fn seeds(
    sweep: &SweepRecord,
    compared: &[Compared<'_>],
    dimensions: &[Dimension],
    measure: Measure,
) -> Vec<SeedLine> {
    let mut found = Vec::new();
    for dimension in dimensions.iter().filter(|dimension| dimension.is_of_seeds()) {
        for variant in analysis::variants(compared) {
            let Some(spread) = analysis::spread(sweep, compared, dimension, variant) else { continue };
            found.push(SeedLine {
                axis: dimension.label.clone(),
                variant: variant.to_owned(),
                deviation: format!("{:.3}", measure.shown(spread.deviation)),
                widest: format!("{:.3}", measure.shown(spread.widest)),
                groups: format!("{} of {}", counted(spread.groups, "group"), counted(spread.points, "point")),
            });
        }
    }
    found
}
