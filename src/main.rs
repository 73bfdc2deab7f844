//! Parse, run, exit code. No engine is linked here, so that checking a manifest costs nothing.

use std::panic;
use std::process::ExitCode;

use requant::cli;
use requant::terminal::Exit;

fn main() -> ExitCode {
    // A panic has printed what and where; the code says that it is a bug.
    ExitCode::from(panic::catch_unwind(cli::main).unwrap_or(Exit::Bug).code())
}
