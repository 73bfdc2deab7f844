//! `requant run`.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::progress::Progress;
use super::{Exit, print};
use crate::backend;
use crate::base::explain::{Cause, Failure};
use crate::manifest::Compute;
use crate::pipeline::{self, Finished, Surroundings};
use crate::report::terminal;

pub(super) fn run(manifest: &Path, results: &Path) -> Result<Exit, Failure> {
    let resolved = pipeline::resolve(manifest)?;
    enter_environment(&resolved.manifest.compute)?;
    let own = own_path()?;
    let worker = || {
        let mut command = Command::new(&own);
        command.arg("worker");
        command
    };
    let around = Surroundings { results, events: &Progress::new(), worker: &worker };
    let Finished { record, folder } = pipeline::run(resolved, &around)?;
    print(&terminal::summary(&record));
    print(&format!("report: {}\n", folder.join("report.md").display()));
    Ok(Exit::from(record.verdict))
}

fn own_path() -> Result<std::path::PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure {
        cause: Cause::Bug,
        message: format!("cannot find requant's own binary: {error}"),
        next_step: None,
    })
}

/// Kernel libraries choose their instructions from the environment when they are first used, which
/// may be before `main`. So where it differs, the process starts itself again under the right one.
fn enter_environment(compute: &Compute) -> Result<(), Failure> {
    let wanted = backend::environment(compute);
    if wanted.iter().all(|(name, value)| std::env::var(name).as_deref() == Ok(*value)) {
        return Ok(());
    }
    let error = Command::new(own_path()?).args(std::env::args_os().skip(1)).envs(wanted).exec();
    Err(Failure {
        cause: Cause::Bug,
        message: format!("cannot start again under `compute.isa`: {error}"),
        next_step: None,
    })
}
