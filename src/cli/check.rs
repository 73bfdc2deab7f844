//! `requant check`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::options::Format;
use crate::backend::Availability;
use crate::base::explain::{Cause, Diagnostic, Failure, Severity};
use crate::base::files;
use crate::base::units::counted;
use crate::dataset::Chosen;
use crate::grid::{Axis, Plan, Sweep};
use crate::inspect::{self, Inputs, PinState};
use crate::manifest::{self, Overrides, Resolved};
use crate::terminal::complaint::{self, complain};
use crate::terminal::gauge::Gauge;
use crate::terminal::{Exit, print, print_json};

/// Where manifests are looked for when none is named.
pub(super) const HOME: &str = "experiments";

pub(super) fn check(named: Vec<PathBuf>, overrides: &Overrides, deep: bool, format: Format) -> Result<Exit, Failure> {
    let paths = if named.is_empty() { committed()? } else { named };
    let mut exit: Option<Cause> = None;
    let mut documents = Vec::new();
    for path in &paths {
        let Checked { diagnostics, summary } = one(path, overrides, deep);
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        let worst = errors.map(|diagnostic| diagnostic.cause).max();
        exit = exit.max(worst);
        match format {
            Format::Text => {
                complain(&diagnostics);
                print(&headline(path, &diagnostics));
                print(&summary);
            }
            Format::Json => documents.push(json!({
                "manifest": path.display().to_string(),
                "exit_code": worst.map_or(Exit::Done, Exit::from).code(),
                "diagnostics": diagnostics.iter().map(complaint::json).collect::<Vec<_>>(),
            })),
        }
        if worst == Some(Cause::Interrupted) {
            break;
        }
    }
    if format == Format::Json {
        print_json(&format!("{:#}\n", json!({ "format": 1, "manifests": documents })));
    }
    Ok(exit.map_or(Exit::Done, Exit::from))
}

fn committed() -> Result<Vec<PathBuf>, Failure> {
    let names = files::list(Path::new(HOME))?;
    let found: Vec<PathBuf> = names
        .iter()
        .filter(|name| name.ends_with(".toml") && *name != manifest::PROJECT_FILE)
        .map(|name| Path::new(HOME).join(name))
        .collect();
    if found.is_empty() {
        return Err(Diagnostic::error(Cause::Input, format!("`{HOME}` holds no manifest")).next("name one").into());
    }
    Ok(found)
}

struct Checked {
    diagnostics: Vec<Diagnostic>,
    summary: String,
}

fn one(path: &Path, overrides: &Overrides, deep: bool) -> Checked {
    if files::read_text(path).is_ok_and(|text| Sweep::is_one(&text)) {
        return sweep(path, overrides);
    }
    let resolved = match manifest::load(path, overrides) {
        Ok(resolved) => resolved,
        Err(failure) => return Checked { diagnostics: failure.diagnostics, summary: String::new() },
    };
    let found = inspect::inspect(&resolved, &Gauge::new("hashing"));
    let mut diagnostics = found.obstacles();
    let mut summary = String::new();
    if let Some(inputs) = &found.inputs {
        diagnostics.extend(inspect::concerns(&resolved, inputs, &found.pins));
        summary = summarize(&resolved, inputs, &found.pins);
        if deep {
            let looked = inspect::deep(&resolved, inputs, &Gauge::new("decoding"));
            if looked.is_ok() {
                let samples = inputs.data.calibration.entries.len() + inputs.data.evaluation.entries.len();
                summary.extend(["  pixels       ", &counted(samples, "sample"), " looked at\n"]);
            }
            diagnostics.extend(looked.unwrap_or_else(|failure| failure.diagnostics));
        } else {
            summary += "  pixels       not decoded; with `--deep` every chosen sample is\n";
        }
    }
    Checked { diagnostics, summary }
}

/// Every point's form and pins, and one point of each kind as a run would see it.
fn sweep(path: &Path, overrides: &Overrides) -> Checked {
    let meter = Gauge::new("hashing");
    let plan = match Sweep::load(path).and_then(|sweep| Plan::of(sweep, overrides, &meter)) {
        Ok(plan) => plan,
        Err(failure) => return Checked { diagnostics: failure.diagnostics, summary: String::new() },
    };
    let diagnostics = plan.inspect(&meter, true);
    let axis = |axis: &Axis| format!("  {}: {}\n", axis.key, axis.words.join(", "));
    let axes: String = plan.sweep.axes.iter().map(axis).collect();
    let points = counted(plan.points.len(), "point");
    let base = plan.sweep.base.display();
    let pixels = format!("  pixels: not decoded; `requant check --deep {base}` decodes those of the base\n");
    Checked { diagnostics, summary: format!("  {points} of {base}\n{axes}{pixels}") }
}

fn headline(path: &Path, diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let said = match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "ok".to_owned(),
        (0, warnings) => format!("ok, with {}", counted(warnings, "warning")),
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    format!("{}: {said}\n", path.display())
}

/// What a run would work on.
fn summarize(resolved: &Resolved, inputs: &Inputs, pins: &[PinState]) -> String {
    let manifest = &resolved.manifest;
    let pinned = |key: &str| match pins.iter().find(|pin| pin.key == key) {
        Some(pin) if pin.holds() => "pinned",
        Some(pin) if pin.expected.is_some() => "pin broken",
        _ => "not pinned",
    };
    let shape: Vec<String> = inputs.model.facts.input.iter().map(usize::to_string).collect();
    let classes = inputs.data.source.classes();
    let mut lines = vec![
        format!(
            "model        {} → {}, {} operators, {}",
            shape.join(" × "),
            inputs.model.gives(),
            inputs.model.graph.nodes.len(),
            pinned("model.sha256")
        ),
        format!("dataset      {}, {}, {}", manifest.dataset.format, labels(classes), pinned("dataset.sha256")),
    ];
    let reading = inputs.model.facts.reading.iter().map(|reading| format!("             {}", reading.sentence()));
    lines.splice(1..1, reading);
    let subsets = [
        ("calibration", &manifest.calibration.splits, &inputs.data.calibration),
        ("evaluation", &manifest.evaluation.splits, &inputs.data.evaluation),
    ];
    for (table, splits, chosen) in subsets {
        let pin = pinned(&format!("{table}.sha256"));
        let (samples, splits) = (chosen.entries.len(), splits.join(" + "));
        lines.push(format!("{table:11}  {samples} samples of {splits}{}, {pin}", spread(chosen, classes)));
    }
    for (variant, availability) in manifest.variant.iter().zip(&inputs.availability) {
        let state = match availability {
            Availability::Ready { detail } => detail,
            Availability::Missing { why, .. } => &format!("missing: {why}"),
        };
        lines.push(format!("variant      {}: {state}", variant.name));
    }
    lines.iter().flat_map(|line| ["  ", line, "\n"]).collect()
}

fn labels(classes: &[String]) -> String {
    if classes.is_empty() { "without labels".to_owned() } else { format!("{} classes", classes.len()) }
}

/// `, 5 per class`; nothing where there are no classes.
fn spread(chosen: &Chosen, classes: &[String]) -> String {
    if classes.is_empty() {
        return String::new();
    }
    let counts = chosen.per_class(classes.len());
    let (fewest, most) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
    if fewest == most { format!(", {fewest} per class") } else { format!(", {fewest} to {most} per class") }
}
