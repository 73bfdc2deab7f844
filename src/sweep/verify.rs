//! A sweep held against its pins: its points, their runs, and everything that was made of them.

use std::path::Path;

use rayon::prelude::*;

use super::Folder;
use super::gather;
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::base::files;
use crate::base::units::counted;
use crate::grid::outcome::Outcome;
use crate::record::store;
use crate::verify::{self as runs, Problem, Verified};

/// Looks at everything: the record, every point, every run that the outcome pins, and the documents made of them.
pub fn verify(folder: &Folder) -> Result<Verified, Failure> {
    let mut found = Verified::default();
    record(folder, &mut found);
    let Some(outcome) = gather::outcome(&folder.path)? else {
        for name in ["sweep.csv", "sweep.md"] {
            if folder.path.join(name).exists() {
                problem(&mut found, name, "it is there, and `outcome.json` that tells what it is made of is not");
            }
        }
        found.skipped.push("the runs: nothing was gathered yet; `requant sweep gather` does it".to_owned());
        return Ok(found);
    };
    if outcome.id != folder.record.id || outcome.points.len() != folder.record.points.len() {
        problem(&mut found, "outcome.json", "it is of another sweep");
        return Ok(found);
    }
    point_runs(folder, &outcome, &mut found);
    // Documents are made of the runs: without these they cannot be what they should.
    if found.problems.is_empty() {
        documents(folder, &outcome, &mut found);
    }
    Ok(found)
}

fn problem(found: &mut Verified, file: &str, what: impl Into<String>) {
    found.problems.push(Problem { file: file.to_owned(), what: what.into(), next: None });
}

fn record(folder: &Folder, found: &mut Verified) {
    let before = found.problems.len();
    let record = &folder.record;
    let name = folder.path.file_name().unwrap_or_default().to_string_lossy();
    if !record.is_consistent() {
        problem(found, "sweep.json", format!("its axes and points do not give its id, {}", record.id));
    }
    if !name.ends_with(&record.id.short()) {
        problem(found, "sweep.json", format!("its id, {}, is not the folder's", record.id));
    }
    for (file, pinned) in [("sweep.toml", record.manifest), ("base.toml", record.base)] {
        holds(&folder.path, file, pinned, found);
    }
    for point in &record.points {
        let path = folder.point_path(point.number);
        let file = path.strip_prefix(&folder.path).unwrap_or(&path).display().to_string();
        holds(&folder.path, &file, point.id, found);
    }
    if found.problems.len() == before {
        found
            .holds
            .push(format!("the sweep's record, and {} with their digests", counted(record.points.len(), "point")));
    }
}

fn holds(home: &Path, file: &str, pinned: Digest, found: &mut Verified) {
    match files::read(&home.join(file)) {
        Ok(content) if Digest::of(&content) == pinned => {}
        Ok(content) => problem(found, file, format!("it has {}, and the sweep pins {pinned}", Digest::of(&content))),
        Err(error) => problem(found, file, error.to_string()),
    }
}

fn point_runs(folder: &Folder, outcome: &Outcome, found: &mut Verified) {
    let before = found.problems.len();
    let pinned = outcome.points.iter().zip(&folder.record.points);
    let pinned: Vec<_> = pinned.filter_map(|(point, facts)| Some((facts, point.run.as_ref()?))).collect();
    let each = pinned.par_iter().map(|(facts, run)| {
        let home = folder.home().join(&run.run);
        let own = |what: String| Problem { file: format!("{}/record.json", run.run), what, next: None };
        let within = |problem: Problem| Problem { file: format!("{}/{}", run.run, problem.file), ..problem };
        let mut problems: Vec<Problem> = runs::files_alone(&home).problems.into_iter().map(within).collect();
        match (files::read(&home.join("record.json")), store::read(&home)) {
            (Ok(bytes), Ok(record)) => {
                if Digest::of(&bytes) != run.record {
                    problems.push(own(format!("it is another than the outcome pins, {}", run.record)));
                }
                if record.run.resolved != facts.id {
                    problems.push(own(format!("it obeyed other settings than point {}, {}", facts.number, facts.id)));
                }
                if record.verdict != run.verdict {
                    problems.push(own(format!("its verdict is another than the outcome's, {}", run.verdict.word())));
                }
            }
            (Err(error), _) => problems.push(own(error.to_string())),
            (_, Err(error)) => problems.push(own(error.to_string())),
        }
        problems
    });
    found.problems.extend(each.collect::<Vec<_>>().concat());
    if found.problems.len() == before {
        found
            .holds
            .push(format!("{} of the points, each intact and by its point's settings", counted(pinned.len(), "run")));
    }
    let missing = outcome.points.len() - pinned.len();
    if missing > 0 {
        found.skipped.push(format!("{} without a run", counted(missing, "point")));
    }
}

fn documents(folder: &Folder, outcome: &Outcome, found: &mut Verified) {
    let made = match gather::documents(folder, outcome) {
        Ok(made) => made,
        Err(failure) => return problem(found, "outcome.json", failure.to_string()),
    };
    let before = found.problems.len();
    let names: Vec<&str> = made.files.iter().map(|(name, _)| *name).collect();
    for (name, should) in &made.files {
        match files::read(&folder.path.join(name)) {
            Ok(is) if is == *should => {}
            Ok(_) => {
                problem(found, name, "it is not what the runs' records give; `requant sweep gather` makes it anew");
            }
            Err(error) => problem(found, name, error.to_string()),
        }
    }
    if found.problems.len() == before {
        found.holds.push(format!("{} say what the runs' records say", names.join(", ")));
    }
}
