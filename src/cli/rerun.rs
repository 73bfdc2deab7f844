//! `requant rerun`.

use std::path::Path;

use super::run::execute;
use super::{runs, verify};
use crate::backend::Work;
use crate::backend::process;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::diff::levels::{self, Level, Reproduction};
use crate::diff::{self, Diff, Layout};
use crate::manifest::{self, Resolved};
use crate::record::format::Repeated;
use crate::record::store;
use crate::terminal::{Exit, print};

pub(super) fn rerun(run: &str, results: &Path, to: &str) -> Result<Exit, Failure> {
    let folder = runs::find(results, run)?;
    if !folder.is_dir() {
        let problem = Diagnostic::error(Cause::Input, format!("`{}` is a record alone", folder.display()));
        return Err(problem.next("name the run's folder, whose settings and predictions are needed").into());
    }
    let original = diff::load(&folder, run.to_owned())?;
    let resolved = settings(&folder, &original.record)?;
    process::enter(&resolved.manifest, Work::Judging)?;
    intact(&folder)?;
    let record = Digest::of(&files::read(&folder.join("record.json"))?);
    let repeats = Repeated { id: original.record.run.id.clone(), record };
    let finished = execute(resolved, results, Some(repeats)).map_err(not_as_then)?;
    let again = diff::load(&finished.folder, finished.folder.display().to_string())?;
    let compared = Diff::of(&original, &again);
    let judged = levels::judge(&compared);
    print(&diff::render(&compared, &judged, Layout::Terminal));
    let last = Level::ALL.into_iter().find(|level| level.word() == to).unwrap_or(Level::Memory);
    let verdict = levels::verdict(&judged, last);
    print(&format!("\n{}: {verdict}\n", original.record.run.id));
    Ok(match verdict {
        Reproduction::Reproduced => Exit::Done,
        Reproduction::NotReproduced => Exit::Failed,
        Reproduction::Inconclusive => Exit::Inconclusive,
    })
}

/// A pin of a past run is not to be changed: what it names is to be found again.
fn not_as_then(mut failure: Failure) -> Failure {
    if failure.diagnostics.iter().any(|diagnostic| diagnostic.cause == Cause::Integrity) {
        // That a file which is another cannot be read either follows from it.
        failure.diagnostics.retain(|diagnostic| diagnostic.cause == Cause::Integrity);
    }
    let broken = failure.diagnostics.iter_mut().filter(|diagnostic| diagnostic.cause == Cause::Integrity);
    broken.for_each(|diagnostic| {
        diagnostic.next_step = Some("restore what the run used; with another input it would be another run".to_owned());
    });
    failure
}

/// What the run obeyed, with its paths as seen from where its inputs are today.
fn settings(folder: &Path, record: &crate::record::Record) -> Result<Resolved, Failure> {
    let Some(place) = store::manifest_place(folder, record) else {
        let model = record.settings.model.path.display();
        let manifest = &record.run.manifest_path;
        let (message, next) = if record.settings.model.path.is_absolute() {
            let next = "restore the model there, or link it there from where it is".to_owned();
            (format!("the inputs of the run are not at hand: there is no `{model}`"), next)
        } else {
            let expected = Path::new(manifest).with_file_name("").join(&record.settings.model.path);
            let next = format!(
                "start requant in the folder from which `{manifest}` is the manifest, and see that the model is there"
            );
            let expected = expected.display();
            (
                format!(
                    "the inputs of the run are not at hand: there is no `{expected}` here, nor in a folder above the run"
                ),
                next,
            )
        };
        return Err(Diagnostic::error(Cause::Input, message).next(next).into());
    };
    let path = folder.join("resolved.toml");
    manifest::restore(&place, &path, files::read(&path)?)
}

/// What a changed run says is worth nothing.
pub(super) fn intact(folder: &Path) -> Result<(), Failure> {
    let found = crate::verify::files_alone(folder);
    if found.problems.is_empty() {
        Ok(())
    } else {
        Err(verify::broken(&found, "restore it from where it was committed"))
    }
}
