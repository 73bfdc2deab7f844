//! `requant worker`: the measuring process.

use std::io::{stdin, stdout};

use super::Exit;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::pipeline;

pub(super) fn worker() -> Result<Exit, Failure> {
    // A broken pipe means that the run has ended; there is nobody left to tell.
    pipeline::serve(stdin().lock(), stdout().lock())
        .map(|()| Exit::Done)
        .map_err(|error| Diagnostic::error(Cause::Interrupted, error.to_string()).into())
}
