//! How points were started, written down before anything is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Folder;
use super::folder::json;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files::{self, FileError};
use crate::base::{clock, owner};

/// How points were started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub number: usize,
    /// UTC, RFC 3339.
    pub started: String,
    /// Whoever launched it, to be stopped where the points are run by it.
    pub owner: String,
    pub how: How,
    /// Of Slurm: what was submitted, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrays: Vec<Array>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gather: Option<u64>,
    /// When somebody called it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
}

/// Where points run, and under which terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "launcher", rename_all = "lowercase")]
pub enum How {
    Local { jobs: usize, parallel_timing: bool },
    Slurm(Terms),
}

/// What a job asks of Slurm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Tasks at a time.
    pub throttle: Option<usize>,
    pub partition: Option<String>,
    pub time: Option<String>,
    pub cpus: Option<usize>,
    pub gres: Option<String>,
    pub mem: Option<String>,
    /// Further options of `sbatch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parallel_timing: bool,
}

/// A job array: element `n` is point `n + offset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    pub offset: usize,
    /// Its elements, as Slurm writes them.
    pub elements: String,
    /// Absent until Slurm has answered.
    pub job: Option<u64>,
}

/// No array of any cluster has so many.
const MOST: usize = 10_000_000;

impl Array {
    /// The points that it holds.
    #[must_use]
    pub fn numbers(&self) -> Vec<usize> {
        let range = |part: &str| -> Option<std::ops::RangeInclusive<usize>> {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
            (to < MOST && from <= to).then_some(from..=to)
        };
        self.elements.split(',').filter_map(range).flatten().map(|element| element + self.offset).collect()
    }
}

const LAUNCHES: &str = "launches";

/// Every launch, the first first.
pub fn launches(folder: &Folder) -> Result<Vec<Launch>, Failure> {
    let home = folder.path.join(LAUNCHES);
    let mut found = Vec::new();
    for name in files::list(&home)?.iter().filter(|name| name.ends_with(".json") && !name.starts_with('.')) {
        let path = home.join(name);
        let text = files::read_text(&path)?;
        let launch = serde_json::from_str(&text).map_err(|error| {
            let message = format!("`{}` cannot be read: {error}", path.display());
            Diagnostic::error(Cause::Input, message).next("remove it, once no job that it started is under way")
        })?;
        found.push(launch);
    }
    found.sort_by_key(|launch: &Launch| launch.number);
    Ok(found)
}

impl Launch {
    /// Notes a launch before anything is started.
    pub fn begin(folder: &Folder, how: How, arrays: Vec<Array>) -> Result<Self, Failure> {
        let number = launches(folder)?.last().map_or(1, |last| last.number + 1);
        let started = clock::stamp(clock::now());
        let mut launch = Self { number, started, owner: owner::this(), how, arrays, gather: None, cancelled: None };
        // Two that launch at once are two launches, and both must be found again.
        while !files::claim(&launch.path(folder), &json(&launch))? {
            launch.number += 1;
        }
        Ok(launch)
    }

    pub fn save(&self, folder: &Folder) -> Result<(), FileError> {
        files::replace(&self.path(folder), &json(self))
    }

    fn path(&self, folder: &Folder) -> PathBuf {
        folder.path.join(LAUNCHES).join(format!("{:04}.json", self.number))
    }
}
