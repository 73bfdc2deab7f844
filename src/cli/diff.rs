//! `requant diff`.

use std::path::Path;

use super::args::DiffFormat;
use super::runs;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::diff::{self, Diff, Layout, Side};
use crate::terminal::{Exit, print, print_json};

pub(super) fn diff(runs: &[String], results: &Path, format: DiffFormat, check: bool) -> Result<Exit, Failure> {
    let sides = runs.iter().map(|name| side(results, name)).collect::<Result<Vec<Side>, Failure>>()?;
    let [first, others @ ..] = sides.as_slice() else {
        return Err(Diagnostic::error(Cause::Input, "nothing to compare").next("name two runs").into());
    };
    let diffs: Vec<Diff> = others.iter().map(|other| Diff::of(first, other)).collect();
    let show = if matches!(format, DiffFormat::Json) { print_json } else { print };
    show(&match (format, diffs.as_slice()) {
        (DiffFormat::Json, [one]) => json(one)?,
        (DiffFormat::Json, many) => json(&many)?,
        (DiffFormat::Terminal, [one]) => diff::render(one, &[], Layout::Terminal),
        (DiffFormat::Md, [one]) => diff::render(one, &[], Layout::Markdown),
        (DiffFormat::Terminal, many) => diff::table(first, many, Layout::Terminal),
        (DiffFormat::Md, many) => diff::table(first, many, Layout::Markdown),
    });
    let differs = diffs.iter().any(Diff::results_differ);
    Ok(if check && differs { Exit::Failed } else { Exit::Done })
}

/// Reads the run that a name means.
pub(super) fn side(results: &Path, name: &str) -> Result<Side, Failure> {
    Ok(diff::load(&runs::find(results, name)?, name.to_owned())?)
}

fn json(document: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::bug(error.to_string()))?;
    Ok(text + "\n")
}
