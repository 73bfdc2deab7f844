//! The figures of a sweep.

use std::fmt::Write as _;

use serde::Serialize;

use super::analysis::{Compared, Measure};
use super::row::Row;
use crate::base::explain::Failure;
use crate::report;
use crate::report::chart::{Axis, Tick, pixel};
use crate::stats::sample;

const PARETO: &str = include_str!("../../templates/sweep-pareto.svg.tera");
const SENSITIVITY: &str = include_str!("../../templates/sweep-sensitivity.svg.tera");

/// Told apart by people who see few colours, too.
const COLOURS: [&str; 6] = ["#1f6fb2", "#d1495b", "#3a7d44", "#edae49", "#6a4c93", "#5c5c5c"];

/// Accuracy against speed.
#[derive(Serialize)]
pub(crate) struct Pareto {
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    dots: Vec<Dot>,
    /// A path per machine.
    fronts: Vec<String>,
    legend: Vec<Label>,
    /// Where there is nothing to draw.
    empty: bool,
    y_label: &'static str,
}

#[derive(Serialize)]
struct Dot {
    x: String,
    y: String,
    /// The interval of the accuracy.
    low: String,
    high: String,
    fill: &'static str,
    on_front: bool,
    name: String,
}

#[derive(Serialize)]
struct Label {
    y: String,
    fill: &'static str,
    text: String,
}

impl Pareto {
    pub(crate) fn of(
        compared: &[Compared<'_>],
        front: &[usize],
        measure: Measure,
        values: impl Fn(&Row) -> String,
    ) -> Self {
        let timed = || compared.iter().enumerate().filter_map(|(at, c)| Some((at, c, c.speedup?)));
        let x = Axis::over(timed().map(|(.., speedup)| speedup.value).chain([1.0]), 70.0, 700.0);
        let heights = |c: &Compared<'_>| [c.difference.low, c.difference.high].map(|x| measure.shown(x));
        let y = Axis::over(timed().flat_map(|(_, c, _)| heights(c)).chain(measure.origin()), 390.0, 20.0);
        let mut variants: Vec<&str> = Vec::new();
        let mut dots = Vec::new();
        for (at, c, speedup) in timed() {
            let place = variants.iter().position(|name| *name == c.row.variant).unwrap_or_else(|| {
                variants.push(&c.row.variant);
                variants.len() - 1
            });
            let [low, high] = heights(c);
            dots.push(Dot {
                x: pixel(x.at(speedup.value)),
                y: pixel(y.at(measure.shown(c.difference.value))),
                low: pixel(y.at(low)),
                high: pixel(y.at(high)),
                fill: COLOURS[place % COLOURS.len()],
                on_front: front.contains(&at),
                name: format!("point {}, {}: {}", c.row.point, c.row.variant, values(c.row)),
            });
        }
        dots.sort_by_key(|dot| dot.on_front);
        let mut cpus: Vec<&str> = front.iter().map(|&at| compared[at].row.cpu.as_str()).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let path = |cpu: &&str| {
            let own = front.iter().map(|&at| &compared[at]).filter(|c| c.row.cpu == **cpu);
            let place = |(n, c): (usize, &Compared<'_>)| {
                let speedup = c.speedup.map_or(1.0, |speedup| speedup.value);
                let letter = if n == 0 { "M" } else { "L" };
                format!("{letter}{} {}", pixel(x.at(speedup)), pixel(y.at(measure.shown(c.difference.value))))
            };
            own.enumerate().map(place).collect()
        };
        let label = |(at, name): (usize, &&str)| Label {
            y: pixel(36.0 + 18.0 * at as f64),
            fill: COLOURS[at % COLOURS.len()],
            text: (*name).to_owned(),
        };
        let legend = variants.iter().enumerate().map(label).collect();
        let fronts = cpus.iter().map(path).collect();
        Self {
            x_ticks: x.ticks(),
            y_ticks: y.ticks(),
            empty: dots.is_empty(),
            dots,
            fronts,
            legend,
            y_label: measure.axis(),
        }
    }

    pub(crate) fn text(&self) -> Result<String, Failure> {
        report::figure(PARETO, self).map_err(|error| Failure::bug(error.to_string()))
    }
}

/// What each variant loses at each value of an axis.
pub(crate) struct Panel {
    pub label: String,
    pub values: Vec<String>,
    /// By variant, for each value the differences of its points, fractions.
    pub series: Vec<(String, Vec<Vec<f64>>)>,
}

#[derive(Serialize)]
struct Drawn {
    top: String,
    bottom: String,
    middle: String,
    label: String,
    y_ticks: Vec<Tick>,
    x_ticks: Vec<Tick>,
    lines: Vec<Curve>,
    dots: Vec<Mark>,
}

#[derive(Serialize)]
struct Curve {
    path: String,
    fill: &'static str,
}

#[derive(Serialize)]
struct Mark {
    x: String,
    y: String,
    fill: &'static str,
}

#[derive(Serialize)]
struct Sheet {
    height: usize,
    panels: Vec<Drawn>,
    legend: Vec<Label>,
    y_label: &'static str,
}

const PANEL: usize = 220;
/// More values would not be read.
const MOST_VALUES: usize = 24;

pub(crate) fn sensitivity(panels: &[Panel], measure: Measure) -> Result<String, Failure> {
    let names: Vec<&String> = panels.iter().flat_map(|panel| panel.series.iter().map(|(name, _)| name)).collect();
    let mut variants: Vec<&String> = Vec::new();
    names.into_iter().for_each(|name| {
        if !variants.contains(&name) {
            variants.push(name);
        }
    });
    let drawn: Vec<Drawn> = panels.iter().enumerate().map(|(at, panel)| draw(panel, at, &variants, measure)).collect();
    let label = |(at, name): (usize, &&String)| Label {
        y: pixel(20.0 + 18.0 * at as f64),
        fill: COLOURS[at % COLOURS.len()],
        text: (*name).clone(),
    };
    let legend = variants.iter().enumerate().map(label).collect();
    let sheet = Sheet { height: PANEL * panels.len().max(1) + 10, panels: drawn, legend, y_label: measure.change() };
    report::figure(SENSITIVITY, &sheet).map_err(|error| Failure::bug(error.to_string()))
}

fn draw(panel: &Panel, at: usize, variants: &[&String], measure: Measure) -> Drawn {
    let top = (at * PANEL) as f64 + 20.0;
    let bottom = top + 150.0;
    let all = panel.series.iter().flat_map(|(_, values)| values.iter().flatten()).map(|x| measure.shown(*x));
    let y = Axis::over(all.chain(measure.origin()), bottom, top);
    let count = panel.values.len().min(MOST_VALUES);
    let x = |n: usize| 90.0 + (n as f64 + 0.5) * 480.0 / count.max(1) as f64;
    let mut drawn = Drawn {
        top: pixel(top),
        bottom: pixel(bottom),
        middle: pixel(f64::midpoint(top, bottom)),
        label: panel.label.clone(),
        y_ticks: y.ticks(),
        x_ticks: (0..count).map(|n| Tick { at: pixel(x(n)), text: short(&panel.values[n]) }).collect(),
        lines: Vec::new(),
        dots: Vec::new(),
    };
    for (name, values) in &panel.series {
        let fill = COLOURS[variants.iter().position(|known| *known == name).unwrap_or(0) % COLOURS.len()];
        let mut path = String::new();
        for (n, differences) in values.iter().take(count).enumerate() {
            let dot = |difference: &f64| Mark { x: pixel(x(n)), y: pixel(y.at(measure.shown(*difference))), fill };
            drawn.dots.extend(differences.iter().map(dot));
            if let Some(mean) = sample::mean(differences) {
                let letter = if path.is_empty() { "M" } else { "L" };
                let _ = write!(path, "{letter}{} {}", pixel(x(n)), pixel(y.at(measure.shown(mean))));
            }
        }
        drawn.lines.push(Curve { path, fill });
    }
    drawn
}

fn short(text: &str) -> String {
    const LONGEST: usize = 16;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
