//! A fresh process per variant, spoken to in JSON lines: requests on its standard input, answers
//! on its standard output, logs on its standard error. A child that dies, hangs up or babbles
//! fails its own variant and no other.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

/// What a child is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask<V> {
    /// Load an artefact; `input` is a file of raw little-endian `f32` of shape `shape`.
    Open { variant: V, artefact: PathBuf, input: PathBuf, shape: Vec<usize> },
    /// Time forward passes on the first `batch` images of the input.
    Time { batch: usize, warmup: usize, iterations: usize },
    /// Report and end.
    Finish,
}

/// What a child answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Loaded; the peak so far is what the runtime and the model alone need.
    Opened {
        resident_bytes: Option<u64>,
    },
    Timed {
        nanoseconds: Vec<u64>,
    },
    Finished {
        peak_bytes: Option<u64>,
    },
    Failed {
        message: String,
    },
}

/// Why a child gave no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", if stderr.is_empty() { String::new() } else { format!("; it wrote: {stderr}") })]
pub struct WorkerError {
    what: String,
    /// The last lines of its standard error.
    stderr: String,
}

/// A child process at work.
pub struct Worker {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a child that speaks the protocol.
    pub fn start(command: &mut Command) -> Result<Self, WorkerError> {
        let fail = |what: String| WorkerError { what, stderr: String::new() };
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(|e| fail(format!("the measuring process did not start: {e}")))?;
        let stdout = child.stdout.take().ok_or_else(|| fail("the measuring process has no output".into()))?;
        Ok(Self { child, answers: BufReader::new(stdout) })
    }

    /// Asks and waits for the answer. After an error the child is of no more use.
    pub fn ask<V: Serialize>(&mut self, ask: &Ask<V>) -> Result<Answer, WorkerError> {
        let mut line = serde_json::to_string(ask).map_err(|e| self.broken(&e.to_string()))?;
        line.push('\n');
        let sent = self.child.stdin.as_mut().map(|pipe| pipe.write_all(line.as_bytes()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.broken("the measuring process hung up"));
        }
        let mut reply = String::new();
        match self.answers.read_line(&mut reply) {
            Ok(0) | Err(_) => Err(self.broken("the measuring process ended without an answer")),
            Ok(_) => match serde_json::from_str(&reply) {
                Ok(Answer::Failed { message }) => Err(self.broken(&message)),
                Ok(answer) => Ok(answer),
                Err(_) => Err(self.broken("the measuring process answered out of protocol")),
            },
        }
    }

    fn broken(&mut self, what: &str) -> WorkerError {
        // How it ended tells something only if it ended by itself; give it a moment to be reaped.
        let status = (0..20).find_map(|_| {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            ended
        });
        let status = status.map_or_else(String::new, |status| format!(" ({status})"));
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut stderr = String::new();
        if let Some(pipe) = self.child.stderr.as_mut() {
            let _ = pipe.read_to_string(&mut stderr);
        }
        let tail: Vec<&str> = stderr.lines().rev().take(3).collect();
        let stderr = tail.into_iter().rev().collect::<Vec<_>>().join(" | ");
        WorkerError { what: format!("{what}{status}"), stderr }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Worker {
        Worker::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn a_child_that_dies_or_babbles_is_named_with_its_last_words() {
        let died = shell("read x; echo 'out of luck' >&2; exit 9").ask(&Ask::<()>::Finish).unwrap_err().to_string();
        assert!(died.contains("without an answer") && died.contains("out of luck"), "{died}");
        let babbled = shell("read x; echo nonsense").ask(&Ask::<()>::Finish).unwrap_err().to_string();
        assert!(babbled.contains("out of protocol"), "{babbled}");
        let mut fine = shell(r#"read x; echo '{"finished":{"peak_bytes":7}}'"#);
        assert_eq!(fine.ask(&Ask::<()>::Finish).unwrap(), Answer::Finished { peak_bytes: Some(7) });
    }
}
