//! Text to the standard streams.

use std::io::Write as _;

use crate::base::text::is_active;

/// To standard output, without what a terminal would obey: names in a run may hold anything. A reader
/// that has gone away is not an error.
pub fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(plain(text).as_bytes());
}

/// What another requant reads, as it is; whether it was taken.
#[must_use]
pub fn print_raw(text: &str) -> bool {
    std::io::stdout().lock().write_all(text.as_bytes()).is_ok()
}

/// A JSON document to standard output: what a terminal would obey becomes an escape that JSON knows.
pub fn print_json(text: &str) {
    use std::fmt::Write as _;
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_active(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(plain, "\\u{unit:04x}");
            }
        } else {
            plain.push(c);
        }
    }
    let _ = std::io::stdout().lock().write_all(plain.as_bytes());
}

/// A line to standard error.
pub fn eprint(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A text with active characters escaped.
#[must_use]
pub fn plain(text: &str) -> String {
    // Alone, a carriage return would overwrite what stands on the line.
    let kept = |at: usize, c: char| !is_active(c) || matches!(c, '\n' | '\t') || text[at..].starts_with("\r\n");
    text.char_indices()
        .map(|(at, c)| if kept(at, c) { c.to_string() } else { c.escape_default().to_string() })
        .collect()
}
