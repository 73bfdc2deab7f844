//! What every failure must be able to say, whichever room it comes from.

use std::fmt;

/// Why something stopped, sorted by what the person in front of it should do. The command line
/// turns each into its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The manifest, a file, a folder or the command line is wrong.
    Input,
    /// A backend or engine that the manifest requires is not usable on this machine.
    EngineMissing,
    /// A pinned digest does not match what was found.
    Integrity,
    /// A person asked the run to stop.
    Interrupted,
    /// requant broke one of its own promises.
    Bug,
}

/// An error that names its cause and the next step.
///
/// `Display` says what and where, in lower case and without a final period.
pub trait Explain: std::error::Error {
    fn class(&self) -> Cause;

    /// What to do about it, as one imperative sentence; `None` where nothing useful can be said.
    fn next_step(&self) -> Option<String> {
        None
    }
}

/// A failure on its way to the person: any room's error with its cause and next step resolved.
#[derive(Debug)]
pub struct Failure {
    pub cause: Cause,
    pub message: String,
    pub next_step: Option<String>,
}

impl Failure {
    /// Puts the thing that was being worked on in front of the message.
    #[must_use]
    pub fn while_doing(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { cause: error.class(), message: error.to_string(), next_step: error.next_step() }
    }
}
