//! From the runs of a sweep to its table and its page.

use std::path::Path;

use rayon::prelude::*;

use super::Folder;
use super::folder::json;
use super::state::{self, State};
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::base::files;
use crate::base::finding::Verdict;
use crate::comparison::row::{self, Row};
use crate::comparison::{page, table};
use crate::grid::SweepRecord;
use crate::grid::outcome::{Outcome, Pinned, PointOutcome};
use crate::record::store;

const FORMAT: &str = "1.0";

/// What was written.
pub struct Gathered {
    pub outcome: Outcome,
    pub states: Vec<State>,
}

impl Gathered {
    /// Of the points that have a run, and whether there are others.
    #[must_use]
    pub fn verdict(&self) -> (Verdict, bool) {
        let runs = self.outcome.points.iter().filter_map(|point| point.run.as_ref());
        let whole = self.outcome.points.iter().all(|point| point.run.is_some());
        (Verdict::all(runs.map(|run| run.verdict)), whole)
    }
}

/// The files that are made of an outcome and the records that it pins.
pub(super) struct Documents {
    /// By name; `SHA256SUMS` is not among them.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// Gathers what there is, and writes it beside the sweep's record.
pub fn gather(folder: &Folder) -> Result<Gathered, Failure> {
    let mut standing = state::of(folder)?;
    let at = standing.states.par_iter().zip(&folder.record.points);
    let looked: Vec<Result<Option<Pinned>, String>> =
        at.map(|(state, point)| pinned(folder, state, &point.id)).collect();
    let mut points = Vec::new();
    for ((at, state), pinned) in standing.states.iter_mut().enumerate().zip(looked) {
        let run = pinned.unwrap_or_else(|reason| {
            *state = State::Lost { reason };
            None
        });
        points.push(PointOutcome {
            number: at + 1,
            state: state.word().to_owned(),
            attempts: standing.attempts[at].as_ref().map_or(0, |attempt| attempt.attempt),
            reason: if run.is_some() { String::new() } else { state.detail() },
            run,
        });
    }
    let outcome = Outcome { format: FORMAT.to_owned(), id: folder.record.id, points };
    let documents = documents(folder, &outcome)?;
    for (name, content) in &documents.files {
        files::replace(&folder.path.join(name), content)?;
    }
    files::replace(&folder.path.join("outcome.json"), &json(&outcome))?;
    Ok(Gathered { outcome, states: standing.states })
}

/// A point's run; or why what is there is none.
fn pinned(folder: &Folder, state: &State, id: &Digest) -> Result<Option<Pinned>, String> {
    let State::Done { run, .. } = state else { return Ok(None) };
    let home = folder.home().join(run);
    let bytes = files::read(&home.join("record.json")).map_err(|error| error.to_string())?;
    let record = store::read(&home).map_err(|error| error.to_string())?;
    if record.run.resolved != *id {
        return Err(format!("the run `{run}` obeyed other settings"));
    }
    Ok(Some(Pinned { run: run.clone(), record: Digest::of(&bytes), verdict: record.verdict }))
}

/// A pure function of the sweep's record, the outcome, and the records that it pins.
pub(super) fn documents(folder: &Folder, outcome: &Outcome) -> Result<Documents, Failure> {
    let each = |point: &PointOutcome| -> Result<Vec<Row>, Failure> {
        let Some(run) = &point.run else { return Ok(Vec::new()) };
        let record = store::read(&folder.home().join(&run.run))?;
        Ok(row::of(point.number, &run.run, &record, run.record))
    };
    let rows: Vec<Vec<Row>> = outcome.points.par_iter().map(each).collect::<Result<_, _>>()?;
    of_rows(&folder.record, outcome, &rows.concat())
}

fn of_rows(sweep: &SweepRecord, outcome: &Outcome, rows: &[Row]) -> Result<Documents, Failure> {
    let page = page::Page::of(sweep, outcome, rows);
    let mut files = vec![("sweep.csv", table::csv(sweep, outcome, rows)), ("sweep.md", page.text()?.into_bytes())];
    files.extend(page.figures()?);
    Ok(Documents { files })
}

/// What an earlier gathering wrote; `None` where there was none.
pub fn outcome(path: &Path) -> Result<Option<Outcome>, Failure> {
    let file = path.join("outcome.json");
    if !file.exists() {
        return Ok(None);
    }
    let text = files::read_text(&file)?;
    let parsed = serde_json::from_str(&text);
    Ok(Some(parsed.map_err(|error| files::FileError::new("read", &file, error.into()))?))
}
