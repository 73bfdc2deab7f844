//! What came of interventions, a line of JSON each, so that a run that is started again after it was killed does
//! not try them anew. The file's name tells what it is about; it is gone once all are known.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::sample::Changes;
use crate::base::digest::Digest;
use crate::base::files::{self, FileError};
use crate::record::format::Change;

#[derive(Serialize, Deserialize)]
struct Line {
    change: Change,
    target: Option<String>,
    changes: Changes,
}

pub(super) struct Log {
    path: PathBuf,
    file: File,
    known: Vec<Line>,
}

impl Log {
    /// `about` stands for everything that the outcomes depend on.
    pub(super) fn open(home: &Path, about: &Digest) -> Result<Self, FileError> {
        let path = home.join(format!(".interventions-{}.jsonl", about.short()));
        // A line that a killed process left unfinished is tried again.
        let text = files::read_text(&path).unwrap_or_default();
        let known = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let file = File::options().create(true).append(true).open(&path);
        let mut file = file.map_err(|error| FileError::new("write", &path, error))?;
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(file).map_err(|error| FileError::new("write", &path, error))?;
        }
        Ok(Self { path, file, known })
    }

    pub(super) fn known(&self, change: Change, target: Option<&str>) -> Option<Changes> {
        let line = self.known.iter().find(|line| line.change == change && line.target.as_deref() == target);
        line.map(|line| line.changes)
    }

    pub(super) fn keep(&mut self, change: Change, target: Option<&str>, changes: &Changes) -> Result<(), FileError> {
        let line = Line { change, target: target.map(str::to_owned), changes: *changes };
        let text = serde_json::to_string(&line).map_err(|error| FileError::new("write", &self.path, error.into()))?;
        writeln!(self.file, "{text}").map_err(|error| FileError::new("write", &self.path, error))
    }

    /// Somebody else's hand on the file is no reason to lose what was measured.
    pub(super) fn done(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_known_after_a_kill() {
        let home = tempfile::tempdir().unwrap();
        let about = Digest::of(b"this");
        let mut log = Log::open(home.path(), &about).unwrap();
        log.keep(Change::BlockInFloat, Some("features.1"), &Changes::default()).unwrap();
        let path = log.path.clone();
        drop(log);
        // The next line was cut short.
        let cut = files::read_text(&path).unwrap() + "{\"change\":\"equal";
        files::write(&path, cut.as_bytes()).unwrap();
        let log = Log::open(home.path(), &about).unwrap();
        assert_eq!(log.known(Change::BlockInFloat, Some("features.1")), Some(Changes::default()));
        assert_eq!(log.known(Change::Equalize, None), None);
        log.done();
        assert!(!path.exists());
    }
}
