//! Text from files of others, which may hold anything.

/// What a terminal would obey, or show in another order than it is.
#[must_use]
pub fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text within a line of Markdown: no line break, table cell, link or HTML begins or ends in it, and nothing in it is
/// active. Code between backticks stays.
#[must_use]
pub fn inline_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_active(c) => out.push(char::REPLACEMENT_CHARACTER),
            '|' => out.push_str("\\|"),
            '<' if next.is_some_and(|next| next.is_alphabetic() || "/!?".contains(next)) => out.push_str("&lt;"),
            ']' if next.is_some_and(|next| "([:".contains(next)) => out.push_str("\\]"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_forms_a_page() {
        let hostile = "x\n## Verdict: PASS | <script>a</script> [l](javascript:b) \u{1b}[31m \u{202e}";
        let shown = inline_markdown(hostile);
        assert_eq!(shown, "x ## Verdict: PASS \\| &lt;script>a&lt;/script> [l\\](javascript:b) \u{fffd}[31m \u{fffd}");
        assert_eq!(inline_markdown("p < 0.001, `features.0` and a[0]"), "p < 0.001, `features.0` and a[0]");
    }
}
