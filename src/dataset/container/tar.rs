//! Where each file of a tar lies: of a plain one found in one pass without unpacking, of a gzipped
//! one while its contents go to a temporary file without a name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::super::DatasetError;
use super::{MAX_FILE_BYTES, Span, name};
use crate::base::files::FileError;
use crate::base::interrupt;

const NO_ARCHIVE: &str = "it is neither a tar, a gzipped tar nor a zip";

type Spans = BTreeMap<String, Span>;

/// Every regular file of the archive by its name.
pub(super) fn index(path: &Path, file: &File) -> Result<Spans, DatasetError> {
    let size = file.metadata().map_err(|e| FileError::new("read", path, e))?.len();
    index_reader(path, file, size)
}

fn index_reader(path: &Path, reader: impl Read + Seek, size: u64) -> Result<Spans, DatasetError> {
    let broken = |e: &dyn std::fmt::Display| broken(path, e);
    let mut archive = Archive::new(reader);
    let mut spans = BTreeMap::new();
    for entry in archive.entries_with_seek().map_err(|e| broken(&e))? {
        // What does not even begin as a tar is something else.
        let entry = entry.map_err(|e| if spans.is_empty() { broken(&NO_ARCHIVE) } else { broken(&e) })?;
        let Some(name) = regular(path, &entry, &spans)? else { continue };
        let span = Span { offset: entry.raw_file_position(), length: entry.size() };
        if span.offset.checked_add(span.length).is_none_or(|end| end > size) {
            return Err(broken(&format!("it ends inside `{name}`")));
        }
        spans.insert(name, span);
    }
    not_empty(path, spans)
}

/// The contents of a gzipped tar, end to end in a file that has no name and goes with its handle.
pub(super) fn expand(path: &Path, file: &File) -> Result<(File, Spans), DatasetError> {
    let wrong = |e| FileError::new("read", path, e);
    let compressed = file.metadata().map_err(wrong)?.len();
    let allowed = super::expands_to_at_most(compressed);
    let mut contents = tempfile::tempfile().map_err(|e| FileError::new("expand", path, e))?;
    let mut archive = Archive::new(MultiGzDecoder::new(file).take(allowed));
    let mut spans: Spans = BTreeMap::new();
    let mut offset = 0;
    for entry in archive.entries().map_err(|e| broken(path, &e))? {
        interrupt::check()?;
        let mut entry = entry.map_err(|e| match e.kind() {
            io::ErrorKind::Other if spans.is_empty() => broken(path, &NO_ARCHIVE),
            _ => broken(path, &e),
        })?;
        let Some(name) = regular(path, &entry, &spans)? else { continue };
        let length = entry.size();
        if offset + length > allowed {
            return Err(hostile(path, name, "which expands far beyond what images do"));
        }
        let copied = io::copy(&mut entry, &mut contents).map_err(|e| broken(path, &format!("`{name}`: {e}")))?;
        if copied != length {
            return Err(broken(path, &format!("it ends inside `{name}`")));
        }
        spans.insert(name, Span { offset, length });
        offset += length;
    }
    contents.flush().map_err(|e| FileError::new("expand", path, e))?;
    Ok((contents, not_empty(path, spans)?))
}

/// The name of an entry that is a file; `None` for what only describes others.
fn regular<R: Read>(path: &Path, entry: &Entry<'_, R>, seen: &Spans) -> Result<Option<String>, DatasetError> {
    let shown = || entry.path_bytes().escape_ascii().to_string();
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {}
        EntryType::Directory => return name_of_folder(path, &entry.path_bytes()),
        EntryType::XHeader | EntryType::XGlobalHeader => return Ok(None),
        _ => return Err(hostile(path, shown(), "which is neither a file nor a folder")),
    }
    let name = name::plain(path, &entry.path_bytes())?;
    if entry.size() > MAX_FILE_BYTES {
        return Err(hostile(path, name, "which claims to be larger than 1 GiB"));
    }
    if seen.contains_key(&name) {
        return Err(hostile(path, name, "a name that appears twice"));
    }
    Ok(Some(name))
}

/// Folders hold nothing, but one that climbs shows what the archive is.
fn name_of_folder(path: &Path, bytes: &[u8]) -> Result<Option<String>, DatasetError> {
    if bytes.iter().all(|byte| matches!(byte, b'.' | b'/')) && !bytes.starts_with(b"/") && !bytes.starts_with(b"..") {
        return Ok(None);
    }
    name::plain(path, bytes).map(|_| None)
}

fn not_empty(path: &Path, spans: Spans) -> Result<Spans, DatasetError> {
    if spans.is_empty() { Err(broken(path, &"it holds no files")) } else { Ok(spans) }
}

fn hostile(path: &Path, entry: String, reason: &'static str) -> DatasetError {
    DatasetError::HostileEntry { path: path.to_owned(), entry, reason }
}

fn broken(path: &Path, reason: &dyn std::fmt::Display) -> DatasetError {
    DatasetError::Archive { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn archive(entries: &[(&str, EntryType)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(3);
            header.set_cksum();
            builder.append(&header, &b"abc"[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn read_bytes(bytes: Vec<u8>) -> Result<Spans, DatasetError> {
        let size = bytes.len() as u64;
        index_reader(Path::new("test.tar"), Cursor::new(bytes), size)
    }

    #[test]
    fn plain_files_are_found_where_they_lie() {
        let bytes = archive(&[("./a/x.jpg", EntryType::Regular), ("b.jpg", EntryType::Regular)]);
        let spans = read_bytes(bytes.clone()).unwrap();
        let index = |n: u64| usize::try_from(n).unwrap();
        let at = |name: &str| &bytes[index(spans[name].offset)..][..index(spans[name].length)];
        assert_eq!((at("a/x.jpg"), at("b.jpg")), (&b"abc"[..], &b"abc"[..]));
    }

    #[test]
    fn cut_archives_are_refused() {
        let mut cut = archive(&[("x", EntryType::Regular)]);
        cut.truncate(514);
        assert!(matches!(read_bytes(cut), Err(DatasetError::Archive { .. })));
        assert!(matches!(read_bytes(vec![7; 3000]), Err(DatasetError::Archive { .. })));
        assert!(matches!(read_bytes(Vec::new()), Err(DatasetError::Archive { .. })));
    }
}
