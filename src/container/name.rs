//! Which names a file of a dataset may have: they become sample ids, one per line.

use std::path::Path;

use super::ContainerError;

/// An archive entry's name as a plain relative path, with `./` removed.
pub(super) fn plain(path: &Path, bytes: &[u8]) -> Result<String, ContainerError> {
    let hostile = |reason| ContainerError::HostileEntry {
        path: path.to_owned(),
        entry: bytes.escape_ascii().to_string(),
        reason,
    };
    let name = std::str::from_utf8(bytes).map_err(|_| hostile("a name that is not UTF-8"))?;
    if name.starts_with('/') {
        return Err(hostile("an absolute name"));
    }
    if name.split('/').any(|part| part == "..") {
        return Err(hostile("a name that climbs out of the archive"));
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let name = parts.join("/");
    if name.is_empty() {
        return Err(hostile("no name"));
    }
    check_plain(path, &name)?;
    Ok(name)
}

/// Refuses what would not survive as one line of a listing, or means another path elsewhere.
pub(super) fn check_plain(path: &Path, name: &str) -> Result<(), ContainerError> {
    // Characters that turn the direction of writing show one name and mean another.
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let odd = |c: char| c.is_control() || turns(c) || matches!(c, '\\' | char::REPLACEMENT_CHARACTER);
    if !name.contains(odd) {
        return Ok(());
    }
    let entry = name.escape_debug().to_string();
    let reason = "a name with control or direction characters, backslashes or bytes that are not UTF-8";
    Err(ContainerError::HostileEntry { path: path.to_owned(), entry, reason })
}
