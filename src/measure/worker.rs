//! A fresh process per variant, spoken to in JSON lines: requests on its standard input, answers
//! on its standard output, logs on its standard error. A child that dies, hangs, babbles or wants
//! too much memory fails its own variant and no other.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde::{Deserialize, Serialize};

use super::turn::{Inputs, Length, Timed};
use crate::base::explain::{Cause, Explain};
use crate::base::{clock, files, interrupt};

/// What a child is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask<V> {
    /// Load an artefact; `input` is a file of raw little-endian `f32` of shape `shape`.
    Open { variant: V, artefact: PathBuf, input: PathBuf, shape: Vec<usize> },
    /// Time forward passes on batches of `batch` images; an input is known by its first image.
    Time { batch: usize, length: Length, inputs: Inputs },
    /// Report and end.
    Finish,
}

/// What a child answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Loaded: the largest resident set with the runtime alone, and until the model was loaded.
    Opened {
        runtime_bytes: Option<u64>,
        loaded_bytes: Option<u64>,
        /// Of tensors on a device with memory of its own, until the model was loaded.
        #[serde(default)]
        device_bytes: Option<u64>,
        /// The process's nice value.
        #[serde(default)]
        nice: Option<i32>,
    },
    Timed(Timed),
    /// The largest resident set since loading.
    Finished {
        peak_bytes: Option<u64>,
        /// The most that tensors held since loading on a device with memory of its own.
        #[serde(default)]
        device_bytes: Option<u64>,
    },
    Failed {
        message: String,
        #[serde(default)]
        remedy: Option<String>,
    },
}

/// What a child may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest silence after a request.
    pub timeout: Duration,
    /// Most bytes of writable memory of its own.
    pub memory_bytes: Option<u64>,
}

/// Why a child gave no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", if stderr.is_empty() { String::new() } else { format!("; it wrote: {stderr}") })]
pub struct WorkerError {
    what: String,
    /// The last lines of its standard error.
    stderr: String,
    remedy: Option<String>,
}

impl Explain for WorkerError {
    fn class(&self) -> Cause {
        Cause::Refuted
    }

    fn next_step(&self) -> Option<String> {
        self.remedy.clone()
    }
}

/// A child process at work.
pub struct Worker {
    child: Child,
    answers: Receiver<String>,
    stderr: LastWords,
    limits: Limits,
}

/// An answer is no longer than this; the longest holds the times of one turn.
const LONGEST_LINE: u64 = 16 << 20;

/// Lines of standard error that are kept, and characters of each.
const KEPT_LINES: usize = 5;
const KEPT_CHARACTERS: usize = 400;

/// How often an interrupt is looked for while a child works.
const PATIENCE: Duration = Duration::from_millis(100);

impl Worker {
    /// Starts a child that speaks the protocol.
    pub fn start(command: &mut Command, limits: Limits) -> Result<Self, WorkerError> {
        let fail = |what: String, remedy| WorkerError { what, stderr: String::new(), remedy };
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(|e| {
            let remedy = files::more_descriptors(&e);
            fail(format!("the measuring process did not start: {e}"), remedy)
        })?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(fail("the measuring process has no output".into(), None));
        };
        let mut worker = Self { child, answers: lines_of(stdout), stderr: last_lines_of(stderr), limits };
        match worker.limit_memory() {
            Ok(()) => Ok(worker),
            Err(error) => Err(worker.broken(&format!("the measuring process's memory could not be limited: {error}"))),
        }
    }

    /// The child's process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn limit_memory(&self) -> rustix::io::Result<()> {
        let Some(bytes) = self.limits.memory_bytes else { return Ok(()) };
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        prlimit(pid, Resource::Data, limit).map(drop)
    }

    /// Asks and waits for the answer. After an error the child is of no more use.
    pub fn ask<V: Serialize>(&mut self, ask: &Ask<V>) -> Result<Answer, WorkerError> {
        let mut line = serde_json::to_string(ask).map_err(|e| self.broken(&e.to_string()))?;
        line.push('\n');
        let sent = self.child.stdin.as_mut().map(|pipe| pipe.write_all(line.as_bytes()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.broken("the measuring process hung up"));
        }
        let reply = self.wait()?;
        match serde_json::from_str(&reply) {
            Ok(Answer::Failed { message, remedy }) => Err(WorkerError { remedy, ..self.broken(&message) }),
            Ok(answer) => Ok(answer),
            Err(_) => {
                let said: String = reply.trim_end().chars().take(60).collect();
                Err(self.broken(&format!("the measuring process answered out of protocol (`{said}`)")))
            }
        }
    }

    fn wait(&mut self) -> Result<String, WorkerError> {
        let asked = clock::tick();
        loop {
            match self.answers.recv_timeout(PATIENCE) {
                Ok(reply) => return Ok(reply),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.broken("the measuring process ended without an answer"));
                }
                Err(RecvTimeoutError::Timeout) if interrupt::check().is_err() => {
                    return Err(WorkerError { remedy: None, ..self.broken("the measurement was interrupted") });
                }
                Err(RecvTimeoutError::Timeout) if asked.elapsed() >= self.limits.timeout => {
                    let seconds = self.limits.timeout.as_secs();
                    let what =
                        format!("the measuring process gave no answer for {seconds} s (`benchmark.timeout_seconds`)");
                    let remedy = Some("raise `benchmark.timeout_seconds` if it was only slow".to_owned());
                    return Err(WorkerError { remedy, ..self.broken(&what) });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn broken(&mut self, what: &str) -> WorkerError {
        // How it ended tells something only if it ended by itself; give it a moment to be reaped.
        let status = (0..20).find_map(|_| {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_none() {
                thread::sleep(Duration::from_millis(10));
            }
            ended
        });
        let status = status.map_or_else(String::new, |status| format!(" ({})", described(status)));
        let _ = self.child.kill();
        let _ = self.child.wait();
        WorkerError { what: format!("{what}{status}"), stderr: self.stderr.read(), remedy: Some(self.why_it_ended()) }
    }

    /// What a person can look into where a child has gone.
    fn why_it_ended(&self) -> String {
        match self.limits.memory_bytes {
            Some(bytes) => {
                let megabytes = bytes / 1_000_000;
                format!("raise or remove `benchmark.memory_limit_mb`, which is {megabytes}, if that is what ended it")
            }
            None => "look into the system's log for what ended it (memory, a person)".to_owned(),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn described(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match status.signal() {
        Some(9) => format!("{status}; if nobody sent it, the kernel was out of memory"),
        _ => status.to_string(),
    }
}

/// The lines of an answering child, each with its newline; the channel closes with the pipe. A line
/// that is cut short by the end is no answer.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            let read = pipe.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            let line = String::from_utf8_lossy(&line).into_owned();
            if !matches!(read, Ok(1..)) || sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The last lines that came through a pipe.
struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    ended: Receiver<()>,
}

impl LastWords {
    /// What came so far; of a process that has ended, all of it, unless a process of its own still
    /// holds the pipe.
    fn read(&self) -> String {
        let _ = self.ended.recv_timeout(Duration::from_millis(500));
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }
}

/// Reads a pipe to its end, so that the writer never waits, and keeps its last lines.
fn last_lines_of(pipe: impl Read + Send + 'static) -> LastWords {
    let lines = Arc::new(Mutex::new(VecDeque::new()));
    let kept = Arc::clone(&lines);
    // The sender is dropped with the thread, which ends the receiver's waiting.
    let (sender, ended) = sync_channel(0);
    thread::spawn(move || {
        let _ended: std::sync::mpsc::SyncSender<()> = sender;
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(pipe.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line), Ok(1..)) {
            let text: String = String::from_utf8_lossy(&line).trim().chars().take(KEPT_CHARACTERS).collect();
            line.clear();
            let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if !text.is_empty() {
                lines.push_back(text);
            }
            if lines.len() > KEPT_LINES {
                lines.pop_front();
            }
        }
    });
    LastWords { lines, ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, seconds: u64, memory_bytes: Option<u64>) -> Worker {
        let limits = Limits { timeout: Duration::from_secs(seconds), memory_bytes };
        Worker::start(Command::new("sh").args(["-c", script]), limits).unwrap()
    }

    fn failure(script: &str, seconds: u64) -> String {
        shell(script, seconds, Some(200 << 20)).ask(&Ask::<()>::Finish).unwrap_err().to_string()
    }

    #[test]
    fn a_child_that_answers_is_heard() {
        let mut fine = shell(r#"read x; echo '{"finished":{"peak_bytes":7}}'"#, 60, None);
        assert_eq!(fine.ask(&Ask::<()>::Finish).unwrap(), Answer::Finished { peak_bytes: Some(7), device_bytes: None });
    }

    #[test]
    fn a_child_that_fails_is_named_with_its_last_words() {
        for (script, words) in [
            ("read x; echo 'out of luck' >&2; exit 9", ["without an answer (exit status: 9)", "out of luck"]),
            ("read x; kill -9 $$", ["signal: 9", "out of memory"]),
            ("read x; echo nonsense", ["out of protocol (`nonsense`)", ""]),
            (r#"read x; printf '{"finished":'"#, ["out of protocol", ""]),
            // `tail` keeps what has no newline in memory.
            ("read x; head -c 3000000000 /dev/zero | tail -n 1 >/dev/null", ["without an answer", "memory"]),
        ] {
            let told = failure(script, 60);
            assert!(words.iter().all(|word| told.contains(word)), "{script}: {told}");
        }
    }

    #[test]
    fn a_child_that_is_silent_is_ended() {
        for (script, words) in [
            (r#"read x; printf '{"finished":'; exec sleep 60"#, ""),
            ("read x; echo 'still here' >&2; exec sleep 60", "still here"),
        ] {
            let told = failure(script, 1);
            assert!(told.contains("no answer for 1 s") && told.contains(words), "{script}: {told}");
        }
    }

    #[test]
    fn a_talkative_child_does_not_fill_its_pipe() {
        let script = r#"read x; i=0; while [ $i -lt 20000 ]; do echo "line $i" >&2; i=$((i+1)); done; exit 3"#;
        let told = failure(script, 60);
        assert!(told.contains("line 19999") && !told.contains("line 19990"), "{told}");
    }
}
