//! Where each file of a tar lies: of a plain one found in one pass without unpacking, of a gzipped
//! one while its contents go to a temporary file without a name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::ContainerError;
use super::{MAX_FILE_BYTES, Span, name};
use crate::base::files::FileError;
use crate::base::interrupt;

const NO_ARCHIVE: &str = "it is neither a tar, a gzipped tar nor a zip";

/// What describes an entry is read into memory as a whole; no name needs more.
const MAX_DESCRIPTION_BYTES: u64 = 1 << 20;

const BLOCK: u64 = 512;

type Spans = BTreeMap<String, Span>;

/// Every regular file of the archive by its name.
pub(super) fn index(path: &Path, file: &File) -> Result<Spans, ContainerError> {
    let size = file.metadata().map_err(|e| FileError::new("read", path, e))?.len();
    index_reader(path, file, size)
}

fn index_reader(path: &Path, reader: impl Read + Seek, size: u64) -> Result<Spans, ContainerError> {
    let mut archive = Archive::new(reader);
    let mut found = Found::new(path);
    let mut end = 0_u64;
    for entry in archive.entries_with_seek().map_err(|e| broken(path, &e))?.raw(true) {
        let mut entry = found.whole(entry)?;
        end = entry.raw_file_position().saturating_add(entry.size()).next_multiple_of(BLOCK);
        let Some(name) = found.file(&mut entry)? else { continue };
        let span = Span { offset: entry.raw_file_position(), length: entry.size() };
        if span.offset.checked_add(span.length).is_none_or(|end| end > size) {
            return Err(broken(path, &format!("it ends inside `{name}`")));
        }
        found.spans.insert(name, span);
    }
    if !found.spans.is_empty() && end.saturating_add(BLOCK) > size {
        return Err(broken(path, &"it ends without the empty block that ends a tar"));
    }
    let mut reader = archive.into_inner();
    reader.seek(io::SeekFrom::Start(end)).map_err(|e| broken(path, &e))?;
    nothing_behind(path, &mut reader)?;
    found.finish()
}

/// The contents of a gzipped tar, end to end in a file that has no name and goes with its handle.
pub(super) fn expand(path: &Path, file: &File) -> Result<(File, Spans), ContainerError> {
    let compressed = file.metadata().map_err(|e| FileError::new("read", path, e))?.len();
    let allowed = super::expands_to_at_most(compressed);
    let mut contents = tempfile::tempfile().map_err(|e| FileError::new("expand", path, e))?;
    let mut archive = Archive::new(MultiGzDecoder::new(file).take(allowed));
    let mut found = Found::new(path);
    let mut offset = 0;
    for entry in archive.entries().map_err(|e| broken(path, &e))?.raw(true) {
        interrupt::check()?;
        let mut entry = found.whole(entry)?;
        let Some(name) = found.file(&mut entry)? else { continue };
        let length = entry.size();
        if offset + length > allowed {
            return Err(hostile(path, name, "which expands far beyond what images do"));
        }
        let copied = io::copy(&mut entry, &mut contents).map_err(|e| broken(path, &format!("`{name}`: {e}")))?;
        if copied != length {
            return Err(broken(path, &format!("it ends inside `{name}`")));
        }
        found.spans.insert(name, Span { offset, length });
        offset += length;
    }
    // The checksum stands at the end, after everything that was taken out.
    nothing_behind(path, &mut archive.into_inner())?;
    contents.flush().map_err(|e| FileError::new("expand", path, e))?;
    Ok((contents, found.finish()?))
}

/// Reads what follows the last entry, which must be empty: joined archives would otherwise lose all but the first.
fn nothing_behind(path: &Path, rest: &mut impl Read) -> Result<(), ContainerError> {
    let mut block = [0; 1 << 13];
    loop {
        match rest.read(&mut block).map_err(|e| broken(path, &e))? {
            0 => return Ok(()),
            read if block[..read].iter().all(|byte| *byte == 0) => {}
            _ => return Err(broken(path, &"it goes on behind its end, as archives do that were joined")),
        }
    }
}

/// What was found of an archive so far.
struct Found<'a> {
    path: &'a Path,
    spans: Spans,
    /// The name of the next entry, where an entry of its own gives it.
    name: Option<Vec<u8>>,
}

impl<'a> Found<'a> {
    const fn new(path: &'a Path) -> Self {
        Self { path, spans: BTreeMap::new(), name: None }
    }

    /// What does not even begin as a tar is something else.
    fn whole<T>(&self, entry: io::Result<T>) -> Result<T, ContainerError> {
        entry.map_err(|e| match e.kind() {
            io::ErrorKind::Other if self.spans.is_empty() => broken(self.path, &NO_ARCHIVE),
            _ => broken(self.path, &e),
        })
    }

    /// The name of an entry that is a file; `None` for a folder and for what only describes others.
    fn file<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<Option<String>, ContainerError> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let name = self.description(entry)?;
                self.name = Some(name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
                return Ok(None);
            }
            EntryType::XHeader => {
                let records = self.description(entry)?;
                return self.extended(&records).map(|()| None);
            }
            EntryType::GNULongLink | EntryType::XGlobalHeader => return self.description(entry).map(|_| None),
            _ => {}
        }
        let name = self.name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let shown = || name.escape_ascii().to_string();
        match kind {
            // Tars from before there were types tell a folder by its slash.
            EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") && entry.size() > 0 => {
                return Err(hostile(self.path, shown(), "a file with the name of a folder"));
            }
            EntryType::Regular | EntryType::Continuous if !name.ends_with(b"/") => {}
            EntryType::Regular | EntryType::Continuous | EntryType::Directory => {
                return check_folder(self.path, &name).map(|()| None);
            }
            _ => return Err(hostile(self.path, shown(), "which is neither a file nor a folder")),
        }
        let name = name::plain(self.path, &name)?;
        if entry.size() > MAX_FILE_BYTES {
            return Err(hostile(self.path, name, "which claims to be larger than 1 GiB"));
        }
        if self.spans.contains_key(&name) {
            return Err(hostile(self.path, name, "a name that appears twice"));
        }
        Ok(Some(name))
    }

    /// The content of an entry that describes others.
    fn description<R: Read>(&self, entry: &mut Entry<'_, R>) -> Result<Vec<u8>, ContainerError> {
        let size = entry.size();
        if size > MAX_DESCRIPTION_BYTES {
            let shown = entry.path_bytes().escape_ascii().to_string();
            return Err(hostile(self.path, shown, "which describes another entry in more than 1 MiB"));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|e| broken(self.path, &e))?;
        if content.len() as u64 == size { Ok(content) } else { Err(broken(self.path, &"it ends inside a header")) }
    }

    /// The records of a pax header: a name, but no length other than the entry's own.
    fn extended(&mut self, mut records: &[u8]) -> Result<(), ContainerError> {
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or_else(|| broken(self.path, &"a pax header is malformed"))?;
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => return Err(hostile(self.path, "PaxHeader".into(), "which gives another entry's length")),
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }

    fn finish(self) -> Result<Spans, ContainerError> {
        match (self.name, self.spans.is_empty()) {
            (Some(name), _) => Err(broken(self.path, &format!("it ends before `{}`", name.escape_ascii()))),
            (None, true) => Err(broken(self.path, &"it holds no files")),
            (None, false) => Ok(self.spans),
        }
    }
}

/// The first of pax's `LENGTH KEY=VALUE\n` records, and what follows it. A value may be any bytes.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

/// Folders hold nothing, but one that climbs shows what the archive is.
fn check_folder(path: &Path, name: &[u8]) -> Result<(), ContainerError> {
    let is_here = name.iter().all(|byte| matches!(byte, b'.' | b'/')) && !name.starts_with(b"/");
    if is_here && !name.starts_with(b"..") { Ok(()) } else { name::plain(path, name).map(|_| ()) }
}

fn hostile(path: &Path, entry: String, reason: &'static str) -> ContainerError {
    ContainerError::HostileEntry { path: path.to_owned(), entry, reason }
}

fn broken(path: &Path, reason: &dyn std::fmt::Display) -> ContainerError {
    ContainerError::Archive { path: path.to_owned(), reason: reason.to_string() }
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

    fn read_bytes(bytes: Vec<u8>) -> Result<Spans, ContainerError> {
        let size = bytes.len() as u64;
        index_reader(Path::new("test.tar"), Cursor::new(bytes), size)
    }

    #[test]
    fn plain_files_are_found_where_they_lie() {
        let entries = [("./", EntryType::Directory), ("./a/x.jpg", EntryType::Regular), ("b.jpg", EntryType::Regular)];
        let bytes = archive(&entries);
        let spans = read_bytes(bytes.clone()).unwrap();
        let index = |n: u64| usize::try_from(n).unwrap();
        let at = |name: &str| &bytes[index(spans[name].offset)..][..index(spans[name].length)];
        assert_eq!((at("a/x.jpg"), at("b.jpg")), (&b"abc"[..], &b"abc"[..]));
    }

    #[test]
    fn long_names_are_read_and_endless_ones_are_not() {
        let long = format!("train/{}/x.png", "c".repeat(200));
        let mut gnu = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        gnu.append_data(&mut header, &long, &b"abc"[..]).unwrap();
        let mut pax = tar::Builder::new(Vec::new());
        pax.append_pax_extensions([("SCHILY.xattr.x", &b"a\n=b"[..]), ("path", long.as_bytes())]).unwrap();
        header.set_cksum();
        pax.append(&header, &b"abc"[..]).unwrap();
        assert!(record(b"9999 path=x\n").is_none() && record(b"0 ").is_none() && record(b"3 =\n").is_none());
        for bytes in [gnu.into_inner().unwrap(), pax.into_inner().unwrap()] {
            assert_eq!(read_bytes(bytes).unwrap().keys().collect::<Vec<_>>(), [&long]);
        }
        let described = |kind: EntryType, size: u64| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(size);
            header.set_cksum();
            let mut bytes = header.as_bytes().to_vec();
            bytes.extend(vec![b'n'; 2 << 20]);
            read_bytes(bytes)
        };
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader] {
            assert!(matches!(described(kind, 2 << 20), Err(ContainerError::HostileEntry { .. })), "{kind:?}");
        }
    }

    #[test]
    fn cut_archives_are_refused() {
        let mut cut = archive(&[("x", EntryType::Regular)]);
        cut.truncate(514);
        assert!(matches!(read_bytes(cut), Err(ContainerError::Archive { .. })));
        let mut unended = archive(&[("x", EntryType::Regular)]);
        unended.truncate(1024);
        assert!(matches!(read_bytes(unended), Err(ContainerError::Archive { .. })));
        assert!(matches!(read_bytes(vec![7; 3000]), Err(ContainerError::Archive { .. })));
        let joined = [archive(&[("x", EntryType::Regular)]), archive(&[("y", EntryType::Regular)])].concat();
        assert!(read_bytes(joined).unwrap_err().to_string().contains("goes on behind its end"));
        let padded = [archive(&[("x", EntryType::Regular)]), vec![0; 9000]].concat();
        assert_eq!(read_bytes(padded).unwrap().len(), 1);
        assert!(matches!(read_bytes(Vec::new()), Err(ContainerError::Archive { .. })));
    }
}
