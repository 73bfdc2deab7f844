//! Files in a folder, a tar, a gzipped tar or a zip, behind one door: names and bytes.
//!
//! Archives are not trusted. A name that is not a plain relative path, a link, a device, a second
//! entry of one name, or an entry that expands beyond all measure is refused by name before
//! anything of it is used, and nothing is ever written where an archive says.

mod error;
mod name;
mod tar;
mod zip;

pub use error::ContainerError;

use std::fs::File;
use std::io::{Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::digest::Digest;
use crate::base::files::{self, FileError};
use crate::base::interrupt;
use crate::base::progress::{Counted, Meter};

/// No single file of a dataset is larger; what claims to be is not read.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Images hardly compress: a compressed archive that expands further than this holds none.
const fn expands_to_at_most(compressed: u64) -> u64 {
    const FREE: u64 = 256 << 20;
    const FACTOR: u64 = 50;
    compressed.saturating_mul(FACTOR).saturating_add(FREE)
}

/// A folder or an archive of files.
pub struct Container {
    path: PathBuf,
    /// `/`-separated, sorted by their bytes; a place is an index here.
    names: Vec<String>,
    store: Store,
}

enum Store {
    Folder,
    Tar { file: File, spans: Vec<Span> },
    Zip { file: File, members: Vec<zip::Member> },
}

/// The bytes of one file inside another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub offset: u64,
    pub length: u64,
}

impl Container {
    pub fn open(path: &Path) -> Result<Self, ContainerError> {
        if path.is_dir() {
            let names = files::walk(path)?;
            for entry in &names {
                name::check_plain(path, entry)?;
            }
            return Ok(Self { path: path.to_owned(), names, store: Store::Folder });
        }
        let mut file = files::open(path)?;
        let (names, store) = match kind(path, &mut file)? {
            Kind::Tar => {
                let (names, spans) = tar::index(path, &file)?.into_iter().unzip();
                (names, Store::Tar { file, spans })
            }
            Kind::GzippedTar => {
                let (contents, entries) = tar::expand(path, &file)?;
                let (names, spans) = entries.into_iter().unzip();
                (names, Store::Tar { file: contents, spans })
            }
            Kind::Zip => {
                let (names, members) = zip::index(path, &file)?.into_iter().unzip();
                (names, Store::Zip { file, members })
            }
        };
        Ok(Self { path: path.to_owned(), names, store })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The place of the one file whose name is wanted; two are one too many.
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Result<Option<usize>, ContainerError> {
        let mut places = (0..self.names.len()).filter(|&place| wanted(&self.names[place]));
        let first = places.next();
        match first.zip(places.next()) {
            None => Ok(first),
            Some((first, second)) => Err(ContainerError::Twice {
                path: self.path.clone(),
                first: self.names[first].clone(),
                second: self.names[second].clone(),
            }),
        }
    }

    /// The whole content of a file.
    pub fn read(&self, place: usize) -> Result<Vec<u8>, ContainerError> {
        let wrong = |e| FileError::new("read", &self.path, e);
        match &self.store {
            Store::Folder => Ok(files::read_at_most(&self.path.join(&self.names[place]), MAX_FILE_BYTES)?),
            Store::Tar { file, spans } => {
                let Span { offset, length } = spans[place];
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
                file.read_exact_at(&mut bytes, offset).map_err(wrong)?;
                Ok(bytes)
            }
            Store::Zip { file, members } => members[place].read(file).map_err(|reason| ContainerError::BrokenEntry {
                path: self.path.clone(),
                entry: self.names[place].clone(),
                reason,
            }),
        }
    }

    /// SHA-256 of an archive's file; of a folder, of the lines that `sha256sum` prints for its
    /// files sorted by path. Files are read in parallel.
    pub fn digest(&self, meter: &dyn Meter) -> Result<Digest, ContainerError> {
        match self.store {
            Store::Folder => {
                let lines = self.names.par_iter().map(|name| self.line(name, meter)).collect::<Result<Vec<_>, _>>()?;
                Ok(Digest::of_parts(lines.iter().map(String::as_bytes)))
            }
            _ => Ok(digest_of_file(&self.path, meter)?),
        }
    }

    fn line(&self, name: &str, meter: &dyn Meter) -> Result<String, ContainerError> {
        interrupt::check()?;
        let digest = digest_of_file(&self.path.join(name), meter)?;
        Ok(format!("{digest}  {name}\n"))
    }
}

/// SHA-256 of a file, counted on the meter.
pub fn digest_of_file(path: &Path, meter: &dyn Meter) -> Result<Digest, FileError> {
    let file = files::open(path)?;
    let wrong = |e| FileError::new("read", path, e);
    meter.expect(file.metadata().map_err(wrong)?.len());
    Digest::of_reader(Counted::new(file, meter)).map_err(wrong)
}

enum Kind {
    Tar,
    GzippedTar,
    Zip,
}

/// By the first bytes: a name can be wrong.
fn kind(path: &Path, file: &mut File) -> Result<Kind, ContainerError> {
    let mut start = Vec::new();
    let mut look = || {
        Read::by_ref(file).take(4).read_to_end(&mut start)?;
        file.rewind()
    };
    look().map_err(|e| FileError::new("read", path, e))?;
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => Kind::GzippedTar,
        [b'P', b'K', 3 | 5, 4 | 6] => Kind::Zip,
        _ => Kind::Tar,
    })
}
