//! The command line: arguments in, exit code out. The only room that prints.

mod args;
mod doctor;
mod engine;
mod exit;
mod progress;
mod report;
mod run;
mod worker;

pub use exit::Exit;

use std::io::Write as _;

use clap::Parser as _;

use crate::base::explain::Failure;
use crate::base::interrupt;
use args::{Args, Verb};

/// Parses the process's arguments, does what they ask, and says how it ended.
#[must_use]
pub fn main() -> Exit {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            let _ = usage.print();
            return if usage.use_stderr() { Exit::Input } else { Exit::Done };
        }
    };
    listen_for_interrupts();
    let result = match args.verb {
        Verb::Run { manifest, results } => run::run(&manifest, &results),
        Verb::Report { run, template } => report::report(&run, template.as_deref()),
        Verb::Doctor => Ok(doctor::doctor()),
        Verb::Worker => worker::worker(),
    };
    result.unwrap_or_else(|failure| {
        complain(&failure);
        Exit::from(failure.cause)
    })
}

/// The first Ctrl-C asks the run to stop cleanly; the second ends it at once.
fn listen_for_interrupts() {
    let handler = || {
        if interrupt::check().is_err() {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        interrupt::ask();
    };
    // Without a handler Ctrl-C still ends the process; only the tidying is lost.
    let _ = ctrlc::set_handler(handler);
}

fn complain(failure: &Failure) {
    eprint(&format!("error: {failure}"));
    if let Some(next_step) = &failure.next_step {
        eprint(&format!("  next: {next_step}"));
    }
}

/// To standard output; a reader that has gone away is not an error.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// A line to standard error.
fn eprint(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
