//! The results of interventions. The file's name tells what it is about; it is gone once all are known.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sample::Changes;
use crate::base::digest::Digest;
use crate::base::files::FileError;
use crate::record::format::Change;
use crate::search::ledger::Ledger;

#[derive(Serialize, Deserialize)]
struct Line {
    change: Change,
    target: Option<String>,
    changes: Changes,
}

pub(super) struct Log {
    ledger: Ledger,
    known: Vec<Line>,
}

impl Log {
    /// `about` stands for everything that the outcomes depend on.
    pub(super) fn open(home: &Path, about: &Digest) -> Result<Self, FileError> {
        let ledger = Ledger::open(home.join(format!(".interventions-{}.jsonl", about.short())))?;
        Ok(Self { known: ledger.known().collect(), ledger })
    }

    pub(super) fn known(&self, change: Change, target: Option<&str>) -> Option<Changes> {
        let line = self.known.iter().find(|line| line.change == change && line.target.as_deref() == target);
        line.map(|line| line.changes.clone())
    }

    pub(super) fn keep(&mut self, change: Change, target: Option<&str>, changes: &Changes) -> Result<(), FileError> {
        self.ledger.keep(&Line { change, target: target.map(str::to_owned), changes: changes.clone() })
    }

    pub(super) fn done(self) {
        self.ledger.done();
    }
}
