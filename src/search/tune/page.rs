//! What tuning found, to read: a table, a figure and a manifest.

use serde::Serialize;

use super::{Candidate, Outcome, Raced, Trial, Tuned};
use crate::base::explain::Failure;
use crate::base::units;
use crate::manifest::{Choice as _, Recipe, Resolved};
use crate::report;
use crate::report::chart::{Axis, Tick, pixel};
use crate::scaffold::{Choices, chosen_text};

const PAGE: &str = include_str!("../../../templates/tuning.md.tera");
const FIGURE: &str = include_str!("../../../templates/pareto.svg.tera");

impl Tuned {
    /// How many times as fast as fused FP32 the chosen candidate is.
    #[must_use]
    pub fn speedup(&self) -> Option<f64> {
        Some(self.trials[self.chosen?].outcome.speedup())
    }

    /// The manifest with what was chosen; `None` where nothing was.
    pub fn manifest(&self, resolved: &Resolved) -> Option<Result<String, Failure>> {
        let Trial { candidate, outcome } = &self.trials[self.chosen?];
        let comment = [
            format!("Found by `requant tune`: {} candidates on {} held-out samples.", self.trials.len(), self.samples),
            format!(
                "There: {} points of accuracy against FP32, {} of its answers, {} times its speed at batch {}.",
                points(-outcome.drop_from(&self.float)),
                units::percent(outcome.agreeing as f64 / outcome.samples.max(1) as f64),
                ratio(outcome.speedup()),
                self.batch
            ),
        ];
        let quantize = &resolved.manifest.quantize;
        let layers = [quantize.layer.clone(), candidate.layers()].concat();
        let choices = Choices {
            suffix: "tuned",
            recipe: Recipe::of(candidate.scheme.observer),
            steps: &candidate.scheme.steps,
            weights: candidate.scheme.weights,
            reduce_range: candidate.scheme.reduce_range,
            adaround: quantize.adaround,
            layers: &layers,
            max_accuracy_drop: Some(self.wish.max_drop),
            comment: &comment,
        };
        Some(chosen_text(&resolved.text, &choices).map_err(Failure::bug))
    }

    /// `tuning.md`.
    pub fn page(&self, name: &str) -> Result<String, Failure> {
        let page = Page {
            name,
            samples: self.samples,
            digest: self.digest.to_string(),
            max_drop: format!("{}", self.wish.max_drop),
            min_speedup: self.wish.min_speedup.map(units::times),
            batch: self.batch,
            chosen: self.chosen.map(|at| described(&self.trials[at].candidate)),
            float: self.row("FP32, fused".into(), &self.float, ""),
            trials: (0..self.trials.len()).map(|at| self.row_of(at)).collect(),
            kernels: self.raced.iter().map(KernelRow::of).collect(),
        };
        report::fill(PAGE, &page).map_err(|error| Failure::bug(error.to_string()))
    }

    /// `pareto.svg`.
    pub fn figure(&self) -> Result<String, Failure> {
        let outcomes = || self.trials.iter().map(|trial| &trial.outcome);
        let x = Axis::over(outcomes().map(Outcome::speedup).chain([1.0]), 70.0, 700.0);
        let y = Axis::over(outcomes().map(closeness), 390.0, 20.0);
        let place = |outcome: &Outcome| (x.at(outcome.speedup()), y.at(closeness(outcome)));
        let front = self.front();
        let mut points: Vec<Point> = Vec::new();
        for (at, Trial { candidate, outcome }) in self.trials.iter().enumerate() {
            let (radius, fill) = match (self.chosen == Some(at), front.contains(&at)) {
                (true, _) => (7, "#d1495b"),
                (_, true) => (4, "#1f6fb2"),
                _ => (4, "#bbbbbb"),
            };
            let (x, y) = place(outcome);
            points.push(Point { x: pixel(x), y: pixel(y), radius, fill, name: described(candidate) });
        }
        // What matters is drawn last.
        points.sort_by_key(|point| (point.radius, point.fill == "#1f6fb2"));
        let mut steps: Vec<(f64, f64)> = front.iter().map(|&at| place(&self.trials[at].outcome)).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let line = steps
            .iter()
            .enumerate()
            .map(|(n, (x, y))| format!("{}{} {}", if n == 0 { "M" } else { "L" }, pixel(*x), pixel(*y)));
        let figure = Figure {
            batch: self.batch,
            float: pixel(x.at(1.0)),
            front: line.collect(),
            x_ticks: x.ticks(),
            y_ticks: y.ticks(),
            points,
        };
        report::figure(FIGURE, &figure).map_err(|error| Failure::bug(error.to_string()))
    }

    fn row_of(&self, at: usize) -> Row {
        let Trial { candidate, outcome } = &self.trials[at];
        let mark = match (self.chosen == Some(at), self.front().contains(&at)) {
            (true, _) => "chosen",
            (_, true) => "front",
            _ => "",
        };
        self.row(described(candidate), outcome, mark)
    }

    fn row(&self, name: String, outcome: &Outcome, mark: &'static str) -> Row {
        Row {
            name,
            accuracy: units::percent(outcome.accuracy()),
            drop: points(outcome.drop_from(&self.float)),
            agreement: format!("{:.2} %", agreement(outcome)),
            divergence: format!("{:.5}", outcome.divergence),
            milliseconds: format!("{:.3}", outcome.milliseconds),
            speedup: ratio(outcome.speedup()),
            mark,
        }
    }

    /// The places of candidates to which none is both faster and closer to the float network.
    fn front(&self) -> Vec<usize> {
        let better = |a: &Outcome, b: &Outcome| a.speedup() > b.speedup() && a.divergence < b.divergence;
        let dominated = |at: usize| self.trials.iter().any(|other| better(&other.outcome, &self.trials[at].outcome));
        (0..self.trials.len()).filter(|&at| !dominated(at)).collect()
    }
}

#[derive(Serialize)]
struct Page<'a> {
    name: &'a str,
    samples: usize,
    digest: String,
    max_drop: String,
    min_speedup: Option<String>,
    batch: usize,
    chosen: Option<String>,
    float: Row,
    trials: Vec<Row>,
    kernels: Vec<KernelRow>,
}

/// What a convolution took, in milliseconds.
#[derive(Serialize)]
struct KernelRow {
    layer: String,
    float: String,
    fused: String,
    engine: String,
    usual: &'static str,
    taken: &'static str,
}

impl KernelRow {
    fn of(raced: &Raced) -> Self {
        let [float, fused, engine] = raced.milliseconds.map(|ms| format!("{ms:.3}"));
        let (usual, taken) = (raced.usual.word(), raced.taken().word());
        Self { layer: raced.layer.clone(), float, fused, engine, usual, taken }
    }
}

#[derive(Serialize)]
struct Row {
    name: String,
    accuracy: String,
    drop: String,
    agreement: String,
    divergence: String,
    milliseconds: String,
    speedup: String,
    mark: &'static str,
}

#[derive(Serialize)]
struct Figure {
    batch: usize,
    /// Where the float network's speed is.
    float: String,
    /// The path through the front.
    front: String,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    x: String,
    y: String,
    radius: usize,
    fill: &'static str,
    name: String,
}

/// Decimal orders of magnitude by which the divergence is below one nat.
fn closeness(outcome: &Outcome) -> f64 {
    -outcome.divergence.max(1e-12).log10()
}

fn agreement(outcome: &Outcome) -> f64 {
    outcome.agreeing as f64 / outcome.samples.max(1) as f64 * 100.0
}

fn points(fraction: f64) -> String {
    units::signed(fraction * 100.0, 2)
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn described(candidate: &Candidate) -> String {
    let Candidate { scheme, float, forms } = candidate;
    let steps: Vec<&str> = scheme.steps.iter().map(|step| step.word()).collect();
    let steps = if steps.is_empty() { "no steps".to_owned() } else { steps.join(", ") };
    let float = if float.is_empty() { String::new() } else { format!("; in float: {}", float.join(", ")) };
    let forms = if forms.is_empty() { "" } else { "; the fastest kernel of each layer" };
    format!("{}; {steps}{float}{forms}", scheme.observer.word())
}
