//! The two processes of a point: one that sees to it, and one that runs it.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::backend::Work;
use crate::backend::process;
use crate::backend::process::own_path;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::cli::run::worker_of;
use crate::cli::worker;
use crate::pipeline;
use crate::report::terminal;
use crate::sweep::attempt::End;
use crate::sweep::neighbours::{Machine, Share};
use crate::sweep::task::{self, Outcome, Patience, Report};
use crate::sweep::{Folder, slurm};
use crate::terminal::gauge::Gauge;
use crate::terminal::progress::Progress;
use crate::terminal::{Exit, eprint};
use crate::workbench::Surroundings;

/// Claims a point, has it run, and writes down how that ended.
pub(super) fn task(
    path: &Path,
    point: Option<usize>,
    offset: Option<usize>,
    share: Option<Share>,
    parallel_timing: bool,
) -> Result<Exit, Failure> {
    let folder = Folder::open(path)?;
    let job = offset.and_then(|_| slurm::own_job());
    let element = offset.map(|offset| {
        let job = job.ok_or_else(|| Failure::from(no_element()))?;
        usize::try_from(job.task).map(|task| task + offset).map_err(|_| Failure::from(no_element()))
    });
    let number = element.transpose()?.or(point).unwrap_or_default();
    let mut command = Command::new(own_path()?);
    command.args(["sweep", "point"]).arg(path).arg(number.to_string());
    if let Some(Share { at, of }) = share {
        command.args(["--share", &format!("{at}/{of}")]);
    }
    if parallel_timing {
        command.arg("--parallel-timing");
    }
    let patience = if job.is_some() { Patience::SCHEDULED } else { Patience::LOCAL };
    match task::run(&folder, number, job, patience, command)? {
        // For a scheduler a task has failed where there is no run, whatever the run's verdict.
        Outcome::Ended(End::Done { exit, .. }) => Ok(if job.is_some() { Exit::Done } else { code(exit) }),
        Outcome::Already(run) => {
            eprint(&format!("point {number} is done: {run}"));
            Ok(Exit::Done)
        }
        Outcome::Ended(End::Cancelled { reason }) => {
            eprint(&format!("point {number}: {reason}"));
            Ok(Exit::Interrupted)
        }
        Outcome::Ended(End::Failed { reason } | End::Lost { reason }) => {
            eprint(&format!("point {number}: {reason}"));
            Ok(Exit::Failed)
        }
        Outcome::Ended(End::Found { .. }) => Ok(Exit::Done),
        Outcome::Busy(other) => {
            let message =
                format!("point {number} is run by another process, on {} since {}", other.node, other.started);
            Err(Diagnostic::error(Cause::Input, message).next("see `requant sweep status`").into())
        }
    }
}

fn no_element() -> Diagnostic {
    let message = "this process is no element of a Slurm array: `SLURM_ARRAY_TASK_ID` is not set";
    Diagnostic::error(Cause::Input, message).next("start points with `requant sweep FILE`")
}

const fn code(exit: u8) -> Exit {
    match exit {
        0 => Exit::Done,
        3 => Exit::Inconclusive,
        _ => Exit::Failed,
    }
}

/// Runs a point; the last line of standard output says which run it was.
pub(super) fn point(path: &Path, number: usize, share: Option<Share>, parallel_timing: bool) -> Result<Exit, Failure> {
    let folder = Folder::open(path)?;
    let resolved = folder.settings(number)?;
    process::enter(&resolved.manifest, Work::Judging)?;
    // Without whoever started it nobody would write down how it ended.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    let mut answers = worker::answers().map_err(|error| Failure::bug(format!("cannot set up the answer: {error}")))?;
    let machine = Machine::join(share, parallel_timing)?;
    let own = own_path()?;
    let worker = || worker_of(&own);
    let (events, meter) = (Progress::new(), Gauge::new("hashing"));
    let results = folder.results();
    let around = Surroundings {
        results: &results,
        events: &events,
        meter: &meter,
        worker: &worker,
        repeats: None,
        neighbours: Some(&machine),
    };
    let finished = pipeline::run(resolved, &around)?;
    eprint(terminal::summary(&finished.record).trim_end());
    let exit = Exit::from(finished.record.verdict);
    let run = finished.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let report = serde_json::to_string(&Report { run, exit: exit.code() });
    // The run is whole and will be found by its settings, though nobody should be there to hear of it.
    let _ = writeln!(answers, "{}", report.unwrap_or_default());
    Ok(exit)
}
