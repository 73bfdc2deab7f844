//! Exit codes, as documented in the README.

use crate::base::explain::Cause;
use crate::base::finding::Verdict;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, and what was asked holds.
    Done,
    /// It ran, and a goal or check failed.
    Failed,
    /// The command line, the manifest or a file is wrong.
    Input,
    /// It ran, and the measurements decide nothing.
    Inconclusive,
    /// A required backend or engine is missing.
    EngineMissing,
    /// A pinned digest does not match.
    Integrity,
    /// A bug in requant.
    Bug,
    /// Stopped by Ctrl-C or a termination signal.
    Interrupted,
}

impl Exit {
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Input => 2,
            Self::Inconclusive => 3,
            Self::EngineMissing => 4,
            Self::Integrity => 5,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

impl From<Cause> for Exit {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Refuted => Self::Failed,
            Cause::Input => Self::Input,
            Cause::EngineMissing => Self::EngineMissing,
            Cause::Integrity => Self::Integrity,
            Cause::Interrupted => Self::Interrupted,
            Cause::Bug => Self::Bug,
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Done,
            Verdict::Fail => Self::Failed,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}
