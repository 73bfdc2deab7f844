//! Shared libraries: asking the loader whether one is there, without calling into it, and where those of other
//! engines lie.

use std::ffi::{CString, OsString};
use std::path::PathBuf;

use super::{Availability, BackendError};
use crate::base::digest::Digest;
use crate::base::files;

/// The library of an engine that is loaded when it is asked for.
pub(super) struct Library {
    pub engine: &'static str,
    /// The version that `cargo xtask runtimes` fetches.
    pub version: &'static str,
    /// Names the library instead.
    pub variable: &'static str,
    /// Its folder in the cache, and its file there.
    pub cached: [&'static str; 2],
    /// As the system's loader knows it.
    pub system: &'static str,
    /// A function that every version of it has.
    pub function: &'static str,
}

impl Library {
    /// Where it is and how that is known: named by a person, fetched, or the system's.
    pub(super) fn located(&self) -> Option<(PathBuf, String)> {
        if let Some(named) = self.named() {
            return Some((named.into(), format!("named by {}", self.variable)));
        }
        let fetched = self.fetched().map(|cached| (cached, format!("version {}, fetched", self.version)));
        fetched.or_else(|| found(self.system).then(|| (self.system.into(), "the system's".to_owned())))
    }

    fn named(&self) -> Option<OsString> {
        std::env::var_os(self.variable).filter(|named| !named.is_empty())
    }

    fn fetched(&self) -> Option<PathBuf> {
        let [folder, file] = self.cached;
        files::cache().map(|cache| cache.join(folder).join(file)).filter(|cached| cached.is_file())
    }

    /// Whether `cargo xtask` fetched it.
    pub(super) fn is_cached(&self) -> bool {
        self.fetched().is_some()
    }

    /// Whether what is used is what `cargo xtask` fetched.
    pub(super) fn is_fetched(&self) -> bool {
        self.named().is_none() && self.is_cached()
    }

    /// The same for one that was probed.
    pub(super) fn path(&self) -> Result<PathBuf, BackendError> {
        let gone = || BackendError::Engine { doing: "loading a library", message: format!("{} is gone", self.system) };
        self.located().map(|(path, _)| path).ok_or_else(gone)
    }

    /// Which library it is, for the record: nothing of where it lies.
    pub(super) fn described(&self) -> Option<String> {
        let (path, how) = self.located()?;
        let bytes = files::read(&path).map(|bytes| format!(", SHA-256 {}", Digest::of(&bytes))).unwrap_or_default();
        Some(format!("{}, {how}{bytes}", self.engine))
    }

    /// Whether it can be used here.
    pub(super) fn probe(&self) -> Availability {
        let Self { engine, variable, system, .. } = self;
        match self.located() {
            None => {
                let remedy = format!("run `cargo xtask runtimes`, or name it with `{variable}`");
                Availability::missing(&format!("`{system}` is not here"), &remedy)
            }
            Some((path, _)) if !has(&path.to_string_lossy(), Some(self.function)) => {
                let remedy = format!("run `cargo xtask runtimes`, or correct `{variable}`");
                Availability::missing(&format!("`{}` cannot be loaded, or is not {engine}", path.display()), &remedy)
            }
            Some((path, how)) => Availability::Ready { detail: format!("{engine}, {how}: `{}`", path.display()) },
        }
    }
}

/// What an engine says of its own failure.
pub(super) fn failed<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> BackendError {
    move |error| BackendError::Engine { doing, message: error.to_string() }
}

/// Whether the loader finds a library of this name.
pub(super) fn found(name: &str) -> bool {
    has(name, None)
}

/// Whether the loader finds a library of this name, and in it a function.
#[expect(unsafe_code, reason = "dlopen is the only way to ask the loader")]
fn has(name: &str, function: Option<&str>) -> bool {
    let Ok(name) = CString::new(name) else { return false };
    let Ok(function) = function.map(CString::new).transpose() else { return false };
    // SAFETY: the names are valid C strings; the handle is closed at once and never called into.
    unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL);
        if handle.is_null() {
            return false;
        }
        let has = function.is_none_or(|function| !libc::dlsym(handle, function.as_ptr()).is_null());
        libc::dlclose(handle);
        has
    }
}
