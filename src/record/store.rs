//! Run folders: drafted beside their final place, renamed into it when complete.
//!
//! ```text
//! results/<experiment>/<run-id>/        a complete run
//! results/<experiment>/.draft-<…>/      a run in progress, or one that was killed
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Record;
use crate::base::digest::Digest;
use crate::base::files::{self, FileError};

/// How drafts are recognized, also long after.
const DRAFT_PREFIX: &str = ".draft-";

/// Names the process that owns a draft.
const OWNER_FILE: &str = ".owner";

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
        let folder = tempfile::Builder::new().prefix(&format!("{DRAFT_PREFIX}{id}-")).tempdir_in(&home);
        let folder = folder.map_err(|e| FileError::new("create a run folder in", &home, e))?;
        files::write(&folder.path().join(OWNER_FILE), std::process::id().to_string().as_bytes())?;
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
        let owner = self.path().join(OWNER_FILE);
        fs::remove_file(&owner).map_err(|e| FileError::new("remove", &owner, e))?;
        let mut sums = String::new();
        for name in files::walk(self.path())? {
            let path = self.path().join(&name);
            let digest = Digest::of_reader(files::open(&path)?).map_err(|e| FileError::new("read", &path, e))?;
            let _ = writeln!(sums, "{digest}  {name}");
        }
        self.put("SHA256SUMS", sums.as_bytes())?;
        widen_permissions(self.path())?;
        let target = free_name(&self.home, &self.id);
        files::rename(self.path(), &target)?;
        // Renamed away: there is nothing left for the temporary folder to remove.
        let _ = self.folder.keep();
        Ok(target)
    }
}

/// Temporary folders are private; a finished run is as readable as any other folder.
fn widen_permissions(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|e| FileError::new("set permissions of", path, e))
}

/// The id, or the id with the first free number where two runs began in the same second.
fn free_name(home: &Path, id: &str) -> PathBuf {
    let names = (1..).map(|n| if n == 1 { id.to_owned() } else { format!("{id}-{n}") });
    names.map(|name| home.join(name)).find(|path| !path.exists()).unwrap_or_else(|| home.join(id))
}

/// Drafts whose process is gone: runs that were killed.
#[must_use]
pub fn abandoned(results: &Path, experiment: &str) -> Vec<PathBuf> {
    let home = results.join(experiment);
    let names = files::list(&home).unwrap_or_default();
    let drafts = names.into_iter().filter(|name| name.starts_with(DRAFT_PREFIX)).map(|name| home.join(name));
    drafts.filter(|draft| !owner_lives(draft)).collect()
}

fn owner_lives(draft: &Path) -> bool {
    let owner = files::read_text(&draft.join(OWNER_FILE)).unwrap_or_default();
    owner.parse::<u32>().is_ok_and(|pid| Path::new("/proc").join(pid.to_string()).exists())
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
            Self::File(error) => error.next_step(),
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

/// Where the manifest of a run lies or would lie: where the run's inputs are, seen from the working
/// folder or from a folder above the run. `None` where the model is in neither.
#[must_use]
pub fn manifest_place(folder: &Path, record: &Record) -> Option<PathBuf> {
    let manifest = Path::new(&record.run.manifest_path);
    let above = folder.canonicalize().ok()?;
    let candidates = std::iter::once(manifest.to_owned()).chain(above.ancestors().map(|home| home.join(manifest)));
    let model = &record.settings.model.path;
    candidates.into_iter().find(|place| place.with_file_name("").join(model).is_file())
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
        let draft = results.path().join("e").join(format!("{DRAFT_PREFIX}old"));
        files::create_dir_all(&draft).unwrap();
        files::write(&draft.join(OWNER_FILE), b"4194399").unwrap();
        assert_eq!(abandoned(results.path(), "e"), [draft]);
    }
}
