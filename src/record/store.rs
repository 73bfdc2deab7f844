//! Run folders: drafted beside their final place, renamed into it when complete.
//!
//! ```text
//! results/<experiment>/<run-id>/        a complete run
//! results/<experiment>/.draft-<…>/      a run in progress, or one that was killed
//! ```
//!
//! A draft's name says which process owns it, so that there is no moment in which it has no owner.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Record;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files::{self, FileError};
use crate::base::owner;

/// How drafts are recognized, also long after.
const DRAFT_PREFIX: &str = ".draft-";

/// Stands before and after the owner in a draft's name; no run's id has it.
const OWNED_BY: char = '~';

/// A run folder in the making. Dropping it removes it, so an error or an interrupt leaves nothing.
pub struct Draft {
    folder: TempDir,
    home: PathBuf,
    id: String,
}

impl Draft {
    /// Starts a run folder below `results/<experiment>`.
    pub fn begin(results: &Path, experiment: &str, id: String) -> Result<Self, FileError> {
        let home = results.join(experiment);
        files::create_dir_all(&home)?;
        let name = format!("{DRAFT_PREFIX}{id}{OWNED_BY}{}{OWNED_BY}", owner::this());
        let folder = tempfile::Builder::new().prefix(&name).tempdir_in(&home);
        let folder = folder.map_err(|e| FileError::new("create a run folder in", &home, e))?;
        Ok(Self { folder, home, id })
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the run, making its folder where needed.
    pub fn put(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            files::create_dir_all(parent)?;
        }
        files::write(&path, content)
    }

    /// Seals the folder with `SHA256SUMS` and renames it into its final place.
    pub fn finish(self) -> Result<PathBuf, FileError> {
        let mut sums = String::new();
        for name in files::walk(self.path())? {
            let path = self.path().join(&name);
            let digest = Digest::of_reader(files::open(&path)?).map_err(|e| FileError::new("read", &path, e))?;
            let _ = writeln!(sums, "{digest}  {name}");
        }
        self.put("SHA256SUMS", sums.as_bytes())?;
        widen_permissions(self.path())?;
        let target = self.place()?;
        // Renamed away: there is nothing left for the temporary folder to remove.
        let _ = self.folder.keep();
        Ok(target)
    }
}

impl Draft {
    /// Renames the folder as it is, unsealed; where there is such a folder already, this one is dropped.
    pub fn rename_to(self, target: &Path) -> Result<(), FileError> {
        widen_permissions(self.path())?;
        match files::rename(self.path(), target) {
            Err(_) if target.exists() => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                let _ = self.folder.keep();
                Ok(())
            }
        }
    }

    /// Renames the folder to its id, or to the id with the first free number where two runs began in the
    /// same second. A folder of a complete run is never empty, so no rename can replace it.
    fn place(&self) -> Result<PathBuf, FileError> {
        let mut number = 1;
        loop {
            let name = if number == 1 { self.id.clone() } else { format!("{}-{number}", self.id) };
            let target = self.home.join(name);
            match files::rename(self.path(), &target) {
                Err(_) if target.exists() => number += 1,
                other => return other.map(|()| target),
            }
        }
    }
}

/// Temporary folders are private; a finished run is as readable as any other folder.
fn widen_permissions(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|e| FileError::new("set permissions of", path, e))
}

/// Drafts whose process is gone: runs that were killed.
#[must_use]
pub fn abandoned(results: &Path, experiment: &str) -> Vec<PathBuf> {
    let home = results.join(experiment);
    let names = files::list(&home).unwrap_or_default();
    let drafts = names.into_iter().filter(|name| name.starts_with(DRAFT_PREFIX)).map(|name| home.join(name));
    drafts.filter(|draft| !owner_lives(draft)).collect()
}

/// Whether the process that a draft's name names lives.
fn owner_lives(draft: &Path) -> bool {
    let name = draft.file_name().unwrap_or_default().to_string_lossy();
    owner::lives(name.split(OWNED_BY).nth(1).unwrap_or_default())
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("`{}` is not a readable record: {reason}", path.display())]
    Form { path: PathBuf, reason: String },
    #[error("`{}` is not a table of this run: {reason}", path.display())]
    Table { path: PathBuf, reason: String },
    #[error("`{}` has format {found}, and this requant reads up to {}", path.display(), super::format::FORMAT)]
    Version { path: PathBuf, found: String },
}

impl crate::base::explain::Explain for RecordError {
    fn class(&self) -> crate::base::explain::Cause {
        crate::base::explain::Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::File(_) => Some("name a run's folder; `requant verify` says what it lacks".into()),
            Self::Form { .. } => Some("name a run's folder or its `record.json`".into()),
            Self::Table { .. } => Some("let `requant verify` say what else has changed".into()),
            Self::Version { .. } => Some("read it with a newer requant".into()),
        }
    }
}

/// Reads the record of a run's folder, or a record file itself.
pub fn read(path: &Path) -> Result<Record, RecordError> {
    let path = if path.is_dir() { path.join("record.json") } else { path.to_owned() };
    let text = files::read_text(&path)?;
    let form = |error: serde_json::Error| RecordError::Form { path: path.clone(), reason: error.to_string() };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(form)?;
    let found = value.get("format").and_then(|format| format.as_str()).unwrap_or("none").to_owned();
    let value = super::upgrade::upgrade(value).ok_or_else(|| RecordError::Version { path: path.clone(), found })?;
    serde_json::from_value(value).map_err(form)
}

/// Whether a record of this format can be read.
#[must_use]
pub fn reads(format: &str) -> bool {
    super::upgrade::is_known(format)
}

/// Where the manifest of a run lies or would lie: where the run's inputs are, seen from the working
/// folder or from a folder above the run. `None` where the model is in neither.
#[must_use]
pub fn manifest_place(folder: &Path, record: &Record) -> Option<PathBuf> {
    place_of(folder, Path::new(&record.run.manifest_path), &record.settings.model.path)
}

/// The manifest that the run had, from where its relative paths are meant. One that is still as it was goes before
/// others of its name.
pub fn own_manifest(folder: &Path, record: &Record) -> Result<PathBuf, Failure> {
    let named = Path::new(&record.run.manifest_path);
    let there: Vec<PathBuf> = places(folder, named).into_iter().filter(|place| place.is_file()).collect();
    let text = files::read(&folder.join("manifest.toml"))?;
    let same = there.iter().find(|place| files::read(place).is_ok_and(|own| own == text));
    same.or(there.first()).cloned().ok_or_else(|| {
        let message = format!("the manifest of the run, `{}`, is neither here nor above the run", named.display());
        Diagnostic::error(Cause::Input, message).next("start requant where that path exists").into()
    })
}

/// As [`manifest_place`], of a manifest's path and the model's within it; `folder` is where to look upwards from.
#[must_use]
pub fn place_of(folder: &Path, manifest: &Path, model: &Path) -> Option<PathBuf> {
    places(folder, manifest).into_iter().find(|place| place.with_file_name("").join(model).is_file())
}

/// Where a manifest may lie that was named so: seen from the working folder, or from `folder` or a folder above it.
#[must_use]
pub fn places(folder: &Path, manifest: &Path) -> Vec<PathBuf> {
    let above = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let above = above.ancestors().map(|home| home.join(manifest));
    std::iter::once(manifest.to_owned()).chain(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_appears_whole_or_not_at_all() {
        let results = tempfile::tempdir().unwrap();
        let draft = Draft::begin(results.path(), "e", "run".into()).unwrap();
        draft.put("sub/a.txt", b"a").unwrap();
        assert!(abandoned(results.path(), "e").is_empty(), "this process is alive");
        drop(draft);
        assert!(files::walk(&results.path().join("e")).unwrap().is_empty());

        let finish = || Draft::begin(results.path(), "e", "run".into()).unwrap().finish().unwrap();
        assert!(finish().ends_with("run"));
        assert!(finish().ends_with("run-2"));
    }

    #[test]
    fn a_killed_run_is_recognized() {
        let results = tempfile::tempdir().unwrap();
        for (owner, is_dead) in [("4194399".to_owned(), true), (owner::this(), false)] {
            let draft = results.path().join("e").join(format!("{DRAFT_PREFIX}old~{owner}~x"));
            files::create_dir_all(&draft).unwrap();
            assert_eq!(abandoned(results.path(), "e") == [draft.clone()], is_dead, "{owner}");
            files::remove_dir_all(&draft).unwrap();
        }
    }
}
