//! Why a file could not be brought.

use std::path::PathBuf;

use crate::base::digest::Digest;
use crate::base::explain::{Cause, Explain};
use crate::base::files::FileError;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("`{}` exists with another content: it has {found}, and {expected} is wanted", path.display())]
    Occupied { path: PathBuf, expected: Digest, found: Digest },
    #[error("`{}` is being written by another process", path.display())]
    Busy { path: PathBuf },
    #[error("`{url}` gave a file with {found}, and {expected} is wanted")]
    Wrong { url: String, expected: Digest, found: Digest },
    #[error("`{url}` answered with status {status}")]
    Refused { url: String, status: u16 },
    #[error("`{url}` cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("`{url}` leads nowhere: {reason}")]
    Astray { url: String, reason: String },
    #[error("`{url}` shows a certificate that this system does not trust")]
    Untrusted { url: String },
    #[error("`{url}` said nothing for {seconds} s")]
    Stalled { url: String, seconds: u64 },
    #[error("`{url}` broke off after {received} of {promised} bytes")]
    Cut { url: String, received: u64, promised: u64 },
    #[error("`{url}` has more than the {limit} bytes that {} allows", if *said { "`source.bytes`" } else { "requant" })]
    Endless { url: String, limit: u64, said: bool },
    #[error("interrupted")]
    Interrupted,
}

impl FetchError {
    /// Whether the same request may go better.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Unreachable { .. })
    }
}

impl Explain for FetchError {
    fn class(&self) -> Cause {
        match self {
            Self::Occupied { .. } | Self::Wrong { .. } => Cause::Integrity,
            Self::Interrupted => Cause::Interrupted,
            _ => Cause::Input,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.next_step(),
            Self::Occupied { path, .. } => {
                format!("move `{}` away, or correct `source.sha256`", path.display())
            }
            Self::Busy { .. } => "wait for the other requant, or stop it".into(),
            Self::Wrong { .. } => "nothing was kept; correct `source`, or find out why the file changed".into(),
            Self::Refused { status: 500.., .. } => "the server has trouble: run again later".into(),
            Self::Untrusted { .. } => {
                "check the address; a certificate of your own belongs into the system's store, or `SSL_CERT_FILE`"
                    .into()
            }
            Self::Refused { status: 401 | 403, .. } => {
                "the server denies access: give a public address, or put the file there yourself".into()
            }
            Self::Refused { status: 429, .. } => "the server has had too many requests: run again later".into(),
            Self::Refused { .. } | Self::Astray { .. } => "correct `source.url`".into(),
            Self::Unreachable { .. } => "check the address and the connection, and run again".into(),
            Self::Stalled { .. } | Self::Cut { .. } => {
                "run again: what was received is kept, and where the server can, the transfer goes on from there".into()
            }
            Self::Endless { said: true, .. } => "correct `source.url` or `source.bytes`".into(),
            Self::Endless { said: false, .. } => {
                "check `source.url`; if the file is that large, say so with `source.bytes`".into()
            }
            Self::Interrupted => "run again: what was received is kept".into(),
        })
    }
}
