//! A finished run held against itself: whether its files are those that were sealed, and whether
//! each says what the others imply. Needs no engine.
//!
//! Digests find a file that changed after the run was sealed. What is derived is derived again, so
//! that a figure changed together with its digest is found too.

mod contents;
mod inputs;
mod sums;

use std::path::Path;

use crate::base::explain::Explain as _;
use crate::base::files;
use crate::base::progress::Meter;
use crate::record::Record;
use crate::record::store::{self, RecordError};

/// What was found of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// What holds, a sentence each.
    pub holds: Vec<String>,
    /// What could not be looked at, each with its reason.
    pub skipped: Vec<String>,
    pub problems: Vec<Problem>,
}

/// Something that is not as the run left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Relative to the run's folder; of an input, the manifest key.
    pub file: String,
    pub what: String,
    /// What helps, where that is not to bring the run back.
    pub next: Option<String>,
}

impl Verified {
    fn problem(&mut self, file: &str, what: impl Into<String>) {
        self.problems.push(Problem { file: file.to_owned(), what: what.into(), next: None });
    }

    fn problem_with(&mut self, file: &str, what: impl Into<String>, next: impl Into<String>) {
        self.problems.push(Problem { file: file.to_owned(), what: what.into(), next: Some(next.into()) });
    }

    /// Notes that a group of checks holds, unless one of them added a problem.
    fn group(&mut self, holds: &str, checks: impl FnOnce(&mut Self)) {
        let before = self.problems.len();
        checks(self);
        if self.problems.len() == before {
            self.holds.push(holds.to_owned());
        }
    }
}

/// Looks at everything in a run's folder.
#[must_use]
pub fn files_alone(folder: &Path) -> Verified {
    look(folder).0
}

/// Looks at everything in a run's folder, and at the run's inputs where they are at hand.
#[must_use]
pub fn verify(folder: &Path, meter: &dyn Meter) -> Verified {
    let (mut found, record) = look(folder);
    if let Some(record) = record {
        inputs::check(folder, &record, meter, &mut found);
    }
    found
}

fn look(folder: &Path) -> (Verified, Option<Record>) {
    let mut found = Verified::default();
    let links = files::links(folder).unwrap_or_default();
    if !links.is_empty() {
        // What a link leads to may be anything, anywhere, and another tomorrow.
        links.iter().for_each(|name| found.problem(name, "it is a link, and a run has files of its own"));
        return (found, None);
    }
    sums::check(folder, &mut found);
    match read(folder) {
        Ok(record) => {
            contents::check(folder, &record, &mut found);
            (found, Some(record))
        }
        Err(error) => {
            match &error {
                RecordError::Version { .. } => {
                    let next = error.next_step().unwrap_or_default();
                    found.problem_with("record.json", error.to_string(), next);
                }
                RecordError::File(_) | RecordError::Form { .. } | RecordError::Table { .. } => {
                    found.problem("record.json", error.to_string());
                }
            }
            (found, None)
        }
    }
}

fn read(folder: &Path) -> Result<Record, RecordError> {
    store::read(&folder.join("record.json"))
}

/// Where two texts part, for a person: the line and what it is against what it should be.
fn first_difference(is: &str, should: &str) -> Option<String> {
    let (mut left, mut right) = (is.split('\n'), should.split('\n'));
    let shown = |line: Option<&str>| {
        line.map_or_else(
            || "missing".to_owned(),
            |line| {
                let line = line.trim_start();
                let short: String = line.chars().take(120).collect();
                if short.len() < line.len() { format!("`{short} …`") } else { format!("`{short}`") }
            },
        )
    };
    (1..)
        .map_while(|number| match (left.next(), right.next()) {
            (None, None) => None,
            (is, should) => Some((number, is, should)),
        })
        .find(|(_, is, should)| is != should)
        .map(|(number, is, should)| format!("line {number} is {}, and should be {}", shown(is), shown(should)))
}
