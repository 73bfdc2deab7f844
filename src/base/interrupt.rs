//! Ctrl-C as a question that long work asks between steps, so that it can leave nothing behind.

use std::sync::atomic::{AtomicBool, Ordering};

use super::explain::{Cause, Explain};

static ASKED: AtomicBool = AtomicBool::new(false);

/// The run was asked to stop by Ctrl-C or a termination signal.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Explain for Interrupted {
    fn class(&self) -> Cause {
        Cause::Interrupted
    }

    fn next_step(&self) -> Option<String> {
        Some("nothing was kept; run the same command again".to_owned())
    }
}

/// Notes that a person asked the process to stop.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}

/// Fails once the process has been asked to stop.
pub fn check() -> Result<(), Interrupted> {
    if ASKED.load(Ordering::SeqCst) { Err(Interrupted) } else { Ok(()) }
}
