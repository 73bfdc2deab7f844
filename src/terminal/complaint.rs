//! Diagnostics as a person reads them: the line, a caret, what is wrong, the next step.

use std::io::IsTerminal as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::exit::Exit;
use super::print::{eprint, plain};
use crate::base::explain::{Cause, Diagnostic, Severity, line_and_column};
use crate::base::text::is_active;

/// Longer lines are not shown whole.
const LONGEST_SHOWN: usize = 400;

/// Longer messages lose their middle, which can only be what a hostile file wrote.
const LONGEST_MESSAGE: usize = 1200;

/// Prints diagnostics to standard error; with colour on a terminal that wants it.
pub fn complain(diagnostics: &[Diagnostic]) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    for diagnostic in diagnostics {
        eprint(&text(diagnostic, colour));
    }
}

/// One diagnostic as text.
#[must_use]
pub fn text(diagnostic: &Diagnostic, colour: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(printable(&diagnostic.message)));
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    if let Some(place) = &diagnostic.place {
        // A whole hostile file on one line would bury the message.
        let (line, column) = line_and_column(&place.text, place.span.start);
        let start = place.text[..place.span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = place.text[place.span.start..].find('\n').map_or(place.text.len(), |at| place.span.start + at);
        if end - start <= LONGEST_SHOWN {
            let stop = place.span.end.clamp(place.span.start, end);
            let snippet = Snippet::source(printable_line(&place.text[start..end]))
                .path(printable(&place.file))
                .line_start(line)
                .annotation(AnnotationKind::Primary.span(place.span.start - start..stop - start));
            group = group.element(snippet);
        } else {
            let origin = annotate_snippets::Origin::path(printable(&place.file)).line(line).char_column(column);
            group = group.element(origin);
        }
    }
    if let Some(next) = &diagnostic.next_step {
        group = group.element(Level::HELP.with_name("next").message(printable(next)));
    }
    renderer.render(&[group])
}

/// A line of a file without active characters; its length in bytes stays, so that the caret fits.
fn printable_line(text: &str) -> String {
    let plain = |c: char| if is_active(c) && c != '\t' { " ".repeat(c.len_utf8()) } else { c.to_string() };
    text.chars().map(plain).collect()
}

/// A message with active characters escaped, and the middle of one without end left out.
fn printable(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST_MESSAGE {
        return plain(text);
    }
    let (head, tail) = (LONGEST_MESSAGE * 2 / 3, LONGEST_MESSAGE / 3);
    let kept = text.chars().take(head).chain(" … ".chars()).chain(text.chars().skip(length - tail));
    plain(&kept.collect::<String>())
}

/// One diagnostic as editors take it: lines and columns from 1.
pub fn json(diagnostic: &Diagnostic) -> Value {
    let place = diagnostic.place.as_ref().map(|place| {
        let (line, column) = line_and_column(&place.text, place.span.start);
        let (end_line, end_column) = line_and_column(&place.text, place.span.end);
        json!({ "file": place.file, "line": line, "column": column, "end_line": end_line, "end_column": end_column })
    });
    json!({
        "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "cause": cause(diagnostic.cause),
        "exit_code": Exit::from(diagnostic.cause).code(),
        "message": printable(&diagnostic.message),
        "next": diagnostic.next_step.as_deref().map(printable),
        "place": place,
    })
}

const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Refuted => "check-failed",
        Cause::EngineMissing => "engine-missing",
        Cause::Integrity => "integrity",
        Cause::Input => "input",
        Cause::Interrupted => "interrupted",
        Cause::Bug => "bug",
    }
}
