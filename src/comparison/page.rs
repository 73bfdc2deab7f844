//! `sweep.md` and its figures: everything a number is text by the time the template sees it.

mod effects;
mod limits;

use std::collections::BTreeMap;

use serde::Serialize;

use self::effects::{SeedLine, Sensitivity, seeds, sensitivity};
use self::limits::{Constraint, constraints};
use super::analysis::{self, Compared, Dimension, Measure};
use super::figure;
use super::row::Row;
use crate::base::explain::Failure;
use crate::base::finding::Verdict;
use crate::base::units::ranges;
use crate::base::units::{self, counted};
use crate::grid::SweepRecord;
use crate::grid::outcome::Outcome;
use crate::measure::conditions::OTHER_LOAD;
use crate::report;
use crate::stats::Estimate;
use crate::task::fidelity;

const TEMPLATE: &str = include_str!("../../templates/sweep.md.tera");

/// More rows are for the table beside the page.
const MOST_ROWS: usize = 200;

#[derive(Serialize)]
pub(crate) struct Page {
    name: String,
    description: String,
    id: String,
    manifest: String,
    base: String,
    overrides: Vec<String>,
    headline: String,
    /// How many points have no result; empty where none is missing.
    without: String,
    warnings: Vec<String>,
    axes: Vec<AxisLine>,
    front: Vec<Line>,
    machines: usize,
    constraints: Vec<Constraint>,
    sensitivity: Vec<Sensitivity>,
    seeds: Vec<SeedLine>,
    without_run: Vec<Failed>,
    /// A sentence each: what the differences are against, and rows that ran nowhere.
    baselines: Vec<String>,
    missing: Vec<String>,
    points: Vec<Line>,
    points_left_out: usize,
    /// How many rows the best were chosen among.
    chosen_among: usize,
    /// Whether outputs were judged, and not classes.
    is_fidelity: bool,
    #[serde(skip)]
    pareto: figure::Pareto,
    #[serde(skip)]
    panels: Vec<figure::Panel>,
    #[serde(skip)]
    measure: Measure,
}

#[derive(Serialize)]
struct AxisLine {
    key: String,
    values: String,
    with: String,
}

/// A variant of a point.
#[derive(Serialize)]
struct Line {
    point: usize,
    values: String,
    variant: String,
    accuracy: String,
    difference: String,
    speedup: String,
    megabytes: String,
    verdict: &'static str,
    cpu: String,
}

#[derive(Serialize)]
struct Failed {
    point: usize,
    values: String,
    state: String,
    attempts: usize,
    reason: String,
}

impl Page {
    pub(crate) fn of(sweep: &SweepRecord, outcome: &Outcome, rows: &[Row]) -> Self {
        let compared = analysis::compared(rows);
        let measure = Measure::of(rows);
        let front = analysis::front(&compared);
        let dimensions = analysis::dimensions(sweep);
        let mut cpus: Vec<&str> = rows.iter().map(|row| row.cpu.as_str()).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let own: Vec<&Row> = rows.iter().filter(|row| !row.baseline && row.status != "missing").collect();
        Self {
            name: sweep.name.clone(),
            description: sweep.description.clone(),
            id: sweep.id.to_string(),
            manifest: sweep.manifest_path.clone(),
            base: sweep.base_path.clone(),
            overrides: sweep
                .overrides
                .iter()
                .map(|set| format!("`{} = {}`, by {}", set.key, set.value, set.origin))
                .collect(),
            headline: headline(outcome),
            without: without(outcome),
            warnings: warnings(rows),
            axes: axes(sweep),
            front: front.iter().map(|&at| line(sweep, compared[at].row, measure)).collect(),
            machines: cpus.len(),
            constraints: constraints(sweep, &compared, cpus.len(), measure),
            sensitivity: sensitivity(sweep, &compared, &dimensions, measure),
            seeds: seeds(sweep, &compared, &dimensions, measure),
            without_run: without_run(sweep, outcome),
            baselines: baselines(rows),
            missing: missing(rows),
            points: own.iter().take(MOST_ROWS).map(|row| line(sweep, row, measure)).collect(),
            points_left_out: own.len().saturating_sub(MOST_ROWS),
            chosen_among: compared.iter().filter(|c| c.speedup.is_some()).count(),
            pareto: figure::Pareto::of(&compared, &front, measure, |row| values(sweep, row.point)),
            panels: panels(sweep, &compared, &dimensions),
            is_fidelity: measure == Measure::Sqnr,
            measure,
        }
    }

    pub(crate) fn text(&self) -> Result<String, Failure> {
        report::fill(TEMPLATE, self).map_err(|error| Failure::bug(error.to_string()))
    }

    pub(crate) fn figures(&self) -> Result<Vec<(&'static str, Vec<u8>)>, Failure> {
        Ok(vec![
            ("pareto.svg", self.pareto.text()?.into_bytes()),
            ("sensitivity.svg", figure::sensitivity(&self.panels, self.measure)?.into_bytes()),
        ])
    }
}

fn headline(outcome: &Outcome) -> String {
    let count = |verdict| {
        let judged = outcome.points.iter().filter_map(|point| point.run.as_ref());
        judged.filter(|run| run.verdict == verdict).count()
    };
    let total = outcome.points.len();
    let done = outcome.points.iter().filter(|point| point.run.is_some()).count();
    let judged: Vec<String> = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive]
        .into_iter()
        .filter(|verdict| count(*verdict) > 0)
        .map(|verdict| format!("{} {}", count(verdict), verdict.word()))
        .collect();
    let judged = if judged.is_empty() { String::new() } else { format!(": {}", judged.join(", ")) };
    format!("{done} of {} done{judged}.", counted(total, "point"))
}

fn without(outcome: &Outcome) -> String {
    match outcome.points.iter().filter(|point| point.run.is_none()).count() {
        0 => String::new(),
        n => counted(n, "point"),
    }
}

fn warnings(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    let several = |what: &str, pick: fn(&Row) -> &str| {
        let mut seen: Vec<&str> = rows.iter().map(pick).collect();
        seen.sort_unstable();
        seen.dedup();
        (seen.len() > 1).then(|| format!("Points were made with {} {what}: {}.", seen.len(), seen.join(", ")))
    };
    found.extend(several("versions of requant", |row| &row.requant));
    found.extend(several("libraries that calibrated", |row| &row.libtorch));
    found.extend(several("kinds of kernels, whose results can differ", |row| &row.kernels));
    found.extend(several("kinds of CPU, whose speeds are not compared", |row| &row.cpu));
    let mut loaded: Vec<usize> =
        rows.iter().filter(|row| row.other_load.is_some_and(|load| load > OTHER_LOAD)).map(|row| row.point).collect();
    loaded.dedup();
    if !loaded.is_empty() {
        found.push(format!(
            "{} timed while other programs took more than {:.0} % of the processors ({}): do not trust these speeds, nor \
             a front or a best that is made of them; run them again on an idle machine.",
            counted(loaded.len(), "point"),
            OTHER_LOAD * 100.0,
            ranges(&loaded)
        ));
    }
    let mut beside: Vec<usize> = rows.iter().filter(|row| row.beside).map(|row| row.point).collect();
    beside.dedup();
    if !beside.is_empty() {
        let points = counted(beside.len(), "point");
        found.push(format!("{points} timed beside others: the speeds of these are left out of every comparison."));
    }
    found
}

/// Each answer of a baseline, with the points that gave it.
fn baselines(rows: &[Row]) -> Vec<String> {
    let mut found: BTreeMap<(&str, usize, usize), Vec<usize>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.baseline) {
        if let Some(figures) = &row.measured {
            let Some(correct) = figures.correct else { continue };
            found.entry((&row.variant, correct, figures.samples)).or_default().push(row.point);
        }
    }
    let whole: usize = found.values().map(Vec::len).sum();
    let sentence = |((variant, correct, samples), points): (&(&str, usize, usize), &Vec<usize>)| {
        let share = units::percent(*correct as f64 / (*samples).max(1) as f64);
        let of = if points.len() == whole { "every point".to_owned() } else { format!("points {}", ranges(points)) };
        format!("`{variant}` has {share} ({correct} of {samples}) in {of}.")
    };
    found.iter().map(sentence).collect()
}

/// Variants that are not available, with the points in which they are not.
fn missing(rows: &[Row]) -> Vec<String> {
    let mut found: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.status == "missing") {
        *found.entry((&row.variant, &row.reason)).or_default() += 1;
    }
    let sentence = |((variant, reason), points): (&(&str, &str), &usize)| {
        format!("`{variant}` is missing in {}: {}.", counted(*points, "point"), reason)
    };
    found.iter().map(sentence).collect()
}

fn axes(sweep: &SweepRecord) -> Vec<AxisLine> {
    let partners = |at: usize| {
        let own = &sweep.axes[at];
        let others = sweep.axes.iter().filter(|axis| axis.group == own.group && axis.key != own.key);
        others.map(|axis| format!("`{}`", axis.key)).collect::<Vec<_>>().join(", ")
    };
    let line = |(at, axis): (usize, &crate::grid::plan::AxisFacts)| AxisLine {
        key: axis.key.clone(),
        values: axis.values.join(", "),
        with: partners(at),
    };
    sweep.axes.iter().enumerate().map(line).collect()
}

/// A point's place in the grid.
fn values(sweep: &SweepRecord, point: usize) -> String {
    let values = &sweep.points[point - 1].values;
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    // The last part of a key says enough where no other axis ends so.
    let name = |at: usize| {
        let own = last(&sweep.axes[at].key);
        let is_shared = sweep.axes.iter().filter(|axis| last(&axis.key) == own).count() > 1;
        if is_shared { sweep.axes[at].key.clone() } else { own }
    };
    values.iter().enumerate().map(|(at, value)| format!("{} {value}", name(at))).collect::<Vec<_>>().join(", ")
}

fn line(sweep: &SweepRecord, row: &Row, measure: Measure) -> Line {
    let figures = row.measured.as_ref();
    let absent = || if row.status == "measured" { "—".to_owned() } else { format!("{}: {}", row.status, row.reason) };
    Line {
        point: row.point,
        values: values(sweep, row.point),
        variant: row.variant.clone(),
        accuracy: figures.map_or_else(absent, |f| match f.accuracy {
            Some(accuracy) => units::percent(accuracy.value),
            None if f.undefined > 0 => format!("{} of {} samples undefined", f.undefined, f.samples),
            None => f.sqnr_db.map_or_else(|| "—".to_owned(), |own| fidelity::shown(own.value)),
        }),
        difference: figures
            .and_then(|f| f.against.map(|own| own.difference).or(f.sqnr_db.filter(|_| f.undefined == 0)))
            .map_or_else(String::new, |own| shown(own, measure)),
        speedup: match figures.and_then(|f| f.speedup) {
            Some(_) if row.beside => "not comparable".to_owned(),
            Some(s) => format!("{} ({:.2} to {:.2})", units::times(s.value), s.low, s.high),
            None => String::new(),
        },
        megabytes: figures.map_or_else(String::new, |f| units::megabytes(f.model_bytes)),
        verdict: row.verdict.word(),
        cpu: row.cpu.clone(),
    }
}

/// `−0.13 (−0.83 to +0.53)`
fn shown(e: Estimate, measure: Measure) -> String {
    let [value, low, high] = [e.value, e.low, e.high].map(|x| units::signed(measure.shown(x), 2));
    format!("{value} ({low} to {high})")
}

fn without_run(sweep: &SweepRecord, outcome: &Outcome) -> Vec<Failed> {
    let failed = outcome.points.iter().filter(|point| point.run.is_none());
    failed
        .take(MOST_ROWS)
        .map(|point| Failed {
            point: point.number,
            values: values(sweep, point.number),
            state: point.state.clone(),
            attempts: point.attempts,
            reason: point.reason.clone(),
        })
        .collect()
}

/// A panel per dimension: what each variant loses at each value.
fn panels(sweep: &SweepRecord, compared: &[Compared<'_>], dimensions: &[Dimension]) -> Vec<figure::Panel> {
    let series = |dimension: &Dimension, variant: &str| {
        let effects = analysis::effects(sweep, compared, dimension, variant);
        (variant.to_owned(), effects.into_iter().map(|effect| effect.differences).collect())
    };
    let panel = |dimension: &Dimension| figure::Panel {
        label: dimension.label.clone(),
        values: dimension.values.clone(),
        series: analysis::variants(compared).into_iter().map(|variant| series(dimension, variant)).collect(),
    };
    dimensions.iter().map(panel).collect()
}
