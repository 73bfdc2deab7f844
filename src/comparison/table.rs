//! `sweep.csv`: a row per point and variant. What the settings decide comes first; from `latency_ms` on stands what
//! was measured and may differ from one time to the next.

use super::analysis::Measure;
use super::row::{Against, Figures, Row};
use crate::grid::SweepRecord;
use crate::grid::outcome::{Outcome, PointOutcome};
use crate::record::tables::{self, number};
use crate::stats::Estimate;

const BEFORE: [&str; 2] = ["point", "id"];
const DECIDED: [&str; 27] = [
    "state",
    "variant",
    "precision",
    "baseline",
    "status",
    "reason",
    "verdict",
    "samples",
    "correct",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "agreeing",
    "model_bytes",
    "artefact",
    "model",
    "dataset",
    "calibration",
    "evaluation",
    "requant",
    "libtorch",
    "library",
    "kernels",
];
const MEASURED: [&str; 17] = [
    "latency_ms",
    "latency_low",
    "latency_high",
    "throughput",
    "speedup",
    "speedup_low",
    "speedup_high",
    "batch",
    "timing",
    "other_load",
    "peak_memory_bytes",
    "cpu",
    "cores",
    "seconds",
    "attempts",
    "run",
    "record",
];

/// Of sweeps that judge outputs: of the output that keeps least.
const RATIOS: [&str; 3] = ["sqnr_db", "sqnr_db_low", "sqnr_db_high"];

/// The table of rows by point; points in order, variants in the order of their manifests.
pub(crate) fn csv(sweep: &SweepRecord, outcome: &Outcome, rows: &[Row]) -> Vec<u8> {
    let axes = sweep.axes.iter().map(|axis| axis.key.as_str());
    // Sweeps that classify have the columns that they always had.
    let ratios = if Measure::of(rows) == Measure::Sqnr { &RATIOS[..] } else { &[] };
    let header: Vec<&str> =
        BEFORE.into_iter().chain(axes).chain(DECIDED).chain(MEASURED).chain(ratios.iter().copied()).collect();
    let lines = sweep.points.iter().zip(&outcome.points).flat_map(|(facts, point)| {
        let first = rows.partition_point(|row| row.point < facts.number);
        let own = &rows[first..rows.partition_point(|row| row.point <= facts.number)];
        let cells = match own {
            [] => vec![[without_run(point), vec![String::new(); ratios.len()]].concat()],
            own => own.iter().map(|row| [with_run(point, row), self::ratios(row, ratios.len())].concat()).collect(),
        };
        let start = [facts.number.to_string(), facts.id.to_string()].into_iter().chain(facts.values.clone());
        let start: Vec<String> = start.collect();
        cells.into_iter().map(move |cells| [start.as_slice(), &cells].concat())
    });
    tables::table(&header, lines)
}

fn ratios(row: &Row, columns: usize) -> Vec<String> {
    let own = row.measured.as_ref().and_then(|figures| figures.sqnr_db);
    estimate(own).into_iter().take(columns).collect()
}

fn without_run(point: &PointOutcome) -> Vec<String> {
    let cell = |name: &&str| match *name {
        "state" => point.state.clone(),
        "reason" => point.reason.clone(),
        "attempts" => point.attempts.to_string(),
        _ => String::new(),
    };
    DECIDED.iter().chain(&MEASURED).map(cell).collect()
}

fn with_run(point: &PointOutcome, row: &Row) -> Vec<String> {
    let text = |value: &str| value.to_owned();
    let mut cells = vec![
        point.state.clone(),
        row.variant.clone(),
        row.precision.clone(),
        row.baseline.to_string(),
        text(row.status),
        row.reason.clone(),
        row.verdict.word().to_lowercase(),
    ];
    let measured = row.measured.as_ref();
    cells.extend(measured.map_or_else(|| vec![String::new(); 12], decided));
    cells.extend(row.inputs.iter().map(ToString::to_string));
    cells.extend([row.requant.clone(), row.libtorch.clone()]);
    cells.extend([measured.map(|m| m.library.clone()).unwrap_or_default(), row.kernels.clone()]);
    let times = measured.map_or_else(|| vec![String::new(); 8], times);
    cells.extend(times);
    cells.push(text(if measured.is_none() {
        ""
    } else if row.beside {
        "beside others"
    } else {
        "alone"
    }));
    cells.push(row.other_load.map(number).unwrap_or_default());
    cells.push(measured.and_then(|m| m.memory).map(|bytes| bytes.to_string()).unwrap_or_default());
    cells.extend([row.cpu.clone(), row.cores.to_string(), row.seconds.to_string(), point.attempts.to_string()]);
    cells.extend([row.run.clone(), row.record.to_string()]);
    cells
}

fn decided(figures: &Figures) -> Vec<String> {
    let correct = figures.correct.map(|correct| correct.to_string()).unwrap_or_default();
    let mut cells = vec![figures.samples.to_string(), correct];
    cells.extend(estimate(figures.accuracy));
    cells.extend(estimate(figures.against.map(|against| against.difference)));
    let against = figures.against.map(|Against { p_value, agreeing, .. }| [number(p_value), agreeing.to_string()]);
    cells.extend(against.unwrap_or_default());
    cells.extend([figures.model_bytes.to_string(), figures.artefact.to_string()]);
    cells
}

fn times(figures: &Figures) -> Vec<String> {
    let mut cells = estimate(figures.latency).to_vec();
    cells.push(figures.throughput.map(number).unwrap_or_default());
    cells.extend(estimate(figures.speedup));
    cells.push(figures.batch.map(|batch| batch.to_string()).unwrap_or_default());
    cells
}

fn estimate(estimate: Option<Estimate>) -> [String; 3] {
    estimate.map_or_else(Default::default, |e| [e.value, e.low, e.high].map(number))
}
