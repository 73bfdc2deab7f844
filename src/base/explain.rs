//! What every failure must be able to say, whichever room it comes from, and where it points.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Why something stopped, sorted by what the person in front of it should do. The command line
/// turns each into its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A check ran, and its answer is no.
    Refuted,
    /// A backend or engine that the manifest requires is not usable on this machine.
    EngineMissing,
    /// A pinned digest does not match what was found.
    Integrity,
    /// The manifest, a file, a folder or the command line is wrong.
    Input,
    /// A person asked the run to stop.
    Interrupted,
    /// requant broke one of its own promises.
    Bug,
}

/// An error that names its cause and the next step.
///
/// `Display` says what and where, in lower case and without a final period.
pub trait Explain: std::error::Error {
    fn class(&self) -> Cause;

    /// What to do about it, as one imperative sentence; `None` where nothing useful can be said.
    fn next_step(&self) -> Option<String> {
        None
    }
}

/// Whether a diagnostic stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    /// Worth knowing; nothing is refused for it.
    Warning,
}

/// Bytes of a text that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the person named it.
    pub file: String,
    pub text: Arc<str>,
    /// Byte offsets into `text`, on character boundaries.
    pub span: Range<usize>,
}

impl Place {
    /// The file, and the bytes of every line that the span touches.
    #[must_use]
    pub fn whole_lines(&self) -> (&str, Range<usize>) {
        let start = self.text[..self.span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[self.span.end..].find('\n').map_or(self.text.len(), |at| self.span.end + at);
        (&self.file, start..end + 1)
    }

    /// Line and column of the first character, both from 1; columns count characters.
    #[must_use]
    pub fn line_and_column(&self) -> (usize, usize) {
        line_and_column(&self.text, self.span.start)
    }
}

/// Line and column of a byte offset, both from 1; columns count characters.
#[must_use]
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// One thing that is wrong, on its way to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub cause: Cause,
    pub message: String,
    pub next_step: Option<String>,
    pub place: Option<Place>,
}

impl Diagnostic {
    #[must_use]
    pub fn error(cause: Cause, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, cause, message: message.into(), next_step: None, place: None }
    }

    #[must_use]
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(Cause::Refuted, message) }
    }

    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next_step = Some(step.into());
        self
    }

    /// Points at a place, unless it points at one already: the innermost knows best.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

impl<E: Explain> From<E> for Diagnostic {
    fn from(error: E) -> Self {
        let diagnostic = Self::error(error.class(), error.to_string());
        Self { next_step: error.next_step(), ..diagnostic }
    }
}

/// Why something was given up: at least one error, all that were found in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub diagnostics: Vec<Diagnostic>,
}

impl Failure {
    #[must_use]
    pub fn bug(message: impl Into<String>) -> Self {
        Diagnostic::error(Cause::Bug, message).into()
    }

    /// The gravest cause among the errors.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let errors = self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        errors.map(|diagnostic| diagnostic.cause).max().unwrap_or(Cause::Bug)
    }

    /// Puts the thing that was being worked on in front of the messages that point nowhere.
    #[must_use]
    pub fn while_doing(mut self, what: impl fmt::Display) -> Self {
        for diagnostic in self.diagnostics.iter_mut().filter(|diagnostic| diagnostic.place.is_none()) {
            diagnostic.message = format!("{what}: {}", diagnostic.message);
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostics: vec![diagnostic] }
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics }
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Diagnostic::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        assert_eq!(line_and_column("a\néx = 1", 5), (2, 3));
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(line_and_column("a\n", 2), (2, 1));
    }
}
