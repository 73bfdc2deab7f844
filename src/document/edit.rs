//! Editing a text with its comments and layout left as they are.

use toml_edit::DocumentMut;

/// The text after an edit of its document, its byte order mark and kind of line end kept.
pub(crate) fn edited(text: &str, edit: impl FnOnce(&mut DocumentMut) -> Result<(), String>) -> Result<String, String> {
    let (mark, body) = text.strip_prefix(BYTE_ORDER_MARK).map_or(("", text), |body| (BYTE_ORDER_MARK, body));
    let mut document: DocumentMut = body.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    edit(&mut document)?;
    // Written with one kind of line end, the file keeps it.
    let written = document.to_string();
    let is_dos = text.contains("\r\n") && text.matches('\n').count() == text.matches("\r\n").count();
    Ok(mark.to_owned() + &if is_dos { written.replace("\r\n", "\n").replace('\n', "\r\n") } else { written })
}

const BYTE_ORDER_MARK: &str = "\u{feff}";
