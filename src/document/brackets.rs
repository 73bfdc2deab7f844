//! Where a bracket was opened that nobody closed: parsers complain far below it.

/// The offset of the bracket that is still open at `end`, innermost first.
pub(crate) fn open_at(text: &str, end: usize) -> Option<usize> {
    let bytes = &text.as_bytes()[..end.min(text.len())];
    let mut open = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        at = match bytes[at] {
            b'#' => past(bytes, at, b"\n"),
            quote @ (b'"' | b'\'') => past_string(bytes, at, quote),
            b'[' | b'{' => {
                open.push(at);
                at + 1
            }
            b']' | b'}' => {
                open.pop();
                at + 1
            }
            _ => at + 1,
        };
    }
    open.pop()
}

/// What follows the next `stop` after `at`, or the end.
fn past(bytes: &[u8], at: usize, stop: &[u8]) -> usize {
    let found = bytes[at..].windows(stop.len()).position(|window| window == stop);
    found.map_or(bytes.len(), |found| at + found + stop.len())
}

/// A string of one line ends with it; one in three quotes may span lines.
fn past_string(bytes: &[u8], start: usize, quote: u8) -> usize {
    let is_long = bytes[start..].starts_with(&[quote; 3]);
    let stop: &[u8] = if is_long { &[quote; 3] } else { &[quote] };
    let mut at = start + stop.len();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 2,
            b'\n' if !is_long => return at,
            _ if bytes[at..].starts_with(stop) => return at + stop.len(),
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_hold_no_brackets() {
        let open = |text: &str| open_at(text, text.len());
        assert_eq!(open("a = [1, 2\nb = 3"), Some(4));
        assert_eq!(open("[t]\na = \"[\" # [\nb = '{'\nc = \"\\\"[\"\nd = '''\n[\n'''"), None);
        assert_eq!(open("a = { b = [\"\"\"]\\\"\"\"\"] "), Some(4));
        assert_eq!(open("a = \"unended [\nb = [["), Some(20));
        assert_eq!(open("]] a = \"\\"), None);
    }
}
