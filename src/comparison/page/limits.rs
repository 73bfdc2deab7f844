//! The best under each limit that a reader may have.

use serde::Serialize;

use super::{shown, values};
use crate::base::units;
use crate::comparison::analysis::{Compared, Measure};
use crate::grid::SweepRecord;
use crate::stats::Estimate;

/// Losses of accuracy, in points, that a reader may allow.
const DROPS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 5.0];
/// Ratios of signal to noise, in dB, that a reader may need.
const RATIOS: [f64; 5] = [40.0, 35.0, 30.0, 25.0, 20.0];
/// Speedups that a reader may need.
const SPEEDUPS: [f64; 4] = [1.5, 2.0, 3.0, 4.0];

#[derive(Serialize)]
pub(super) struct Constraint {
    asked: String,
    /// What is best under it, or why nothing is.
    best: String,
}

/// The best that surely holds each limit: the whole interval is on its right side.
pub(super) fn constraints(
    sweep: &SweepRecord,
    compared: &[Compared<'_>],
    machines: usize,
    measure: Measure,
) -> Vec<Constraint> {
    if machines > 1 {
        return vec![Constraint {
            asked: "any limit".to_owned(),
            best: "not chosen: the points were timed on different machines".to_owned(),
        }];
    }
    let timed: Vec<(&Compared<'_>, Estimate)> = compared.iter().filter_map(|c| Some((c, c.speedup?))).collect();
    let named = |found: Option<&(&Compared<'_>, Estimate)>| match found {
        Some((c, speedup)) => format!(
            "point {}, `{}` ({}): {} {}, {}",
            c.row.point,
            c.row.variant,
            values(sweep, c.row.point),
            shown(c.difference, measure),
            measure.unit(),
            units::times(speedup.value)
        ),
        None => "none surely".to_owned(),
    };
    let mut found = Vec::new();
    let limits: Vec<(f64, String)> = match measure {
        Measure::Accuracy => DROPS.map(|drop| (-drop, format!("fastest that loses at most {drop} points"))).into(),
        Measure::Sqnr => RATIOS.map(|least| (least, format!("fastest that keeps at least {least} dB"))).into(),
    };
    for (least, asked) in limits {
        let holds = timed.iter().filter(|(c, _)| measure.shown(c.difference.low) >= least);
        let better = |a: &(&Compared<'_>, Estimate), b: &(&Compared<'_>, Estimate)| {
            a.1.value.total_cmp(&b.1.value).then(a.0.difference.value.total_cmp(&b.0.difference.value))
        };
        let best = holds.max_by(|a, b| better(a, b));
        found.push(Constraint { asked, best: named(best) });
    }
    let most = if measure == Measure::Accuracy { "most accurate" } else { "closest" };
    for wanted in SPEEDUPS {
        let holds = timed.iter().filter(|(_, speedup)| speedup.low >= wanted);
        let better = |a: &(&Compared<'_>, Estimate), b: &(&Compared<'_>, Estimate)| {
            a.0.difference.value.total_cmp(&b.0.difference.value).then(a.1.value.total_cmp(&b.1.value))
        };
        let best = holds.max_by(|a, b| better(a, b));
        found.push(Constraint {
            asked: format!("{} that is at least {} as fast", most, units::times(wanted)),
            best: named(best),
        });
    }
    found
}
