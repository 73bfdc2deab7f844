//! Points of sweeps on one machine keep out of each other's way: any number may compute, but who is timed has the
//! machine alone.
//!
//! Two locked files of this user on this machine: `gate`, held while waiting, and `floor`, shared by those who
//! compute and exclusive to the one who is timed. Whoever waits for it alone holds the gate, so that no stream of
//! others keeps it waiting. The kernel drops the locks of a process that dies.

use std::cell::Cell;
use std::fs::{File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::thread::CpuSet;

use crate::base::explain::Failure;
use crate::base::files::FileError;
use crate::base::interrupt;
use crate::workbench::Neighbours;
use crate::workbench::event::Stage;

/// This process among the points that run on this machine.
pub struct Machine {
    gate: File,
    floor: File,
    held: Cell<Held>,
    /// Processors that it may use alone, and those that are its share meanwhile.
    all: Option<CpuSet>,
    share: Option<CpuSet>,
    parallel: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    Shared,
    Alone,
}

/// A part of the machine: the `at`-th of `of` equal ones, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub at: usize,
    pub of: usize,
}

const PATIENCE: Duration = Duration::from_millis(20);

impl Machine {
    /// Joins the others. With `parallel` nobody waits for anybody, and no time is comparable.
    pub fn join(share: Option<Share>, parallel: bool) -> Result<Self, Failure> {
        // Not where the environment says: neighbours must meet whatever theirs says.
        let folder = Path::new("/tmp").join(format!("requant-{}", rustix::process::geteuid().as_raw()));
        let fail = |error| FileError::new("open", &folder, error);
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(fail(error).into()),
            _ => {}
        }
        // Somebody else's folder of that name could hold this process up for ever.
        let owned = std::fs::symlink_metadata(&folder).map_err(fail)?;
        if owned.uid() != rustix::process::geteuid().as_raw() || !owned.is_dir() {
            let error = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "it is another user's");
            return Err(fail(error).into());
        }
        let all = rustix::thread::sched_getaffinity(None).ok();
        let share = all.as_ref().zip(share).map(|(all, share)| part(all, share));
        let machine = Self {
            gate: lock_file(&folder.join("gate"))?,
            floor: lock_file(&folder.join("floor"))?,
            held: Cell::new(Held::Nothing),
            all,
            share,
            parallel,
        };
        machine.use_processors(machine.share.as_ref());
        Ok(machine)
    }

    fn hold(&self, wanted: Held) -> Result<(), Failure> {
        if self.held.get() == wanted {
            return Ok(());
        }
        let _ = self.floor.unlock();
        self.held.set(Held::Nothing);
        if wanted == Held::Shared {
            self.use_processors(self.share.as_ref());
        }
        wait(|| self.gate.try_lock())?;
        let got = match wanted {
            Held::Alone => wait(|| self.floor.try_lock()),
            _ => wait(|| self.floor.try_lock_shared()),
        };
        let _ = self.gate.unlock();
        got?;
        if wanted == Held::Alone {
            self.use_processors(self.all.as_ref());
        }
        self.held.set(wanted);
        Ok(())
    }

    /// Of this thread and those it starts from now on, measuring processes included.
    fn use_processors(&self, processors: Option<&CpuSet>) {
        if let (Some(processors), Some(_)) = (processors, &self.share) {
            let _ = rustix::thread::sched_setaffinity(None, processors);
        }
    }
}

impl Neighbours for Machine {
    fn make_way(&self, stage: Stage) -> Result<(), Failure> {
        match (self.parallel, stage) {
            (true, _) => Ok(()),
            (false, Stage::Benchmark) => self.hold(Held::Alone),
            (false, _) => self.hold(Held::Shared),
        }
    }

    fn compute_meanwhile(&self) -> bool {
        self.parallel
    }
}

fn lock_file(path: &Path) -> Result<File, FileError> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
    file.map_err(|error| FileError::new("open", path, error))
}

/// Tries until it succeeds, or the process is asked to stop.
fn wait(attempt: impl Fn() -> Result<(), TryLockError>) -> Result<(), Failure> {
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(Failure::bug(format!("a lock cannot be taken: {error}"))),
        }
        interrupt::check()?;
        thread::sleep(PATIENCE);
    }
}

/// Some of the processors; where there are more shares than processors, shares overlap.
fn part(all: &CpuSet, share: Share) -> CpuSet {
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu)).collect();
    let of = share.of.max(1);
    let (from, to) = (share.at * processors.len() / of, (share.at + 1) * processors.len() / of);
    let mut part = CpuSet::new();
    let own = if from < to {
        &processors[from..to.min(processors.len())]
    } else {
        &processors[from % processors.len()..][..1]
    };
    own.iter().for_each(|&cpu| part.set(cpu));
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_divide_the_processors() {
        let mut all = CpuSet::new();
        [1, 3, 4, 6].into_iter().for_each(|cpu| all.set(cpu));
        let of = |at, of| {
            let part = part(&all, Share { at, of });
            (0..8).filter(|&cpu| part.is_set(cpu)).collect::<Vec<_>>()
        };
        assert_eq!([of(0, 2), of(1, 2)], [vec![1, 3], vec![4, 6]]);
        assert_eq!(of(0, 1), [1, 3, 4, 6]);
        assert_eq!((of(0, 8), of(7, 8)), (vec![1], vec![6]));
    }

    #[test]
    fn one_is_alone_while_it_is_timed() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Machine {
            gate: lock_file(&folder.path().join("gate")).unwrap(),
            floor: lock_file(&folder.path().join("floor")).unwrap(),
            held: Cell::new(Held::Nothing),
            all: None,
            share: None,
            parallel: false,
        };
        let (one, other) = (open(), open());
        one.make_way(Stage::Prepare).unwrap();
        other.make_way(Stage::Evaluate).unwrap();
        assert!(one.held.get() == Held::Shared && other.held.get() == Held::Shared, "both may compute");
        drop(other);
        one.make_way(Stage::Benchmark).unwrap();
        let third = open();
        assert!(matches!(third.floor.try_lock_shared(), Err(TryLockError::WouldBlock)), "it is timed alone");
        one.make_way(Stage::Diagnose).unwrap();
        third.make_way(Stage::Prepare).unwrap();
    }
}
