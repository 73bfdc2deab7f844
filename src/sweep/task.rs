//! One point, run by a process of its own: this one claims it, starts the other, and writes down how it ended,
//! whatever becomes of it.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::Folder;
use super::attempt::{self, Attempt, Claim, End, Job};
use crate::base::explain::Failure;
use crate::base::{clock, interrupt, owner};

/// What the process that ran a point says last, as a line of JSON on its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The run's folder, below that of the sweep's name.
    pub run: String,
    /// Of the run's verdict.
    pub exit: u8,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// This process ran it.
    Ended(End),
    /// It had been run already.
    Already(String),
    /// Somebody else is at it.
    Busy(Box<Attempt>),
}

/// How long a process that was asked to stop is waited for: until it is asked itself, where whoever asked has not
/// done so already, until it is asked again, which ends it at once, and until it is killed.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub first: Duration,
    pub second: Duration,
    pub last: Duration,
}

impl Patience {
    /// Schedulers ask every process of a task and kill all of them after a while, at least five seconds.
    pub const SCHEDULED: Self =
        Self { first: Duration::from_millis(1500), second: Duration::from_secs(3), last: Duration::from_secs(4) };
    /// Here nobody but this process asks.
    pub const LOCAL: Self =
        Self { first: Duration::ZERO, second: Duration::from_secs(20), last: Duration::from_secs(25) };
}

/// Runs a point with `command`, unless it has been run, or is.
pub fn run(
    folder: &Folder,
    number: usize,
    job: Option<Job>,
    patience: Patience,
    command: Command,
) -> Result<Outcome, Failure> {
    let claim = match claim(folder, number, job)? {
        Ok(claim) => claim,
        Err(outcome) => return Ok(outcome),
    };
    let log = folder.path.join("logs").join(format!("{number:05}.{}.log", claim.attempt().attempt));
    let end = match Running::start(command, &log) {
        Ok(running) => running.wait(folder, patience),
        Err(error) => End::Failed { reason: format!("it did not start: {error}") },
    };
    claim.end(end.clone())?;
    Ok(Outcome::Ended(end))
}

/// An attempt of this process's own, or why there is none to be made.
fn claim(folder: &Folder, number: usize, job: Option<Job>) -> Result<Result<Claim, Outcome>, Failure> {
    let facts = folder.point(number)?.clone();
    loop {
        let latest = attempt::latest_of(&folder.path, number)?;
        if let Some(latest) = &latest {
            if let Some(run) = latest.end.as_ref().and_then(End::run).filter(|run| folder.is_run_of(run, &facts.id)) {
                return Ok(Err(Outcome::Already(run.to_owned())));
            }
            if latest.end.is_none() {
                if !is_superseded(latest, job) && owner::lives(&latest.owner) {
                    return Ok(Err(Outcome::Busy(Box::new(latest.clone()))));
                }
                let reason = "its process was gone, and nothing says why".to_owned();
                attempt::close(&folder.path, latest, End::Lost { reason })?;
            }
        }
        let number_of = latest.map_or(1, |latest| latest.attempt + 1);
        let Some(claim) = Claim::make(&folder.path, number, facts.id, number_of, job)? else {
            interrupt::check()?;
            continue;
        };
        // Looked for once the point is ours: nobody else makes one meanwhile.
        if let Some(run) = folder.run_of(&facts.id, &folder.neighbours()?) {
            claim.end(End::Found { run: run.clone() })?;
            return Ok(Err(Outcome::Already(run)));
        }
        return Ok(Ok(claim));
    }
}

/// Whether the scheduler has started the same element anew since.
fn is_superseded(latest: &Attempt, job: Option<Job>) -> bool {
    latest
        .job
        .zip(job)
        .is_some_and(|(then, now)| (then.array, then.task) == (now.array, now.task) && then.restart < now.restart)
}

/// The process that runs the point.
struct Running {
    child: Child,
    /// Its last words on either stream, once it has ended.
    said: thread::JoinHandle<String>,
    told: thread::JoinHandle<VecDeque<String>>,
}

/// How a process ends that was asked to stop.
const INTERRUPTED: i32 = 130;

/// Lines of its messages that are looked at for the reason of a failure.
const KEPT: usize = 60;
const LONGEST: u64 = 1 << 16;

impl Running {
    fn start(mut command: Command, log: &Path) -> std::io::Result<Self> {
        // A log that cannot be written is no reason not to run.
        let mut log = std::fs::File::options().create(true).append(true).open(log).ok();
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What a terminal sends to all comes through this process alone.
        let mut child = command.process_group(0).spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let said = thread::spawn(move || stdout.map_or_else(String::new, last_line));
        let told = thread::spawn(move || {
            let mut kept = VecDeque::new();
            let Some(pipe) = stderr else { return kept };
            each_line(pipe, |line| {
                if let Some(file) = &mut log {
                    let _ = writeln!(file, "{line}");
                }
                kept.push_back(line.to_owned());
                if kept.len() > KEPT {
                    kept.pop_front();
                }
            });
            kept
        });
        Ok(Self { child, said, told })
    }

    fn wait(mut self, folder: &Folder, patience: Patience) -> End {
        let (status, asked) = self.ended(patience);
        let said = self.said.join().unwrap_or_default();
        let told = self.told.join().unwrap_or_default();
        if let Ok(Report { run, exit }) = serde_json::from_str(&said)
            && folder.has_run(&run)
        {
            return End::Done { run, exit };
        }
        // Whoever asked may have asked the other process first.
        let asked =
            asked || interrupt::check().is_err() || status.as_ref().is_ok_and(|s| s.code() == Some(INTERRUPTED));
        let how = status.map_or_else(|error| error.to_string(), described);
        if asked {
            return End::Cancelled { reason: format!("asked to stop; {how}") };
        }
        match reason(&told) {
            Some(reason) => End::Failed { reason: format!("{how}: {reason}") },
            None => End::Failed { reason: how },
        }
    }

    /// Waits for the end, and sees to it once somebody asks for it.
    fn ended(&mut self, patience: Patience) -> (std::io::Result<ExitStatus>, bool) {
        let mut asked: Option<Instant> = None;
        let mut steps =
            [(patience.first, Signal::TERM), (patience.second, Signal::TERM), (patience.last, Signal::KILL)]
                .into_iter()
                .peekable();
        loop {
            match self.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return (Ok(status), asked.is_some()),
                Err(error) => return (Err(error), asked.is_some()),
            }
            if interrupt::check().is_err() {
                let since = *asked.get_or_insert_with(clock::tick);
                while let Some((_, signal)) = steps.next_if(|(after, _)| since.elapsed() >= *after) {
                    if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                        let _ = kill_process(pid, signal);
                    }
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(9)) => "killed by signal 9, as the kernel does where memory runs out".to_owned(),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The last error that the process told of, or its last line.
fn reason(lines: &VecDeque<String>) -> Option<String> {
    let error = lines.iter().rev().find_map(|line| line.strip_prefix("error: "));
    let last = || lines.iter().rev().map(String::as_str).find(|line| !line.trim().is_empty());
    error.or_else(last).map(|line| line.chars().take(400).collect())
}

fn last_line(pipe: impl Read) -> String {
    let mut last = String::new();
    each_line(pipe, |line| line.clone_into(&mut last));
    last
}

fn each_line(pipe: impl Read, mut take: impl FnMut(&str)) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while matches!(reader.by_ref().take(LONGEST).read_until(b'\n', &mut line), Ok(read) if read > 0) {
        take(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

/// Asks a process of this machine to stop; whether there was one.
#[must_use]
pub fn ask_to_stop(owner: &str) -> bool {
    let pid = owner::pid(owner).and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok())
}
