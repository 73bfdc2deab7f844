//! Where each file of a tar archive lies, found in one pass without unpacking.
//!
//! Archives are not trusted: links, devices, absolute or climbing names and files that run past
//! the archive's end are refused by name. Nothing is ever written from one.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::{Component, Path};

use tar::{Archive, EntryType};

use super::DatasetError;
use crate::base::files::{self, FileError};

/// The bytes of one file inside the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Every regular file of the archive by its name, sorted.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Span>, DatasetError> {
    let file = files::open(path)?;
    let size = file.metadata().map_err(|e| FileError::new("read", path, e))?.len();
    index(path, file, size)
}

fn index(path: &Path, reader: impl Read + Seek, size: u64) -> Result<BTreeMap<String, Span>, DatasetError> {
    let broken = |reason: String| DatasetError::Archive { path: path.to_owned(), reason };
    let mut archive = Archive::new(reader);
    let mut spans = BTreeMap::new();
    for entry in archive.entries_with_seek().map_err(|e| broken(e.to_string()))? {
        let entry = entry.map_err(|e| broken(e.to_string()))?;
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let hostile = |reason| DatasetError::HostileEntry { path: path.to_owned(), entry: shown.clone(), reason };
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory | EntryType::XHeader | EntryType::XGlobalHeader => continue,
            _ => return Err(hostile("which is neither a file nor a folder")),
        }
        let name =
            plain_name(&entry.path_bytes()).ok_or_else(|| hostile("a name that is not a plain relative path"))?;
        let span = Span { offset: entry.raw_file_position(), length: entry.size() };
        if span.offset.checked_add(span.length).is_none_or(|end| end > size) {
            return Err(broken(format!("it ends inside `{name}`")));
        }
        if spans.insert(name, span).is_some() {
            return Err(hostile("a name that appears twice"));
        }
    }
    if spans.is_empty() {
        return Err(broken("it holds no files".into()));
    }
    Ok(spans)
}

/// The name with `./` removed, if it is UTF-8, relative, and never climbs.
fn plain_name(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    let mut parts = Vec::new();
    for component in Path::new(name).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
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

    fn read_bytes(bytes: Vec<u8>) -> Result<BTreeMap<String, Span>, DatasetError> {
        let size = bytes.len() as u64;
        index(Path::new("test.tar"), Cursor::new(bytes), size)
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
    fn hostile_and_cut_archives_are_refused() {
        for bad in ["../x", "/etc/x", "a/../../x"] {
            let result = read_bytes(archive(&[(bad, EntryType::Regular)]));
            assert!(matches!(result, Err(DatasetError::HostileEntry { .. })), "{bad}");
        }
        let link = read_bytes(archive(&[("l", EntryType::Symlink)]));
        assert!(matches!(link, Err(DatasetError::HostileEntry { .. })));
        let twice = read_bytes(archive(&[("x", EntryType::Regular), ("./x", EntryType::Regular)]));
        assert!(matches!(twice, Err(DatasetError::HostileEntry { .. })));
        let mut cut = archive(&[("x", EntryType::Regular)]);
        cut.truncate(514);
        assert!(matches!(read_bytes(cut), Err(DatasetError::Archive { .. })));
        assert!(matches!(read_bytes(vec![7; 3000]), Err(DatasetError::Archive { .. })));
        assert!(matches!(read_bytes(Vec::new()), Err(DatasetError::Archive { .. })));
    }
}
