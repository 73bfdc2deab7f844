//! `requant list`.

use std::path::Path;

use serde_json::{Value, json};

use super::args::Filters;
use super::check::HOME;
use super::options::Format;
use crate::base::clock;
use crate::base::explain::Failure;
use crate::base::files;
use crate::base::units::{self, ABSENT};
use crate::history::{self, Listed, Summary};
use crate::measure::summary::Latency;
use crate::record::format::{Judged, Measured, VariantResult};
use crate::task::fidelity::shown;
use crate::terminal::{Exit, print, print_json};

pub(super) fn list(results: &Path, filters: &Filters, format: Format) -> Result<Exit, Failure> {
    let all = history::list(results)?;
    let mut not_run = waiting(&all);
    not_run.retain(|name| filters.names(name) && filters.verdict.is_none() && filters.machine.is_none());
    let runs: Vec<Listed> = all.into_iter().filter(|run| wanted(run, filters)).collect();
    match format {
        Format::Text if runs.is_empty() && not_run.is_empty() => {
            print(&format!("no such runs in `{}`\n", results.display()));
        }
        Format::Text => print(&table(&runs, not_run)),
        Format::Json => {
            let runs: Vec<Value> = runs.iter().map(document).collect();
            print_json(&format!("{:#}\n", json!({ "format": 1, "runs": runs, "not_run": not_run })));
        }
    }
    Ok(Exit::Done)
}

/// Names of the manifests in `experiments` that have no run yet.
fn waiting(runs: &[Listed]) -> Vec<String> {
    let home = Path::new(HOME);
    let name = |file: String| {
        let text = files::read_text(&home.join(&file)).ok().filter(|_| file.ends_with(".toml"))?;
        let table: toml::Table = text.parse().ok()?;
        Some(table.get("name")?.as_str()?.to_owned())
    };
    let names = files::list(home).unwrap_or_default().into_iter().filter_map(name);
    names.filter(|name| !runs.iter().any(|run| run.experiment == *name)).collect()
}

fn wanted(run: &Listed, filters: &Filters) -> bool {
    let of = |pick: fn(&Summary) -> String, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| {
            run.summary.as_ref().is_ok_and(|s| pick(s).to_lowercase().contains(&wanted.to_lowercase()))
        })
    };
    filters.names(&run.experiment)
        && of(|summary| summary.verdict.word().to_owned(), &filters.verdict)
        && of(|summary| summary.host.cpu.clone(), &filters.machine)
}

const HEADER: [&str; 7] = ["EXPERIMENT/RUN", "VERDICT", "VARIANT", "ACCURACY", "SPEEDUP", "AGE", "MACHINE"];

/// A line per variant; the run's own columns stand in its first.
fn table(runs: &[Listed], not_run: Vec<String>) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    runs.iter().for_each(|run| rows.extend(lines(run)));
    rows.extend(not_run.into_iter().map(|name| {
        let [a, b, c, d, e] = [const { String::new() }; 5];
        [name, "not run".to_owned(), a, b, c, d, e]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn lines(run: &Listed) -> Vec<[String; 7]> {
    let name = format!("{}/{}", run.experiment, run.name);
    let summary = match &run.summary {
        Ok(summary) => summary,
        Err(reason) => {
            let [a, b, c, d] = [const { String::new() }; 4];
            return vec![[name, "unreadable".to_owned(), a, b, c, d, reason.clone()]];
        }
    };
    let mut first = Some([name, summary.verdict.word().to_owned(), age(summary), summary.host.cpu.clone()]);
    let line = |variant: &VariantResult| {
        let [name, verdict, age, machine] = first.take().unwrap_or_default();
        let (accuracy, speedup) = figures(variant);
        [name, verdict, variant.name.clone(), accuracy, speedup, age, machine]
    };
    summary.variants.iter().map(line).collect()
}

fn figures(variant: &VariantResult) -> (String, String) {
    let Some(measured) = variant.measured() else { return (ABSENT.to_owned(), ABSENT.to_owned()) };
    let speedup = measured.latency.first().and_then(|latency| latency.speedup);
    let quality = match &measured.judged {
        Judged::Classes(own) => units::percent(own.accuracy.value),
        Judged::Outputs { fidelity } => {
            fidelity.worst().and_then(|worst| worst.sqnr_db).map_or_else(|| ABSENT.to_owned(), |own| shown(own.value))
        }
    };
    (quality, speedup.map_or(ABSENT.to_owned(), |s| units::times(s.value)))
}

fn age(summary: &Summary) -> String {
    let Some(age) = clock::since(&summary.run.started) else { return ABSENT.to_owned() };
    let hours = age.num_hours();
    if hours < 1 {
        return format!("{} min", age.num_minutes());
    }
    if hours < 48 { format!("{hours} h") } else { format!("{} d", hours / 24) }
}

fn document(run: &Listed) -> Value {
    let at = run.folder.display().to_string();
    let summary = match &run.summary {
        Ok(summary) => summary,
        Err(reason) => return json!({ "experiment": run.experiment, "run": run.name, "folder": at, "error": reason }),
    };
    let variant = |variant: &VariantResult| {
        let measured = variant.measured();
        json!({
            "name": variant.name,
            "accuracy": measured.and_then(Measured::classified).map(|own| own.accuracy),
            "fidelity": measured.and_then(Measured::fidelity),
            "latency": measured.and_then(|m| m.latency.first()).map(|l| json!({ "batch": l.batch, "ms": l.milliseconds })),
            "speedup": measured.and_then(|m| m.latency.first()).and_then(|latency| latency.speedup),
            "speedup_unclaimed": measured.and_then(|m| m.latency.first()).and_then(Latency::why_unclaimed),
        })
    };
    json!({
        "experiment": run.experiment,
        "run": run.name,
        "folder": at,
        "started": summary.run.started,
        "verdict": summary.verdict,
        "machine": { "cpu": summary.host.cpu, "cores": summary.host.cores },
        "variants": summary.variants.iter().map(variant).collect::<Vec<_>>(),
    })
}
