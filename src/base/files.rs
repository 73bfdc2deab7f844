//! Reading and writing files so that every failure names its path and no half file is ever seen.

#![expect(clippy::disallowed_methods, reason = "this is the one door to the file system")]

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::explain::{Cause, Explain};

/// A file-system call that failed, with the path it was about.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct FileError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl FileError {
    #[must_use]
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }
}

/// What helps where the system lets no more files be open.
#[must_use]
pub fn more_descriptors(error: &io::Error) -> Option<String> {
    let is_limit = [Errno::MFILE, Errno::NFILE].iter().any(|limit| error.raw_os_error() == Some(limit.raw_os_error()));
    is_limit.then(|| "raise the limit of open files (`ulimit -n`)".to_owned())
}

impl Explain for FileError {
    fn class(&self) -> Cause {
        Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        if let Some(remedy) = more_descriptors(&self.source) {
            return Some(remedy);
        }
        Some(match self.source.kind() {
            io::ErrorKind::NotFound => "check the path; paths in a manifest are relative to the manifest".into(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "grant access to it, or choose another folder".into()
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space and run again".into(),
            io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory | io::ErrorKind::FileTooLarge => {
                "name another file".into()
            }
            _ if self.action == "list" => "take it out of the folder, or give it another name".into(),
            _ => return None,
        })
    }
}

/// Nothing that requant reads as a whole is larger.
const MAX_BYTES: u64 = 4 << 30;

/// Opens a regular file; a pipe or a device could go on for ever.
pub fn open(path: &Path) -> Result<File, FileError> {
    let wrong = |e| FileError::new("open", path, e);
    let kind = fs::metadata(path).map_err(wrong)?;
    if kind.is_dir() {
        return Err(wrong(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file")));
    }
    if !kind.is_file() {
        return Err(wrong(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe or a device, not a file")));
    }
    File::open(path).map_err(wrong)
}

pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_at_most(path, MAX_BYTES)
}

/// The whole content of a file that is not longer than `limit` bytes.
pub fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let file = open(path)?;
    let get = || -> io::Result<Vec<u8>> {
        let length = file.metadata()?.len();
        let mut content = Vec::with_capacity(if length <= limit { usize::try_from(length).unwrap_or(0) } else { 0 });
        // One byte more shows a file that is longer than it was a moment ago.
        if length <= limit {
            (&file).take(limit.saturating_add(1)).read_to_end(&mut content)?;
        }
        if length > limit || content.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {limit} bytes")));
        }
        Ok(content)
    };
    get().map_err(|e| FileError::new("read", path, e))
}

/// `length` bytes of a file from `start` on; an error where it ends before.
pub fn read_range(path: &Path, start: u64, length: usize) -> Result<Vec<u8>, FileError> {
    let mut file = open(path)?;
    let mut content = vec![0; length];
    let mut get = || -> io::Result<()> {
        file.seek(io::SeekFrom::Start(start))?;
        file.read_exact(&mut content)
    };
    get().map_err(|e| FileError::new("read", path, e))?;
    Ok(content)
}

pub fn read_text(path: &Path) -> Result<String, FileError> {
    let bytes = read(path)?;
    String::from_utf8(bytes).map_err(|e| FileError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, e)))
}

/// Writes the whole content, flushed to the disk before it returns.
pub fn write(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let put = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    put().map_err(|e| FileError::new("write", path, e))
}

/// Replaces a file's content as one step: whoever reads it sees the old or the new, never a part.
/// A link stays one: what it leads to is replaced.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let target = path.canonicalize();
    let path = target.as_deref().unwrap_or(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let put = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        let mode = fs::metadata(path).map(|old| old.permissions());
        let mode = mode.unwrap_or_else(|_| std::os::unix::fs::PermissionsExt::from_mode(0o644));
        file.as_file().set_permissions(mode)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    put().map_err(|e| FileError::new("write", path, e))
}

/// Writes a file that nobody else has written: whole, and for whoever comes first; `false` for the others. Holds on a
/// shared folder, too.
pub fn claim(path: &Path, content: &[u8]) -> Result<bool, FileError> {
    let fail = |error| FileError::new("write", path, error);
    let home = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".claim-").tempfile_in(home).map_err(fail)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let written = file.write_all(content).and_then(|()| file.as_file().set_permissions(readable));
    written.and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(fail(error.error)),
    }
}

/// The user's cache folder for this project, where one is set.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(base.join("requant"))
}

pub fn create_dir_all(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|e| FileError::new("create", path, e))
}

pub fn remove(path: &Path) -> Result<(), FileError> {
    fs::remove_file(path).map_err(|e| FileError::new("remove", path, e))
}

/// Removes a folder and everything in it.
pub fn remove_dir_all(path: &Path) -> Result<(), FileError> {
    fs::remove_dir_all(path).map_err(|e| FileError::new("remove", path, e))
}

pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|e| FileError::new("rename into place", to, e))
}

/// The names in a folder, sorted, so that no result depends on the file system's order.
pub fn list(path: &Path) -> Result<Vec<String>, FileError> {
    let collect = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    };
    collect().map_err(|e| FileError::new("list", path, e))
}

/// Every symbolic link below a folder, as [`walk`] names files; none is followed.
pub fn links(root: &Path) -> Result<Vec<String>, FileError> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.map_err(|error| FileError::new("list", root, error.into()))?;
        if entry.path_is_symlink() && entry.depth() > 0 {
            found.push(entry.path().strip_prefix(root).unwrap_or(entry.path()).to_string_lossy().into_owned());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Every file below a folder as `/`-separated relative paths, sorted by their bytes. Links are
/// followed; one that leads back to a folder above it is an error, as is a name that is not UTF-8.
pub fn walk(root: &Path) -> Result<Vec<String>, FileError> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).follow_links(true) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            FileError::new("list", &path, error.into())
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let name = relative.to_str().ok_or_else(|| {
            let reason = io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8");
            FileError::new("list", entry.path(), reason)
        })?;
        found.push(name.to_owned());
    }
    found.sort_unstable();
    Ok(found)
}
