//! The runs that a results folder keeps: which there are, and which one a person means.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use crate::base::explain::{Cause, Explain};
use crate::base::files::{self, FileError};
use crate::base::finding::Verdict;
use crate::record::format::VariantResult;
use crate::record::store;

/// What a list says of a run; the rest of its record is skipped unread.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Summary {
    pub format: String,
    pub run: Began,
    pub verdict: Verdict,
    pub variants: Vec<VariantResult>,
    pub host: Machine,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Began {
    pub id: String,
    /// UTC, RFC 3339.
    pub started: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
}

/// A run of a results folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub experiment: String,
    /// Of the folder, which may differ from the run's id.
    pub name: String,
    pub folder: PathBuf,
    /// Why its record cannot be read, where it cannot.
    pub summary: Result<Summary, String>,
}

/// A name that means no run.
#[derive(Debug, thiserror::Error)]
pub enum UnknownRun {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("`{name}` is no run: neither a path, nor an experiment or a run in `{}`", results.display())]
    None { name: String, results: PathBuf },
    #[error("the latest run of `{name}` may be `{}`, and its record cannot be read: {reason}", run.display())]
    Unreadable { name: String, run: PathBuf, reason: String },
    #[error("`{name}` could be {}", among.join(", "))]
    Many { name: String, among: Vec<String> },
}

impl Explain for UnknownRun {
    fn class(&self) -> Cause {
        Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.next_step(),
            Self::None { .. } => "`requant list` shows the runs there are; `--results DIR` looks elsewhere".into(),
            Self::Unreadable { .. } => {
                "name the run that you mean; `requant verify` says what became of that one".into()
            }
            Self::Many { .. } => "write more of it".into(),
        })
    }
}

/// Folders whose name starts so are runs in the making.
const HIDDEN: char = '.';

/// Folders of complete runs of an experiment, sorted by name.
fn runs_in(home: &Path) -> Result<Vec<String>, FileError> {
    let names = files::list(home)?;
    // A folder with the name of a run is one, whatever it has lost.
    let named =
        |name: &str| name.len() > 16 && name.as_bytes()[8] == b'T' && name.starts_with(|c: char| c.is_ascii_digit());
    let run = |name: &String| is_run(&home.join(name)) || (named(name) && home.join(name).is_dir());
    Ok(names.into_iter().filter(|name| !name.starts_with(HIDDEN) && run(name)).collect())
}

/// A run that lost its record is still one: whoever reads it is told so.
fn is_run(folder: &Path) -> bool {
    folder.join("record.json").is_file() || folder.join("SHA256SUMS").is_file()
}

/// None where nothing has been run yet.
pub fn experiments(results: &Path) -> Result<Vec<String>, FileError> {
    if !results.exists() {
        return Ok(Vec::new());
    }
    let names = files::list(results)?;
    Ok(names.into_iter().filter(|name| !name.starts_with(HIDDEN) && results.join(name).is_dir()).collect())
}

/// Every run, by experiment and then by when it began; those that cannot be read come last.
pub fn list(results: &Path) -> Result<Vec<Listed>, FileError> {
    let mut found = Vec::new();
    for experiment in experiments(results)? {
        let home = results.join(&experiment);
        let mut runs: Vec<Listed> =
            runs_in(&home)?.into_par_iter().map(|name| listed(&experiment, &home, name)).collect();
        runs.sort_by(|a, b| age(a).cmp(&age(b)));
        found.append(&mut runs);
    }
    Ok(found)
}

fn listed(experiment: &str, home: &Path, name: String) -> Listed {
    let folder = home.join(&name);
    let summary = files::read(&folder.join("record.json")).map_err(|error| error.to_string());
    let summary = summary.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    let known = |summary: Summary| {
        let began: String = summary.run.started.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        if !store::reads(&summary.format) {
            Err(format!("format {} is not one that this requant reads", summary.format))
        } else if !summary.run.id.starts_with(&began) {
            Err(format!("it began at {}, which is not in its id {}", summary.run.started, summary.run.id))
        } else {
            Ok(summary)
        }
    };
    let summary = summary.and_then(known);
    Listed { experiment: experiment.to_owned(), name, folder, summary }
}

fn age(run: &Listed) -> (bool, &str, &str) {
    let started = run.summary.as_ref().map(|summary| summary.run.started.as_str());
    (started.is_err(), started.unwrap_or(""), &run.name)
}

/// The run that `name` means: a run's folder or a record file, an experiment (its latest run), or the
/// beginning of a run's name, with or without `EXPERIMENT/` before it.
pub fn find(results: &Path, name: &str) -> Result<PathBuf, UnknownRun> {
    let path = Path::new(name);
    if path.is_file() || is_run(path) {
        return Ok(path.to_owned());
    }
    let is_home = |home: &Path| home.is_dir() && runs_in(home).is_ok_and(|runs| !runs.is_empty());
    let homes = [path.to_owned(), results.join(name)];
    if let Some(home) = homes.iter().find(|home| is_home(home)) {
        return latest(home, name);
    }
    if is_run(&results.join(name)) {
        return Ok(results.join(name));
    }
    let (experiment, beginning) = name.rsplit_once('/').map_or((None, name), |(e, b)| (Some(e), b));
    let mut found = Vec::new();
    for home in experiments(results).unwrap_or_default() {
        if experiment.is_none_or(|wanted| wanted == home) {
            let runs = runs_in(&results.join(&home))?;
            let fitting = runs.into_iter().filter(|run| !beginning.is_empty() && run.starts_with(beginning));
            found.extend(fitting.map(|run| format!("{home}/{run}")));
        }
    }
    let whole = found.iter().filter(|run| run.ends_with(&format!("/{beginning}"))).cloned().collect::<Vec<_>>();
    if whole.len() == 1 {
        found = whole;
    }
    match found.as_slice() {
        [] => Err(unknown(results, name)),
        [one] => Ok(results.join(one)),
        _ => Err(UnknownRun::Many { name: name.to_owned(), among: found }),
    }
}

fn unknown(results: &Path, name: &str) -> UnknownRun {
    UnknownRun::None { name: name.to_owned(), results: results.to_owned() }
}

/// The run of `home` that began last. One that cannot be read may be it, unless its name, which begins
/// with its time, says otherwise.
fn latest(home: &Path, name: &str) -> Result<PathBuf, UnknownRun> {
    let runs: Vec<Listed> = runs_in(home)?.into_iter().map(|run| listed("", home, run)).collect();
    let readable = runs.iter().filter(|run| run.summary.is_ok()).max_by(|a, b| age(a).cmp(&age(b)));
    let id = |run: &Listed| run.summary.as_ref().map_or_else(|_| run.name.clone(), |summary| summary.run.id.clone());
    let known = readable.map(id);
    for run in &runs {
        if let Err(reason) = &run.summary
            && known.as_ref().is_none_or(|known| run.name > *known)
        {
            let (name, run, reason) = (name.to_owned(), run.folder.clone(), reason.clone());
            return Err(UnknownRun::Unreadable { name, run, reason });
        }
    }
    let none = || UnknownRun::None { name: name.to_owned(), results: home.to_owned() };
    readable.map(|run| run.folder.clone()).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(results: &Path, run: &str, started: &str) {
        let folder = results.join(run);
        files::create_dir_all(&folder).unwrap();
        let id = started.replace(['-', ':'], "") + "-x";
        let record = format!(
            r#"{{"format":"2.1","run":{{"id":"{id}","started":"{started}"}},"network":{{"layers":[1]}},
                "verdict":"pass","variants":[],"host":{{"cpu":"c","cores":2}}}}"#
        );
        files::write(&folder.join("record.json"), record.as_bytes()).unwrap();
    }

    const SEPTEMBER: &str = "20260901T000000Z-x";
    const JULY: &str = "20260701T000000Z-x";

    #[test]
    fn a_name_means_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path();
        put(results, &format!("a/{SEPTEMBER}"), "2026-09-01T00:00:00Z");
        put(results, &format!("a/{JULY}"), "2026-07-01T00:00:00Z");
        put(results, &format!("a/{SEPTEMBER}-2"), "2026-08-01T00:00:00Z");
        put(results, "b/reference", "2026-01-01T00:00:00Z");
        files::create_dir_all(&results.join("a/.draft-2027")).unwrap();
        let means = |name: &str| find(results, name).map(|path| path.strip_prefix(results).unwrap().to_owned());
        let in_a = |run: &str| Path::new("a").join(run);
        assert_eq!(means("a").unwrap(), in_a(SEPTEMBER));
        assert_eq!(means("ref").unwrap(), Path::new("b/reference"));
        assert_eq!(means("a/202607").unwrap(), in_a(JULY));
        assert_eq!(means(SEPTEMBER).unwrap(), in_a(SEPTEMBER), "a whole name, though another begins so");
        assert!(matches!(means("2026").unwrap_err(), UnknownRun::Many { among, .. } if among.len() == 3));
        assert!(matches!(means("c").unwrap_err(), UnknownRun::None { .. }));
        assert_eq!(find(results, results.join("a").to_str().unwrap()).unwrap(), results.join(in_a(SEPTEMBER)));
    }

    #[test]
    fn an_unreadable_latest_run_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path();
        put(results, &format!("a/{JULY}"), "2026-07-01T00:00:00Z");
        put(results, &format!("a/{SEPTEMBER}"), "2026-09-01T00:00:00Z");
        let record = results.join("a").join(SEPTEMBER).join("record.json");
        let sound = files::read_text(&record).unwrap();
        let elsewhen = sound.replace("\"2026-09", "\"1026-09");
        let other_format = sound.replace("2.1", "3.0");
        for broken in ["{", elsewhen.as_str(), other_format.as_str()] {
            files::write(&record, broken.as_bytes()).unwrap();
            let names: Vec<String> = list(results).unwrap().into_iter().map(|run| run.name).collect();
            assert_eq!(names, [JULY, SEPTEMBER], "{broken}");
            let error = find(results, "a").unwrap_err().to_string();
            assert!(error.contains("may be") && error.contains(SEPTEMBER), "{broken}: {error}");
        }
        files::remove(&record).unwrap();
        assert!(find(results, "a").unwrap_err().to_string().contains(SEPTEMBER), "nothing is left of it but its name");
        files::remove_dir_all(&results.join("a").join(SEPTEMBER)).unwrap();
        assert!(find(results, "a").unwrap().ends_with(JULY));
    }
}
