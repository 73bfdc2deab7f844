//! `requant doctor`.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::backend::process;
use crate::backend::{self, Availability, program};
use crate::doctor::{self, Diagnosis};
use crate::terminal::complaint::complain;
use crate::terminal::{Exit, print};

/// Only the engine itself knows all that it can do, so it answers where it starts; where it does
/// not, that is the first thing to say.
pub(super) fn doctor() -> Exit {
    if !backend::linked() {
        match process::working() {
            Ok(path) => {
                let _ = Command::new(path).arg("doctor").exec();
            }
            // A program that is not there is a missing row of each variant below.
            Err(failure) if program::path().is_ok() => complain(&failure.diagnostics),
            Err(_) => {}
        }
    }
    let Diagnosis { host, lines } = doctor::examine();
    print(&format!("{}, {} cores, {}\n", host.cpu, host.cores, host.isa_flags.join(" ")));
    if !host.gpus.is_empty() {
        let driver = host.gpu_driver.map_or_else(String::new, |driver| format!(", driver {driver}"));
        print(&format!("{}{driver}\n", host.gpus.join(", ")));
    }
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    for line in lines {
        let state = match line.availability {
            Availability::Ready { detail } => format!("ready    {detail}"),
            Availability::Missing { why, remedy } => format!("missing  {why}\n{:width$}           {remedy}", ""),
        };
        print(&format!("{:width$}  {state}\n", line.name));
    }
    Exit::Done
}
