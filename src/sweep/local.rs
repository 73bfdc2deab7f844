//! Points on this machine: so many processes at a time, each a task like a scheduler's.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Folder;
use super::state::{self, State};
use crate::base::explain::Failure;
use crate::base::interrupt;

/// What is told while points run.
pub trait Watcher {
    /// `done` points of `total` have ended, this one last.
    fn ended(&self, point: usize, state: &State, done: usize, total: usize);
}

/// How points are run here.
#[derive(Debug, Clone, Copy)]
pub struct Jobs {
    /// Processes at a time; the processors are divided among them.
    pub count: usize,
    /// Time points while others compute.
    pub parallel_timing: bool,
}

/// Runs points with `program`, which is requant. Asked to stop, it lets the tasks stop cleanly and begins no other.
pub fn run(
    folder: &Folder,
    points: &[usize],
    jobs: Jobs,
    program: &Path,
    watcher: &dyn Watcher,
) -> Result<(), Failure> {
    let mut waiting: VecDeque<usize> = points.iter().copied().collect();
    let mut slots: Vec<Option<(usize, Child)>> = (0..jobs.count.max(1)).map(|_| None).collect();
    let (mut done, total) = (0, points.len());
    let mut asked = false;
    loop {
        let stopping = interrupt::check().is_err();
        if stopping && !asked {
            asked = true;
            slots.iter().flatten().for_each(|(_, child)| stop(child));
        }
        for (at, slot) in slots.iter_mut().enumerate() {
            if let Some((point, child)) = slot {
                if child.try_wait().is_ok_and(|status| status.is_none()) {
                    continue;
                }
                done += 1;
                let point = *point;
                *slot = None;
                watcher.ended(point, &state::of_one(folder, point)?, done, total);
            }
            if let Some(point) = (!stopping).then(|| waiting.pop_front()).flatten() {
                let child = start(folder, point, at, jobs, program);
                let child = child.map_err(|error| Failure::bug(format!("a task did not start: {error}")))?;
                *slot = Some((point, child));
            }
        }
        if slots.iter().all(Option::is_none) {
            return Ok(interrupt::check()?);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn start(folder: &Folder, point: usize, at: usize, jobs: Jobs, program: &Path) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    command.args(["sweep", "task"]).arg(&folder.path).args(["--point", &point.to_string()]);
    command.args(["--share", &format!("{at}/{}", jobs.count.max(1))]);
    if jobs.parallel_timing {
        command.arg("--parallel-timing");
    }
    // What a terminal sends to all reaches a task once, through this process.
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).spawn()
}

fn stop(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}
