//! `requant template`: a template of a person's own is filled in a process that may fail.

use std::io::{Read as _, stdin};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::report::apart::{self, Limits};
use crate::terminal::{Exit, print_raw};

pub(super) fn template() -> Result<Exit, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::bug(format!("cannot fill a template: {error}"));
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::Data, Limits::BYTES).map_err(|error| wrong(&error))?;
    limit(Resource::Cpu, Limits::SECONDS).map_err(|error| wrong(&error))?;
    let mut asked = String::new();
    stdin().read_to_string(&mut asked).map_err(|error| wrong(&error))?;
    let answer = apart::answer(&asked).map_err(|error| wrong(&error))?;
    if print_raw(&answer) {
        Ok(Exit::Done)
    } else {
        Err(Diagnostic::error(Cause::Interrupted, "nobody takes the answer").into())
    }
}
