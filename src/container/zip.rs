//! Where each file of a zip lies, and its bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::ContainerError;
use super::{MAX_FILE_BYTES, name};
use crate::base::files::FileError;

/// One stored or deflated file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    offset: u64,
    compressed: u64,
    length: u64,
    crc: u32,
    deflated: bool,
}

const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Every file of the archive by its name.
pub(super) fn index(path: &Path, file: &File) -> Result<BTreeMap<String, Member>, ContainerError> {
    let wrong = |e| FileError::new("read", path, e);
    let broken = |reason: String| ContainerError::Archive { path: path.to_owned(), reason };
    let reader = BufReader::new(file.try_clone().map_err(wrong)?);
    let mut archive = ZipArchive::new(reader).map_err(|e| broken(e.to_string()))?;
    let end = file.metadata().map_err(wrong)?.len();
    names_once(path, file, archive.central_directory_start(), end)?;
    let mut members = BTreeMap::new();
    let mut expanded = 0_u64;
    for position in 0..archive.len() {
        let entry = archive.by_index_raw(position).map_err(|e| broken(e.to_string()))?;
        let hostile = |reason| ContainerError::HostileEntry {
            path: path.to_owned(),
            entry: entry.name_raw().escape_ascii().to_string(),
            reason,
        };
        let is_folder = entry.name_raw().ends_with(b"/");
        let name = name::plain(path, entry.name_raw())?;
        if !is_folder && entry.unix_mode().is_some_and(|mode| ![0, REGULAR].contains(&(mode & FILE_TYPE))) {
            return Err(hostile("which is neither a file nor a folder"));
        }
        if is_folder {
            continue;
        }
        if entry.encrypted() {
            return Err(hostile("which is encrypted"));
        }
        if entry.size() > MAX_FILE_BYTES || entry.compressed_size() > MAX_FILE_BYTES {
            return Err(hostile("which claims to be larger than 1 GiB"));
        }
        expanded = expanded.saturating_add(entry.size());
        if expanded > super::expands_to_at_most(end) {
            return Err(hostile("which expands far beyond what images do"));
        }
        let deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            _ => return Err(hostile("which is neither stored nor deflated")),
        };
        let offset = entry.data_start();
        if offset.checked_add(entry.compressed_size()).is_none_or(|stop| stop > end) {
            return Err(broken(format!("it ends inside `{name}`")));
        }
        let (compressed, length, crc) = (entry.compressed_size(), entry.size(), entry.crc32());
        if members.insert(name, Member { offset, compressed, length, crc, deflated }).is_some() {
            return Err(hostile("a name that appears twice"));
        }
    }
    if members.is_empty() {
        return Err(broken("it holds no files".into()));
    }
    Ok(members)
}

/// The reader keeps the last of several entries of one name, so the central directory is walked by
/// itself (PKWARE APPNOTE 6.3.10, section 4.3.12).
fn names_once(path: &Path, file: &File, start: u64, end: u64) -> Result<(), ContainerError> {
    const HEADER: usize = 46;
    const SIGNATURE: &[u8] = b"PK\x01\x02";
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut directory = vec![0; length];
    file.read_exact_at(&mut directory, start).map_err(|e| FileError::new("read", path, e))?;
    let mut seen = std::collections::BTreeSet::new();
    let mut rest = directory.as_slice();
    while rest.len() >= HEADER && rest.starts_with(SIGNATURE) {
        let field = |at: usize| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        let (name, extra, comment) = (field(28), field(30), field(32));
        let Some(bytes) = rest.get(HEADER..HEADER + name) else { break };
        if !seen.insert(bytes) {
            let entry = bytes.escape_ascii().to_string();
            let reason = "a name that appears twice";
            return Err(ContainerError::HostileEntry { path: path.to_owned(), entry, reason });
        }
        rest = rest.get(HEADER + name + extra + comment..).unwrap_or_default();
    }
    Ok(())
}

impl Member {
    /// The file's bytes, whose length and checksum are as the archive says.
    pub(super) fn read(&self, file: &File) -> Result<Vec<u8>, String> {
        let mut raw = vec![0; usize::try_from(self.compressed).map_err(|e| e.to_string())?];
        file.read_exact_at(&mut raw, self.offset).map_err(|e| e.to_string())?;
        let bytes = if self.deflated {
            let mut bytes = Vec::new();
            // One byte more than promised shows a promise that is not kept.
            DeflateDecoder::new(raw.as_slice())
                .take(self.length + 1)
                .read_to_end(&mut bytes)
                .map_err(|e| e.to_string())?;
            bytes
        } else {
            raw
        };
        if bytes.len() as u64 != self.length {
            return Err(format!("it does not expand to the {} bytes that the archive states", self.length));
        }
        if crc32fast::hash(&bytes) != self.crc {
            return Err("its checksum is not the one that the archive states".to_owned());
        }
        Ok(bytes)
    }
}
