//! What whoever runs a point writes down, before and after, each time the whole file at once.
//!
//! A file's name is the claim to an attempt: two that want the same point at the same time cannot both make it, on
//! a shared folder either, and no lock is held by anyone who may die with it.

use std::fs::File;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::files::{self, FileError};
use crate::base::{clock, owner};

/// A try at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub point: usize,
    /// Of the point.
    pub id: Digest,
    /// From 1.
    pub attempt: usize,
    /// Where a scheduler runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// The process that runs it, for those who find it unfinished.
    pub owner: String,
    /// The machine, for people.
    pub node: String,
    /// UTC, RFC 3339.
    pub started: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// An element of a job array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub array: u64,
    pub task: u64,
    /// How often the scheduler has started it anew.
    pub restart: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "lowercase")]
pub enum End {
    /// There is a whole run; `exit` tells its verdict.
    Done {
        run: String,
        exit: u8,
    },
    /// A run by the same settings was there already.
    Found {
        run: String,
    },
    Failed {
        reason: String,
    },
    /// It was asked to stop.
    Cancelled {
        reason: String,
    },
    /// Nobody wrote how it ended; noted by who found it so.
    Lost {
        reason: String,
    },
}

impl End {
    /// The folder of the run that it left, below that of the sweep's name.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        match self {
            Self::Done { run, .. } | Self::Found { run } => Some(run),
            _ => None,
        }
    }
}

/// The folder of attempts within a sweep's.
const HOME: &str = "attempts";

fn path(sweep: &Path, point: usize, attempt: usize) -> PathBuf {
    sweep.join(HOME).join(format!("{point:05}.{attempt}.json"))
}

/// The latest attempt at each of so many points.
pub fn latest(sweep: &Path, points: usize) -> Result<Vec<Option<Attempt>>, FileError> {
    let home = sweep.join(HOME);
    let mut newest = vec![0; points];
    for name in files::list(&home)? {
        let Some((point, attempt)) = numbers(&name) else { continue };
        if let Some(known) = point.checked_sub(1).and_then(|at| newest.get_mut(at)) {
            *known = attempt.max(*known);
        }
    }
    let read = |(at, attempt): (usize, &usize)| (*attempt > 0).then(|| read(sweep, at + 1, *attempt)).transpose();
    newest.par_iter().enumerate().map(read).collect()
}

/// The latest attempt at one point.
pub fn latest_of(sweep: &Path, point: usize) -> Result<Option<Attempt>, FileError> {
    let names = files::list(&sweep.join(HOME))?;
    let newest = names.iter().filter_map(|name| numbers(name)).filter(|(of, _)| *of == point).map(|(_, n)| n).max();
    newest.map(|attempt| read(sweep, point, attempt)).transpose()
}

/// `00012.1.json`
fn numbers(name: &str) -> Option<(usize, usize)> {
    let (point, attempt) = name.strip_suffix(".json")?.split_once('.')?;
    let attempt: usize = attempt.parse().ok()?;
    (attempt < MOST_ATTEMPTS).then_some((point.parse().ok()?, attempt))
}

/// Nobody tries so often.
const MOST_ATTEMPTS: usize = 1_000_000;

/// The name says which attempt it is, whatever the file does. One that cannot be read tells of an attempt of which
/// nothing else is known.
fn read(sweep: &Path, point: usize, attempt: usize) -> Result<Attempt, FileError> {
    let path = path(sweep, point, attempt);
    let text = files::read(&path)?;
    Ok(match serde_json::from_slice::<Attempt>(&text) {
        Ok(known) => Attempt { point, attempt, ..known },
        Err(error) => Attempt {
            point,
            id: Digest::of(b""),
            attempt,
            job: None,
            owner: String::new(),
            node: String::new(),
            started: String::new(),
            ended: None,
            end: Some(End::Lost { reason: format!("`{}` cannot be read: {error}", path.display()) }),
        },
    })
}

/// An attempt that this process owns.
pub struct Claim {
    attempt: Attempt,
    path: PathBuf,
    /// Holds the room that the last words will need, so that they can be written on a full disk.
    spare: Option<(File, PathBuf)>,
}

/// How room for last words is recognized; what follows names its owner.
const SPARE: &str = ".spare~";
const OWNED_BY: char = '~';

/// Removes what tasks left that were killed before they could write their last words.
pub fn tidy(sweep: &Path) -> Result<(), FileError> {
    let home = sweep.join(HOME);
    for name in files::list(&home)? {
        let owner = name.strip_prefix(SPARE).and_then(|rest| rest.split(OWNED_BY).next());
        if owner.is_some_and(|owner| !owner::lives(owner)) {
            // Another launcher may have been faster.
            let _ = files::remove(&home.join(name));
        }
    }
    Ok(())
}

/// No last words are longer.
const ROOM: usize = 4096;

impl Claim {
    /// Claims an attempt at a point; `None` where somebody else was faster.
    pub fn make(
        sweep: &Path,
        point: usize,
        id: Digest,
        attempt: usize,
        job: Option<Job>,
    ) -> Result<Option<Self>, FileError> {
        let attempt = Attempt {
            point,
            id,
            attempt,
            job,
            owner: owner::this(),
            node: node(),
            started: clock::stamp(clock::now()),
            ended: None,
            end: None,
        };
        let path = path(sweep, point, attempt.attempt);
        let home = sweep.join(HOME);
        let fail = |error| FileError::new("write", &path, error);
        // Room for the end comes first: what is begun can then be ended in writing.
        let prefix = format!("{SPARE}{}{OWNED_BY}", owner::this());
        let spare = tempfile::Builder::new().prefix(&prefix).tempfile_in(&home).map_err(fail)?;
        let taken = spare.as_file().write_all_at_start(&[b' '; ROOM]).and_then(|()| spare.as_file().sync_all());
        taken.map_err(fail)?;
        if !files::claim(&path, &text(&attempt))? {
            return Ok(None);
        }
        let (file, temporary) = spare.keep().map_err(|error| fail(error.error))?;
        Ok(Some(Self { attempt, path, spare: Some((file, temporary)) }))
    }

    #[must_use]
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// Writes down how it ended.
    pub fn end(mut self, end: End) -> Result<(), FileError> {
        self.attempt.ended = Some(clock::stamp(clock::now()));
        self.attempt.end = Some(end);
        let Some((file, temporary)) = self.spare.take() else { return Ok(()) };
        let mut content = text(&self.attempt);
        if content.len() > ROOM {
            self.attempt.end = self.attempt.end.take().map(shortened);
            content = text(&self.attempt);
        }
        // What is left of the room stays as blanks after the text.
        content.resize(content.len().max(ROOM), b' ');
        let put = || -> std::io::Result<()> {
            file.write_all_at_start(&content)?;
            file.sync_all()?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        };
        put().map_err(|error| FileError::new("write", &self.path, error))?;
        files::rename(&temporary, &self.path)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((_, temporary)) = self.spare.take() {
            let _ = files::remove(&temporary);
        }
    }
}

/// Writes from the beginning of a file, over what is there.
trait WriteAtStart {
    fn write_all_at_start(&self, content: &[u8]) -> std::io::Result<()>;
}

impl WriteAtStart for File {
    fn write_all_at_start(&self, content: &[u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, content, 0)
    }
}

/// Notes of an unfinished attempt how it must have ended. Whoever finds it so says so; nobody owns it any more.
pub fn close(sweep: &Path, attempt: &Attempt, end: End) -> Result<(), FileError> {
    let closed = Attempt { ended: Some(clock::stamp(clock::now())), end: Some(end), ..attempt.clone() };
    files::replace(&path(sweep, attempt.point, attempt.attempt), &text(&closed))
}

fn text(attempt: &Attempt) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(attempt).unwrap_or_default();
    text.push(b'\n');
    text
}

fn shortened(end: End) -> End {
    let short = |reason: String| reason.chars().take(400).collect();
    match end {
        End::Failed { reason } => End::Failed { reason: short(reason) },
        End::Cancelled { reason } => End::Cancelled { reason: short(reason) },
        End::Lost { reason } => End::Lost { reason: short(reason) },
        other => other,
    }
}

fn node() -> String {
    let name = files::read_text(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(sweep: &Path, attempt: usize) -> Option<Claim> {
        Claim::make(sweep, 3, Digest::of(b"x"), attempt, None).unwrap()
    }

    #[test]
    fn an_attempt_belongs_to_one_and_its_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        files::create_dir_all(&folder.path().join(HOME)).unwrap();
        let first = claim(folder.path(), 1).unwrap();
        assert!(claim(folder.path(), 1).is_none(), "it is taken");
        let begun = latest(folder.path(), 4).unwrap();
        assert_eq!(begun.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, false]);
        assert!(begun[2].as_ref().unwrap().end.is_none() && owner::lives(&begun[2].as_ref().unwrap().owner));
        first.end(End::Failed { reason: "x".repeat(9000) }).unwrap();
        let ended = latest_of(folder.path(), 3).unwrap().unwrap();
        assert!(matches!(&ended.end, Some(End::Failed { reason }) if reason.len() == 400));
        let second = claim(folder.path(), 2).unwrap();
        second.end(End::Done { run: "r".into(), exit: 0 }).unwrap();
        assert_eq!(latest_of(folder.path(), 3).unwrap().unwrap().end.unwrap().run(), Some("r"));
        drop(claim(folder.path(), 3).unwrap());
        let left = files::list(&folder.path().join(HOME)).unwrap();
        assert_eq!(left, ["00003.1.json", "00003.2.json", "00003.3.json"]);
    }
}
