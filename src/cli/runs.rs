//! The run that a person means.

use std::path::{Path, PathBuf};

use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::history;
use crate::sweep::{Folder, State, state};

/// As [`history::find`]; `SWEEP#N` is the run of a sweep's point.
pub(super) fn find(results: &Path, name: &str) -> Result<PathBuf, Failure> {
    let point = name.rsplit_once('#').and_then(|(sweep, number)| Some((sweep, number.parse::<usize>().ok()?)));
    let Some((sweep, number)) = point.filter(|_| !Path::new(name).exists()) else {
        return Ok(history::find(results, name)?);
    };
    let folder = Folder::find(results, sweep)?;
    let facts = folder.point(number)?;
    let run = match state::of_one(&folder, number)? {
        State::Done { run, .. } => Some(run),
        _ => folder.run_of(&facts.id, &folder.neighbours()?),
    };
    run.map(|run| folder.home().join(run)).ok_or_else(|| {
        let message = format!("point {number} of `{sweep}` has no run");
        let next = format!("`requant sweep status {sweep}` says why");
        Diagnostic::error(Cause::Input, message).next(next).into()
    })
}
