//! What can be wrong with a folder or an archive.

use std::path::PathBuf;

use crate::base::explain::{Cause, Explain};
use crate::base::files::FileError;
use crate::base::interrupt::Interrupted;

#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("`{}` is not a readable archive: {reason}", path.display())]
    Archive { path: PathBuf, reason: String },
    #[error("`{}` holds `{entry}`, {reason}", path.display())]
    HostileEntry { path: PathBuf, entry: String, reason: &'static str },
    #[error("`{entry}` in `{}` cannot be read: {reason}", path.display())]
    BrokenEntry { path: PathBuf, entry: String, reason: String },
    #[error("`{}` holds `{first}` and `{second}`, and either could be meant", path.display())]
    Twice { path: PathBuf, first: String, second: String },
}

impl Explain for ContainerError {
    fn class(&self) -> Cause {
        match self {
            Self::Interrupted(error) => error.class(),
            Self::File(_)
            | Self::Archive { .. }
            | Self::HostileEntry { .. }
            | Self::BrokenEntry { .. }
            | Self::Twice { .. } => Cause::Input,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.next_step(),
            Self::Interrupted(error) => return error.next_step(),
            Self::Archive { .. } => "the file may be cut short: copy it again and compare its SHA-256".into(),
            Self::HostileEntry { .. } => {
                "rename or remove it; make an archive again from plain files and folders".into()
            }
            Self::BrokenEntry { .. } => "copy the archive again and compare its SHA-256".into(),
            Self::Twice { .. } => "name the folder of one of them as the path, or remove the other".into(),
        })
    }
}
