//! From the front door to the program that carries the engine.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::environment::{Work, environment, harmful};
use super::registry::linked;
use super::{Availability, program};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::manifest::{Backend, Manifest};

/// Makes sure that this process has the engines that a manifest names, under the environment that its settings and
/// its work ask for; where not, the process becomes one that does, with the same arguments. libtorch alone is linked
/// into another program; the others are loaded when they are asked for.
///
/// Kernel libraries choose their instructions from the environment when they are first used, which
/// may be before `main`: setting it here would come too late.
pub fn enter(manifest: &Manifest, work: Work) -> Result<(), Failure> {
    let wanted = environment(&manifest.compute, work);
    let is_torch = manifest.calibrates_on() == Backend::Torch;
    let set = wanted.iter().all(|(name, value)| std::env::var(name).as_deref() == Ok(*value));
    let harmful = harmful();
    if set && harmful.is_none() && (linked() || !is_torch) {
        return Ok(());
    }
    let mut command = Command::new(if is_torch { working()? } else { own_path()? });
    if let Some(name) = harmful {
        command.env_remove(name);
    }
    let error = command.args(std::env::args_os().skip(1)).envs(wanted).exec();
    Err(Failure::bug(format!("cannot start the engine: {error}")))
}

/// The program with the engine, after it has shown that it starts: without its libraries it would
/// die in the loader, with nobody to explain it.
pub fn working() -> Result<PathBuf, Failure> {
    let missing = |why: String, remedy: String| {
        let message = format!("the torch engine is missing: {why}");
        Failure::from(Diagnostic::error(Cause::EngineMissing, message).next(remedy))
    };
    let path = program::path().map_err(|answer| match answer {
        Availability::Missing { why, remedy } => missing(why, remedy),
        Availability::Ready { detail } => missing(detail, String::new()),
    })?;
    let said = match unresolved(&path) {
        Ok(None) => return Ok(path),
        Ok(Some(said)) => said,
        // The program is there: the system has no room for another process, or for its files.
        Err(error) => {
            let message = format!("`{}` cannot be started: {error}", path.display());
            let next = "raise the limit that the system names (`ulimit -a` shows them), or free what it lacks";
            return Err(Diagnostic::error(Cause::EngineMissing, message).next(next).into());
        }
    };
    let remedy = "run `cargo xtask setup` and build again, or put libtorch's folder on LD_LIBRARY_PATH";
    Err(missing(format!("`{}` does not start: {said}", program::NAME), remedy.to_owned()))
}

/// What the loader does not find of a program, asked as `ldd -r` asks: nothing of it is run, so the
/// answer costs no start of libtorch.
fn unresolved(program: &Path) -> std::io::Result<Option<String>> {
    let loader = [("LD_TRACE_LOADED_OBJECTS", "1"), ("LD_WARN", "yes")];
    let output = Command::new(program).envs(loader).output()?;
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    let wrong = told.lines().find(|line| line.contains("not found") || line.contains("undefined symbol"));
    let ended = (!output.status.success()).then(|| output.status.to_string());
    Ok(wrong.map(|line| line.trim().to_owned()).or(ended))
}

/// The program of this process.
pub fn own_path() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::bug(format!("cannot find requant's own binary: {error}")))
}
