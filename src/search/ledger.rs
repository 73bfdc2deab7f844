//! The results of trials, a line of JSON each, so that a search that is started again after it was killed does not try
//! them anew.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::files::{self, FileError};

/// A file that lines are added to.
pub(super) struct Ledger {
    path: PathBuf,
    file: File,
    text: String,
}

impl Ledger {
    pub(super) fn open(path: PathBuf) -> Result<Self, FileError> {
        let text = if path.exists() { files::read_text(&path)? } else { String::new() };
        let file = File::options().create(true).append(true).open(&path);
        let mut file = file.map_err(|error| FileError::new("write", &path, error))?;
        if !text.is_empty() && !text.ends_with('\n') {
            // A killed process left the last line unfinished.
            writeln!(file).map_err(|error| FileError::new("write", &path, error))?;
        }
        Ok(Self { path, file, text })
    }

    /// The lines of one form that were there when the file was opened. An unfinished line has none, and is tried again.
    pub(super) fn known<T: DeserializeOwned>(&self) -> impl Iterator<Item = T> {
        self.text.lines().filter_map(|line| serde_json::from_str(line).ok())
    }

    pub(super) fn keep(&mut self, line: &impl Serialize) -> Result<(), FileError> {
        let text = serde_json::to_string(line).map_err(|error| FileError::new("write", &self.path, error.into()))?;
        writeln!(self.file, "{text}").map_err(|error| FileError::new("write", &self.path, error))
    }

    /// Deletes the file. Somebody else's hand on it is no reason to lose what was measured.
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
        let path = home.path().join("trials.jsonl");
        let mut ledger = Ledger::open(path.clone()).unwrap();
        ledger.keep(&("features.1", 3_usize)).unwrap();
        drop(ledger);
        // The next line was cut short.
        let cut = files::read_text(&path).unwrap() + "[\"features";
        files::write(&path, cut.as_bytes()).unwrap();
        let mut ledger = Ledger::open(path.clone()).unwrap();
        ledger.keep(&("features.2", 4_usize)).unwrap();
        let ledger = Ledger::open(path.clone()).unwrap();
        let known: Vec<(String, usize)> = ledger.known().collect();
        assert_eq!(known, [("features.1".to_owned(), 3), ("features.2".to_owned(), 4)]);
        ledger.done();
        assert!(!path.exists());
    }
}
