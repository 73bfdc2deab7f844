//! `requant run`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::gauge::Gauge;
use super::progress::Progress;
use super::{Exit, engine, print};
use crate::base::explain::Failure;
use crate::manifest::{self, Overrides};
use crate::pipeline::{self, Finished, Surroundings};
use crate::report::terminal;

pub(super) fn run(path: &Path, overrides: &Overrides, results: &Path) -> Result<Exit, Failure> {
    let resolved = manifest::load(path, overrides)?;
    engine::enter(&resolved.manifest.compute)?;
    let own = own_path()?;
    let worker = || {
        let mut command = Command::new(&own);
        command.arg("worker");
        command
    };
    let around = Surroundings {
        results,
        events: &Progress::new(),
        meter: &Gauge::new("hashing"),
        worker: &worker,
        repeats: None,
    };
    let Finished { record, folder } = pipeline::run(resolved, &around)?;
    print(&terminal::summary(&record));
    print(&format!("report: {}\n", folder.join("report.md").display()));
    Ok(Exit::from(record.verdict))
}

fn own_path() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::bug(format!("cannot find requant's own binary: {error}")))
}
