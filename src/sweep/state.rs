//! Where each point stands, from two sources of which neither is enough: what whoever ran it wrote, and what the
//! scheduler says.
//!
//! Files miss what never started and what was killed; a scheduler forgets ended jobs, drops cancelled ones without
//! a trace, lags, and may be out of reach. So the scheduler is asked first and the files are read second, and a
//! task that ends in between is seen by its file.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Folder;
use super::attempt::{self, Attempt, End};
use super::launch::{Array, launches};
use super::slurm::{self, Row};
use crate::base::explain::Failure;
use crate::base::owner;

/// Where a point stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// `exit` is absent where the run was found and not made.
    Done {
        run: String,
        exit: Option<u8>,
    },
    Running {
        node: String,
        since: String,
    },
    /// A scheduler has it.
    Queued {
        reason: String,
    },
    /// Nobody has it.
    Waiting,
    Failed {
        reason: String,
    },
    Cancelled {
        reason: String,
    },
    /// It was begun, and is not run by anybody any more.
    Lost {
        reason: String,
    },
    /// The scheduler has it, and cannot be asked.
    Unknown {
        reason: String,
    },
}

impl State {
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Running { .. } => "running",
            Self::Queued { .. } => "queued",
            Self::Waiting => "waiting",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Lost { .. } => "lost",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// What there is to say besides the word.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Done { run, .. } => run.clone(),
            Self::Running { node, since } => format!("on {node} since {since}"),
            Self::Waiting => String::new(),
            Self::Queued { reason }
            | Self::Failed { reason }
            | Self::Cancelled { reason }
            | Self::Lost { reason }
            | Self::Unknown { reason } => reason.clone(),
        }
    }

    /// Whether somebody has it in hand, or may have.
    #[must_use]
    pub const fn is_in_hand(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Queued { .. } | Self::Unknown { .. })
    }

    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// Where a sweep stands.
pub struct Standing {
    /// By point.
    pub states: Vec<State>,
    pub attempts: Vec<Option<Attempt>>,
    /// Why the scheduler could not be asked, if it could not.
    pub unreachable: Option<String>,
}

/// Where a point that ran here stands.
pub fn of_one(folder: &Folder, number: usize) -> Result<State, Failure> {
    let attempt = attempt::latest_of(&folder.path, number)?;
    Ok(state(folder, attempt.as_ref(), Ok(None)))
}

/// Where every point of a sweep stands now.
pub fn of(folder: &Folder) -> Result<Standing, Failure> {
    let count = folder.record.points.len();
    let mut attempts = attempt::latest(&folder.path, count)?;
    let names = slurm::job_names(folder)?;
    let mut rows = Ok(BTreeMap::new());
    let is_done = |attempt: &Attempt| attempt.end.as_ref().and_then(End::run).is_some_and(|run| folder.has_run(run));
    let all_done = attempts.iter().all(|attempt| attempt.as_ref().is_some_and(is_done));
    if !names.is_empty() && !all_done {
        rows = slurm::queue(&names);
        attempts = attempt::latest(&folder.path, count)?;
    }
    let unreachable = rows.as_ref().err().cloned();
    let scheduled = scheduled(folder)?;
    let mut states: Vec<State> = (0..count)
        .map(|at| {
            let row = rows.as_ref().map(|rows| rows.get(&(at + 1)));
            let row = row.map_err(|why| scheduled.contains(&(at + 1)).then_some(why.as_str()));
            state(folder, attempts[at].as_ref(), row)
        })
        .collect();
    if states.iter().any(|state| !state.is_done() && !state.is_in_hand()) {
        // A run may be whole though nobody wrote so, or be another sweep's.
        let names = folder.neighbours()?;
        for (state, point) in states.iter_mut().zip(&folder.record.points) {
            if !state.is_done()
                && !state.is_in_hand()
                && let Some(run) = folder.run_of(&point.id, &names)
            {
                *state = State::Done { run, exit: None };
            }
        }
    }
    Ok(Standing { states, attempts, unreachable })
}

/// What that makes of a point of which nothing else is known.
fn of_row(row: &Row) -> State {
    match row.state.as_str() {
        "RUNNING" | "COMPLETING" | "CONFIGURING" => {
            State::Queued { reason: format!("Slurm says {}; nothing is written yet", row.state) }
        }
        _ if row.is_active() => State::Queued { reason: format!("{} ({})", row.state, row.reason) },
        "CANCELLED" | "PREEMPTED" => State::Cancelled { reason: format!("Slurm says {row}") },
        "COMPLETED" => State::Lost { reason: "Slurm says that it ended well, and there is no record of it".into() },
        _ => State::Failed { reason: format!("Slurm says {row}, and there is no record of it") },
    }
}

/// Points that the last launch of a scheduler was given and that were not cancelled since.
fn scheduled(folder: &Folder) -> Result<std::collections::BTreeSet<usize>, Failure> {
    let launches = launches(folder)?;
    let live = launches.iter().filter(|launch| launch.cancelled.is_none());
    Ok(live.flat_map(|launch| launch.arrays.iter().flat_map(Array::numbers)).collect())
}

/// `row` is what the scheduler says, or, where it cannot be asked, why the point may be with it.
fn state(folder: &Folder, attempt: Option<&Attempt>, row: Result<Option<&Row>, Option<&str>>) -> State {
    let ended = attempt.filter(|attempt| attempt.end.is_some());
    // Begun anew since: another array, or the same element again.
    let since = |row: &&Row, attempt: &Attempt| {
        attempt.job.is_none_or(|job| row.array > job.array || (row.array == job.array && row.restarts > job.restart))
    };
    if let Some((attempt, end)) = ended.and_then(|attempt| Some((attempt, attempt.end.as_ref()?))) {
        let told = of_end(folder, end);
        // What is done stays done, should the scheduler start it again all the same.
        let again = row.ok().flatten().filter(|row| !told.is_done() && row.is_active() && since(row, attempt));
        return again.map_or(told, of_row);
    }
    let Some(attempt) = attempt else {
        return match row {
            Ok(Some(row)) => of_row(row),
            Err(Some(why)) => State::Unknown { reason: why.to_owned() },
            Ok(None) | Err(None) => State::Waiting,
        };
    };
    let here = owner::is_of_this_host(&attempt.owner);
    let unseen = if here || attempt.job.is_some() { "" } else { " (which cannot be seen from here)" };
    let running = || State::Running { node: attempt.node.clone() + unseen, since: attempt.started.clone() };
    let begun = format!("begun on {} at {}", attempt.node, attempt.started);
    match row {
        Ok(Some(row)) if row.is_active() && attempt.job.is_some_and(|_| since(&row, attempt)) => of_row(row),
        _ if here && owner::lives(&attempt.owner) => running(),
        Ok(Some(row)) if here => State::Lost { reason: format!("{begun}, its process is gone; Slurm says {row}") },
        _ if here => State::Lost { reason: format!("{begun}, its process is gone") },
        Ok(Some(row)) if row.is_active() => running(),
        Ok(Some(row)) => State::Lost { reason: format!("{begun}, no record of its end; Slurm says {row}") },
        Ok(None) if attempt.job.is_some() => {
            State::Lost { reason: format!("{begun}, no record of its end, and Slurm has no such job any more") }
        }
        // A process of another machine, started by hand, cannot be seen from here.
        Ok(None) | Err(None) => running(),
        Err(Some(why)) => State::Unknown { reason: format!("{begun}; {why}") },
    }
}

fn of_end(folder: &Folder, end: &End) -> State {
    match end {
        End::Done { run, exit } if folder.has_run(run) => State::Done { run: run.clone(), exit: Some(*exit) },
        End::Found { run } if folder.has_run(run) => State::Done { run: run.clone(), exit: None },
        End::Done { run, .. } | End::Found { run } => {
            State::Lost { reason: format!("its run `{run}` is not there any more") }
        }
        End::Failed { reason } => State::Failed { reason: reason.clone() },
        End::Cancelled { reason } => State::Cancelled { reason: reason.clone() },
        End::Lost { reason } => State::Lost { reason: reason.clone() },
    }
}
