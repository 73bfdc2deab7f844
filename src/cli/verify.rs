//! `requant verify`.

use std::path::Path;

use super::runs;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::sweep::Folder;
use crate::terminal::gauge::Gauge;
use crate::terminal::{Exit, print};
use crate::verify::{self, Problem, Verified};

pub(super) fn verify(run: &str, results: &Path) -> Result<Exit, Failure> {
    if let Some(folder) = Folder::named(results, run).map_err(as_integrity)? {
        let next = "restore what changed; a run's folder that is removed is run again by `requant sweep retry`";
        return said(&crate::sweep::verify::verify(&folder)?, &folder.path, next);
    }
    let run = runs::find(results, run)?;
    if !run.is_dir() {
        let problem = Diagnostic::error(Cause::Input, format!("`{}` is not a run's folder", run.display()));
        return Err(problem.next("name a folder below `results/<experiment>/`").into());
    }
    let found = verify::verify(&run, &Gauge::new("hashing"));
    said(&found, &run, "restore the run from where it was committed, or make a new one")
}

/// What cannot be read of what was sealed is not as it was sealed.
fn as_integrity(mut failure: Failure) -> Failure {
    failure.diagnostics.iter_mut().for_each(|diagnostic| diagnostic.cause = Cause::Integrity);
    failure
}

fn said(found: &Verified, path: &Path, next: &str) -> Result<Exit, Failure> {
    found.holds.iter().for_each(|line| print(&format!("  ok       {line}\n")));
    found.skipped.iter().for_each(|line| print(&format!("  skipped  {line}\n")));
    if found.problems.is_empty() {
        print(&format!("{}: intact\n", path.display()));
        return Ok(Exit::Done);
    }
    Err(broken(found, next))
}

/// What is wrong, each thing by the file it is in.
pub(super) fn broken(found: &Verified, next: &str) -> Failure {
    let of = |Problem { file, what, next }: &Problem| Diagnostic {
        next_step: next.clone(),
        ..Diagnostic::error(Cause::Integrity, format!("{file}: {what}"))
    };
    let mut diagnostics: Vec<Diagnostic> = found.problems.iter().map(of).collect();
    // Said once, after the last of those that it helps with.
    if let Some(last) = diagnostics.iter_mut().rfind(|diagnostic| diagnostic.next_step.is_none()) {
        last.next_step = Some(next.to_owned());
    }
    diagnostics.into()
}
