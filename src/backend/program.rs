//! The program that carries the engine, beside the one that is running.

use std::path::PathBuf;

use super::Availability;

/// Its file name.
pub const NAME: &str = "requant-torch";

/// Where it lies, or why it cannot be used.
pub fn path() -> Result<PathBuf, Availability> {
    let own =
        std::env::current_exe().map_err(|error| Availability::missing(&error.to_string(), "reinstall requant"))?;
    let path = own.with_file_name(NAME);
    if path.is_file() {
        return Ok(path);
    }
    let why = format!("`{NAME}` is not beside `{}`", own.file_name().unwrap_or_default().display());
    Err(Availability::missing(&why, "build requant with its default features, and keep both programs in one folder"))
}
