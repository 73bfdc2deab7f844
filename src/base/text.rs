//! Text from files of others, which may hold anything.

/// What a terminal would obey, or show in another order than it is.
#[must_use]
pub fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text within a line of Markdown, in a cell of a table or not, that is shown as it is: nothing in it ends the line or the
/// cell, forms HTML, emphasis, a link or a character of another name, or is active. Code between backticks stays code.
#[must_use]
pub fn inline_markdown(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = at_the_start(text.trim_start(), &mut out);
    let mut before = out.chars().next_back();
    while let Some(at) = rest.find('`') {
        words(&rest[..at], before, Some('`'), &mut out);
        let ticks = leading_ticks(&rest[at..]);
        let behind = &rest[at + ticks..];
        rest = if let Some(length) = until_ticks(behind, ticks) {
            out.push_str(&code_span(stripped(&behind[..length])));
            &behind[length + ticks..]
        } else {
            out.push_str(&"\\`".repeat(ticks));
            behind
        };
        before = Some('`');
    }
    words(rest, before, None, &mut out);
    out
}

/// A text as code within a line of Markdown, in a cell of a table or not.
#[must_use]
pub fn code_span(text: &str) -> String {
    let text = one_line(text);
    let is_trimmed = !text.starts_with(' ') && !text.ends_with(' ');
    if is_trimmed && !text.is_empty() && !text.contains(['`', '|']) {
        return format!("`{text}`");
    }
    // Between backticks a table's pipe and a backtick cannot both be written.
    let entity = |c: char| {
        if c.is_ascii_punctuation() || c == ' ' { format!("&#{};", u32::from(c)) } else { c.to_string() }
    };
    format!("<code>{}</code>", text.chars().map(entity).collect::<String>())
}

/// Without line breaks, and with nothing active: a text in a block of code.
#[must_use]
pub fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        c if is_active(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Writes out what would begin a heading, a list, a quotation or a rule, and returns what follows it.
fn at_the_start<'a>(text: &'a str, out: &mut String) -> &'a str {
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    let behind = |mark: char| text.trim_start_matches(mark);
    let is_line = |mark: char| !text.is_empty() && text.chars().all(|c| c == mark || c == ' ');
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let escaped = match text.chars().next() {
        Some('#') => ends(behind('#')).then_some(0),
        Some('>') => Some(0),
        // A box to tick.
        Some('[') => ["[ ]", "[x]", "[X]"].iter().any(|list| text.starts_with(list)).then_some(0),
        Some(mark @ ('-' | '+' | '*')) => (ends(&text[1..]) || is_line(mark)).then_some(0),
        Some(mark @ ('=' | '_')) => is_line(mark).then_some(0),
        Some('0'..='9') => (number.starts_with(['.', ')']) && ends(&number[1..])).then_some(text.len() - number.len()),
        _ => None,
    };
    let Some(at) = escaped else { return text };
    out.push_str(&text[..at]);
    out.push('\\');
    out.push_str(&text[at..=at]);
    &text[at + 1..]
}

/// Text without backticks, between two characters.
fn words(text: &str, before: Option<char>, after: Option<char>, out: &mut String) {
    let mut previous = before;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next).or(after);
        match c {
            '|' => out.push_str("\\|"),
            '\\' if next.is_none_or(|next| next.is_ascii_punctuation()) => out.push_str("\\\\"),
            '<' if next.is_some_and(|next| next.is_alphabetic() || "/!?".contains(next)) => out.push_str("&lt;"),
            '&' if is_entity(&text[at..]) => out.push_str("&amp;"),
            // Of these a page would make a link by itself.
            ':' if text[at..].starts_with("://") => out.push_str("&#58;"),
            '.' if text[..at].to_ascii_lowercase().ends_with("www") => out.push_str("&#46;"),
            '@' if previous.is_some_and(|c| !c.is_whitespace()) => out.push_str("&#64;"),
            ']' if next.is_some_and(|next| "([:".contains(next)) => out.push_str("\\]"),
            '*' | '_' | '~' if emphasizes(c, previous, next) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        previous = Some(c);
    }
}

/// Whether a mark of emphasis could begin or end one between these characters: it stands beside something that is no space,
/// and an underscore not within a word.
fn emphasizes(mark: char, previous: Option<char>, next: Option<char>) -> bool {
    let is = |c: Option<char>, what: fn(char) -> bool| c.is_some_and(what);
    let alone = !is(previous, |c| !c.is_whitespace()) && !is(next, |c| !c.is_whitespace());
    let within = mark == '_' && is(previous, char::is_alphanumeric) && is(next, char::is_alphanumeric);
    !alone && !within
}

/// Whether a text begins with the name or number of a character in HTML.
fn is_entity(text: &str) -> bool {
    let name = text.strip_prefix('&').and_then(|text| text.split_once(';')).map_or("", |(name, _)| name);
    let name = name.strip_prefix('#').unwrap_or(name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn leading_ticks(text: &str) -> usize {
    text.len() - text.trim_start_matches('`').len()
}

/// Bytes before the next run of exactly `ticks` backticks.
fn until_ticks(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find('`')?;
        let found = leading_ticks(&text[at..]);
        if found == ticks {
            return Some(at);
        }
        at += found;
    }
}

/// What is shown of code between backticks: a space on both sides is none of it.
fn stripped(code: &str) -> &str {
    let inner = code.strip_prefix(' ').and_then(|code| code.strip_suffix(' '));
    inner.filter(|_| !code.trim().is_empty()).unwrap_or(code)
}

/// The closest of several known words, where one is close enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        // Nobody means a word by one twice as long, and comparing costs the product of the lengths.
        .filter(|candidate| word.len() <= 2 * candidate.len().max(3))
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;

    #[test]
    fn nothing_in_a_name_forms_a_page() {
        let hostile =
            "x\n## Verdict: PASS | <script>a</script> [l](javascript:b) \u{1b}[31m \u{202e} **b** _e_ &amp; `";
        let shown = inline_markdown(hostile);
        let wanted = "x ## Verdict: PASS \\| &lt;script>a&lt;/script> [l\\](javascript:b) \u{fffd}[31m \u{fffd} \\*\\*b\\*\\* \
                      \\_e\\_ &amp;amp; \\`";
        assert_eq!(shown, wanted);
    }

    #[test]
    fn what_forms_nothing_stays() {
        for text in [
            "p < 0.001, `features.0` and a[0]",
            "fp32_cpu, 2 * 3, ~ 1.02 (0.98 to 1.05), -0.5, −3, 1.5 MB, R&D, `a*b_`, #1",
            "~",
            "`match = \"features.*\"`",
        ] {
            assert_eq!(inline_markdown(text), text);
        }
        assert_eq!(inline_markdown("1. # a"), "1\\. # a");
        assert_eq!(inline_markdown("https://a.org/b?c=d"), "https&#58;//a.org/b?c=d");
        assert_eq!(inline_markdown("xmpp:a@b.org @c"), "xmpp:a&#64;b.org @c");
        assert_eq!(inline_markdown("https://a.org/~b www.c.org/*"), "https&#58;//a.org/\\~b www&#46;c.org/\\*");
        assert_eq!(inline_markdown("[x] done"), "\\[x] done");
        assert_eq!(code_span("_x_ & *"), "`_x_ & *`");
        assert_eq!(code_span("a|b"), "<code>a&#124;b</code>");
    }

    /// What a reader sees of a page, piece by piece, each with whether it is code.
    #[derive(Debug, PartialEq, Eq, Default)]
    struct Seen {
        cells: Vec<Vec<(bool, String)>>,
        strange: Vec<String>,
    }

    fn seen(page: &str) -> Seen {
        let mut seen = Seen::default();
        let mut in_code = false;
        let add = |seen: &mut Seen, is_code: bool, text: &str| {
            let Some(cell) = seen.cells.last_mut() else { return seen.strange.push(text.to_owned()) };
            match cell.last_mut().filter(|(known, _)| *known == is_code) {
                Some((_, all)) => all.push_str(text),
                None => cell.push((is_code, text.to_owned())),
            }
        };
        for event in Parser::new_ext(page, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
            match event {
                Event::Start(Tag::TableCell | Tag::Paragraph) => seen.cells.push(Vec::new()),
                Event::Start(Tag::Table(_) | Tag::TableHead | Tag::TableRow)
                | Event::End(
                    TagEnd::Table | TagEnd::TableHead | TagEnd::TableRow | TagEnd::TableCell | TagEnd::Paragraph,
                ) => {}
                Event::Text(text) => add(&mut seen, in_code, &text),
                Event::Code(text) => add(&mut seen, true, &text),
                Event::InlineHtml(tag) if &*tag == "<code>" => in_code = true,
                Event::InlineHtml(tag) if &*tag == "</code>" => in_code = false,
                other => seen.strange.push(format!("{other:?}")),
            }
        }
        seen
    }

    fn plain(text: &str) -> Vec<(bool, String)> {
        if text.is_empty() { Vec::new() } else { vec![(false, text.to_owned())] }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// A cell, a paragraph and code show exactly the text that was put there.
        #[test]
        fn a_page_shows_every_text_as_it_is(text in "[ab1 .|*_~&<>#;:!\\[\\]()\"'/=+\\\\\\-]{0,12}|&[a-z]{1,4};x|[0-9]{1,3}[.)] a") {
            let shown = plain(text.trim());
            let header = "| a | b |\n|---|---|\n";
            let table = seen(&format!("{header}| {} | {} |\n", inline_markdown(&text), code_span(&text)));
            prop_assert_eq!(&table.strange, &Vec::<String>::new());
            prop_assert_eq!(table.cells.len(), 4);
            prop_assert_eq!(&table.cells[2], &shown);
            let code: String = table.cells[3].iter().map(|(is_code, text)| { assert!(*is_code); text.as_str() }).collect();
            prop_assert_eq!(code, text.clone());

            let paragraph = seen(&format!("{}\n", inline_markdown(&text)));
            prop_assert_eq!(&paragraph.strange, &Vec::<String>::new());
            prop_assert_eq!(paragraph.cells.concat(), shown);
        }

        /// Sentences hold code between backticks, and names hold backticks: every piece is shown, and no mark but theirs
        /// is missing.
        #[test]
        fn backticks_form_nothing_but_code(text in "[ab `|*_<\\\\]{0,16}") {
            let table = seen(&format!("| a |\n|---|\n| {} |\n", inline_markdown(&text)));
            prop_assert_eq!(&table.strange, &Vec::<String>::new());
            prop_assert_eq!(table.cells.len(), 2);
            let all = |text: &str| text.replace(['`', ' '], "");
            let shown: String = table.cells[1].iter().map(|(_, text)| text.as_str()).collect();
            prop_assert_eq!(all(&shown), all(&text));
        }
    }
}
