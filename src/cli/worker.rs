//! `requant worker`: the measuring process.

use std::fs::File;
use std::io::stdin;

use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::bench;
use crate::measure::priority;
use crate::terminal::Exit;

pub(super) fn worker() -> Result<Exit, Failure> {
    // Nobody waits for the answers of a process whose run is gone, however it went.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    priority::raise();
    let answers = answers().map_err(|error| Failure::bug(format!("cannot set up the answers: {error}")))?;
    // A broken pipe means that the run has ended; there is nobody left to tell.
    bench::serve(stdin().lock(), answers)
        .map(|()| Exit::Done)
        .map_err(|error| Diagnostic::error(Cause::Interrupted, error.to_string()).into())
}

/// Standard output for the protocol alone: what native libraries print there goes to standard error.
pub(super) fn answers() -> rustix::io::Result<File> {
    let answers = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(File::from(answers))
}
