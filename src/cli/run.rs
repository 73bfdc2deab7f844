//! `requant run`.

use std::path::Path;
use std::process::Command;

use super::diff;
use crate::backend::process;
use crate::backend::{self, Work};
use crate::base::explain::Failure;
use crate::diagnose;
use crate::diff::{Diff, Layout};
use crate::manifest::{self, Overrides, Resolved};
use crate::pipeline::{self, Finished};
use crate::record::format::Repeated;
use crate::report::terminal;
use crate::terminal::gauge::Gauge;
use crate::terminal::progress::Progress;
use crate::terminal::{Exit, print};
use crate::workbench::Surroundings;

pub(super) fn run(path: &Path, overrides: &Overrides, results: &Path, against: Option<&str>) -> Result<Exit, Failure> {
    let resolved = manifest::load(path, overrides)?;
    // Read first: after the run an experiment's name would mean the run itself.
    let other = against.map(|name| diff::side(results, name)).transpose()?;
    process::enter(&resolved.manifest, Work::Judging)?;
    let Finished { record, folder } = execute(resolved, results, None)?;
    if let Some(other) = other {
        let own = crate::diff::load(&folder, folder.display().to_string())?;
        print(&format!("\n{}", crate::diff::render(&Diff::of(&other, &own), &[], Layout::Terminal)));
    }
    Ok(Exit::from(record.verdict))
}

/// Runs a resolved manifest and prints what came of it.
pub(super) fn execute(resolved: Resolved, results: &Path, repeats: Option<Repeated>) -> Result<Finished, Failure> {
    let own = process::own_path()?;
    let worker = || worker_of(&own);
    let (events, meter) = (Progress::new(), Gauge::new("hashing"));
    let around = Surroundings { results, events: &events, meter: &meter, worker: &worker, repeats, neighbours: None };
    let finished = pipeline::run(resolved, &around)?;
    print(&terminal::summary(&finished.record));
    print(&format!("report: {}\n", finished.folder.join("report.md").display()));
    if diagnose::remedy(&finished.record).is_some() {
        print(&format!("next: requant remedy {}, which writes the remedy as a manifest\n", finished.folder.display()));
    }
    Ok(finished)
}

/// A measuring process of the program at `own`.
pub(super) fn worker_of(own: &Path) -> Command {
    let mut command = Command::new(own);
    command.arg("worker").envs(backend::timing_environment());
    command
}
