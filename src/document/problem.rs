//! What is wrong with a manifest.

use crate::base::explain::{Cause, Diagnostic};

/// A key, what is wrong with it and what to do.
pub(crate) struct Problem {
    pub(crate) key: String,
    pub(crate) message: String,
    pub(crate) next: String,
}

pub(crate) fn problem(key: impl Into<String>, message: impl Into<String>, next: impl Into<String>) -> Problem {
    Problem { key: key.into(), message: message.into(), next: next.into() }
}

/// Nobody corrects more than this before looking again.
const MOST_PROBLEMS: usize = 100;

pub(crate) fn shortened(mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    if more > 0 {
        let message = format!("{more} more {} not shown", if more == 1 { "problem is" } else { "problems are" });
        problems.push(Diagnostic::error(Cause::Input, message).next("correct these first"));
    }
    problems
}
