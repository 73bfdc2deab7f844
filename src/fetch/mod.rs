//! Files from elsewhere: downloaded beside their place, resumed where they were cut off, verified,
//! and only then given their name.

mod body;
mod error;

pub use error::FetchError;

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use body::{Body, Offered};

use crate::base::digest::Digest;
use crate::base::files::{self, FileError};
use crate::base::progress::{Counted, Meter};
use crate::manifest::{Remote, Resolved};

/// No server makes a file grow beyond this, unless the manifest says that the file is that large.
const MOST_BYTES: u64 = 16 << 30;

/// How often a transfer that makes progress is taken up again.
const ATTEMPTS: usize = 5;

/// A file that a manifest says where to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The manifest key of the address, such as `model.source.url`.
    pub key: &'static str,
    pub remote: Remote,
    pub target: PathBuf,
}

/// How a file came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    AlreadyThere,
    Fetched {
        bytes: u64,
        /// How many of them an earlier attempt had left.
        resumed: u64,
    },
}

/// Every file of a manifest that has a source.
#[must_use]
pub fn wanted(resolved: &Resolved) -> Vec<Wanted> {
    let manifest = &resolved.manifest;
    let model = manifest.model.source.iter().map(|remote| Wanted {
        key: "model.source.url",
        remote: remote.clone(),
        target: resolved.locate("model.path", &manifest.model.path),
    });
    let dataset = manifest.dataset.source.iter().zip(&manifest.dataset.path).map(|(remote, path)| Wanted {
        key: "dataset.source.url",
        remote: remote.clone(),
        target: resolved.locate("dataset.path", path),
    });
    model.chain(dataset).collect()
}

/// Brings one file. What was received before a failure stays beside the target for the next time,
/// unless it turned out wrong. `patience` is how long a connection may say nothing.
pub fn bring(wanted: &Wanted, patience: Duration, meter: &dyn Meter) -> Result<Brought, FetchError> {
    let Wanted { remote, target, .. } = wanted;
    if target.exists() {
        let found = digest(target, meter)?;
        return if found == remote.sha256 {
            Ok(Brought::AlreadyThere)
        } else {
            Err(FetchError::Occupied { path: target.clone(), expected: remote.sha256, found })
        };
    }
    if let Some(folder) = target.parent() {
        files::create_dir_all(folder)?;
    }
    let mut part = Part::open(target)?;
    let mut anew = false;
    loop {
        let transferred = transfer(&mut part, remote, patience, meter);
        let is_of_use = part.length > 0 && !matches!(transferred, Err(FetchError::Endless { .. }));
        if transferred.is_err() && !is_of_use {
            files::remove(&part.path)?;
        }
        transferred?;
        let found = digest(&part.path, meter)?;
        if found == remote.sha256 {
            part.file.sync_all().map_err(|e| FileError::new("write", &part.path, e))?;
            files::rename(&part.path, target)?;
            return Ok(Brought::Fetched { bytes: part.length, resumed: part.kept });
        }
        let pieced = part.pieced;
        part.restart()?;
        // The pieces may have been of two versions; that is worth one more try.
        if !pieced || anew {
            files::remove(&part.path)?;
            return Err(FetchError::Wrong { url: remote.url.clone(), expected: remote.sha256, found });
        }
        anew = true;
    }
}

fn digest(path: &Path, meter: &dyn Meter) -> Result<Digest, FileError> {
    let file = files::open(path)?;
    Digest::of_reader(Counted::new(file, meter)).map_err(|e| FileError::new("read", path, e))
}

/// The unfinished file beside the target, held by this process alone.
struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    /// How many of its bytes an earlier attempt had left.
    kept: u64,
    /// Whether it came in more than one answer.
    pieced: bool,
}

impl Part {
    fn open(target: &Path) -> Result<Self, FetchError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let path = target.with_file_name(name);
        let wrong = |e| FileError::new("write", &path, e);
        // A link there would lead the bytes to wherever somebody else wanted them.
        let mut options = File::options();
        let options = options.read(true).append(true).create(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let mut file = options.open(&path).map_err(wrong)?;
        if !file.metadata().map_err(wrong)?.is_file() {
            let reason = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(wrong(reason).into());
        }
        // Whoever held it before may have given it its name meanwhile.
        let same =
            || file.metadata().is_ok_and(|own| path.symlink_metadata().is_ok_and(|there| there.ino() == own.ino()));
        if file.try_lock().is_err() || !same() {
            return Err(FetchError::Busy { path });
        }
        let length = file.seek(SeekFrom::End(0)).map_err(wrong)?;
        Ok(Self { length, kept: length, pieced: false, file, path })
    }

    fn restart(&mut self) -> Result<(), FileError> {
        self.file.set_len(0).map_err(|e| FileError::new("write", &self.path, e))?;
        (self.length, self.kept, self.pieced) = (0, 0, false);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(|e| FileError::new("write", &self.path, e))?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Receives the whole file, taking up again what breaks off, for as long as that leads anywhere.
fn transfer(part: &mut Part, remote: &Remote, patience: Duration, meter: &dyn Meter) -> Result<(), FetchError> {
    for attempt in 1.. {
        let before = part.length;
        match receive(part, remote, patience, meter) {
            Ok(()) => return Ok(()),
            Err(error) if error.may_pass() && part.length > before && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive(part: &mut Part, remote: &Remote, patience: Duration, meter: &dyn Meter) -> Result<(), FetchError> {
    let url = &remote.url;
    let mut body: Body = match offered(url, part.length, patience)? {
        Offered::Rest(body) => {
            part.pieced = true;
            body
        }
        Offered::Whole(body) => {
            part.restart()?;
            body
        }
        Offered::Nothing if part.length > 0 => {
            part.pieced = true;
            return Ok(());
        }
        Offered::Nothing => return Err(FetchError::Refused { url: url.clone(), status: 416 }),
    };
    let limit = remote.bytes.unwrap_or(MOST_BYTES);
    let endless = || FetchError::Endless { url: url.clone(), limit, said: remote.bytes.is_some() };
    let total = body.length.map(|length| length.saturating_add(part.length));
    if total.is_some_and(|total| total > limit) {
        return Err(endless());
    }
    meter.expect(body.length.unwrap_or(0));
    while let Some(bytes) = body.next(url, patience)? {
        part.append(&bytes)?;
        meter.add(bytes.len() as u64);
        if part.length > limit {
            return Err(endless());
        }
    }
    match total {
        Some(total) if part.length < total => {
            Err(FetchError::Cut { url: url.clone(), received: part.length, promised: total })
        }
        _ => Ok(()),
    }
}

/// What comes after the bytes that are there; from a server that cannot go on in the middle, everything.
fn offered(url: &str, from: u64, patience: Duration) -> Result<Offered, FetchError> {
    match body::open(url, from, patience) {
        Err(FetchError::Refused { .. }) if from > 0 => body::open(url, 0, patience),
        other => other,
    }
}
