//! `requant doctor`.

use super::{Exit, print};
use crate::backend::Availability;
use crate::doctor::{self, Diagnosis};

pub(super) fn doctor() -> Exit {
    let Diagnosis { host, lines } = doctor::examine();
    print(&format!("{}, {} cores, {}\n", host.cpu, host.cores, host.isa_flags.join(" ")));
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
