//! requant with libtorch linked. `requant` starts it where a verb needs an engine.

mod torch;

use std::panic;
use std::process::ExitCode;

use requant::cli::{self, Exit};

fn main() -> ExitCode {
    torch::install();
    ExitCode::from(panic::catch_unwind(cli::main).unwrap_or(Exit::Bug).code())
}
