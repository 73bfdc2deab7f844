//! A layer's text as a tree that remembers where each value was written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::brackets;
use crate::base::explain::{Cause, Diagnostic, Place};

/// The layers of settings; a later one wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Built in; never changes for a schema.
    Default,
    /// `requant.toml`, of the folder that the manifest lies in or of one above.
    Project,
    Manifest,
    /// The values of one point of a sweep.
    Sweep,
    /// Variables that start with `REQUANT_`.
    Environment,
    /// `--set`.
    CommandLine,
}

impl Layer {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Project => "project",
            Self::Manifest => "manifest",
            Self::Sweep => "sweep",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        }
    }

    /// Whether what it says stands in no file of the experiment itself.
    #[must_use]
    pub const fn is_outside(self) -> bool {
        !matches!(self, Self::Default | Self::Manifest | Self::Sweep)
    }
}

/// A value with the bytes it was written in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or an integer beyond 64 bits: nothing that a manifest has a use for.
    Foreign(&'static str),
    Array(Vec<Node>),
    Table(BTreeMap<String, Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Range<usize>,
    pub(crate) value: Node,
}

const SYNTAX_ERRORS_SHOWN: usize = 5;

/// Of more errors than these, nearly all follow from the first.
const SYNTAX_ERRORS_READ: usize = 1000;

/// One layer: what was written, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) layer: Layer,
    /// How a person calls it: a file's path, `environment`, `command line`.
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
    pub(crate) root: Node,
    /// Where each line starts.
    lines: Vec<usize>,
}

impl Source {
    /// Reads a TOML file; every syntax error is reported, and what could be read is kept.
    pub(crate) fn file(layer: Layer, name: String, text: &str) -> (Self, Vec<Diagnostic>) {
        let (table, mut errors) = DeTable::parse_recoverable(text);
        let root = Node { span: 0..0, content: table_content(table.get_ref()) };
        let source = Self { layer, name, text: text.into(), root, lines: line_starts(text) };
        errors.sort_by_key(start);
        let unclosed = errors.first().and_then(|first| source.unclosed(start(first)));
        let mut problems: Vec<Diagnostic> = Vec::new();
        for error in errors
            .iter()
            .take(SYNTAX_ERRORS_READ)
            .filter(|error| unclosed.as_ref().is_none_or(|(at, _)| start(error) < *at))
        {
            let next = "write `key = value` lines under `[table]` headers";
            let message = format!("not TOML: {}", error.message().replace('\n', ", "));
            let place = source.place(error.span().unwrap_or(0..0));
            // The first error of a line explains the others.
            let line = |place: &Place| source.line(place.span.start);
            if problems.last().is_none_or(|last| last.place.as_ref().map(line) != Some(line(&place))) {
                problems.push(Diagnostic::error(Cause::Input, message).next(next).at(place));
            }
            // What is no TOML at all has an error in every line.
            if problems.len() == SYNTAX_ERRORS_SHOWN {
                break;
            }
        }
        problems.extend(unclosed.map(|(_, problem)| problem));
        (source, problems)
    }

    /// The bracket above the line of an error that is still open there, with all that follows it,
    /// which it makes nonsense of.
    fn unclosed(&self, error: usize) -> Option<(usize, Diagnostic)> {
        let at = brackets::open_at(&self.text, error)?;
        let bracket = self.text.get(at..=at)?;
        let closing = if bracket == "[" { "]" } else { "}" };
        let message = format!("not TOML: this `{bracket}` is not closed");
        let problem = Diagnostic::error(Cause::Input, message).next(format!("add `{closing}` where the values end"));
        self.text[at..error.min(self.text.len())]
            .contains('\n')
            .then(|| (at, problem.at(self.place(at..self.text.len()))))
    }

    /// Builds a layer from `KEY=VALUE` lines, with a function from KEY to a dotted path. A value is
    /// TOML, or else a string.
    pub(crate) fn assignments(
        layer: Layer,
        lines: &[String],
        path: impl Fn(&str) -> String,
    ) -> (Self, Vec<Diagnostic>) {
        let text: Arc<str> = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>().into();
        let mut root = Node { span: 0..0, content: empty() };
        let lines_of_text = line_starts(&text);
        let source = Self { layer, name: layer.word().to_owned(), text, root: root.clone(), lines: lines_of_text };
        let mut problems = Vec::new();
        let mut start = 0;
        for line in lines {
            let at = start;
            start += line.len() + 1;
            let problem = |message: &str| {
                let place = source.place(at..at + line.len());
                Diagnostic::error(Cause::Input, message)
                    .next("write `KEY=VALUE`, such as `compute.threads=4`")
                    .at(place)
            };
            match line.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    let value = assigned(value, at + key.len() + 1);
                    let dotted = path(key.trim());
                    let names: Vec<&str> = dotted.split('.').collect();
                    if !insert(&mut root, &names, &(at..at + key.len()), value) {
                        problems.push(problem("sets both a table and a key in it"));
                    }
                }
                _ => problems.push(problem("is not an assignment")),
            }
        }
        (Self { root, ..source }, problems)
    }

    /// The same text, of which something else is meant.
    pub(crate) fn with_root(&self, root: Node) -> Self {
        Self {
            root,
            name: self.name.clone(),
            text: Arc::clone(&self.text),
            lines: self.lines.clone(),
            layer: self.layer,
        }
    }

    /// The line of an offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place { file: self.name.clone(), text: Arc::clone(&self.text), span: on_characters(&self.text, span) }
    }

    /// The entry at a path; numbers index arrays.
    pub(crate) fn find(&self, path: &[&str]) -> Option<Found<'_>> {
        path.iter().try_fold(Found { key: None, value: &self.root }, |at, name| match &at.value.content {
            Content::Table(entries) => {
                entries.get(*name).map(|entry| Found { key: Some(&entry.key), value: &entry.value })
            }
            Content::Array(items) => {
                let item = items.get(name.parse::<usize>().ok()?)?;
                Some(Found { key: None, value: item })
            }
            _ => None,
        })
    }
}

/// Where a path led.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    /// Absent for an array's items.
    pub(crate) key: Option<&'a Range<usize>>,
    pub(crate) value: &'a Node,
}

impl Found<'_> {
    /// What to point at: a plain value itself, of a table the header or key.
    pub(crate) fn span(&self) -> Range<usize> {
        match (&self.value.content, self.key) {
            (Content::Table(_), Some(key)) => key.clone(),
            _ => self.value.span.clone(),
        }
    }
}

pub(crate) fn empty() -> Content {
    Content::Table(BTreeMap::new())
}

/// The text after `=`: TOML where it is TOML, otherwise the string itself.
fn assigned(text: &str, offset: usize) -> Node {
    match DeValue::parse(text.trim()) {
        Ok(value) => shift(node(&value), offset + (text.len() - text.trim_start().len())),
        Err(_) => Node { span: offset..offset + text.len(), content: Content::String(text.to_owned()) },
    }
}

fn shift(mut node: Node, by: usize) -> Node {
    node.span = node.span.start + by..node.span.end + by;
    node.content = match node.content {
        Content::Array(items) => Content::Array(items.into_iter().map(|item| shift(item, by)).collect()),
        Content::Table(entries) => {
            let moved = |(name, entry): (String, Entry)| {
                (name, Entry { key: entry.key.start + by..entry.key.end + by, value: shift(entry.value, by) })
            };
            Content::Table(entries.into_iter().map(moved).collect())
        }
        plain => plain,
    };
    node
}

/// Puts a value under a dotted path; says whether there was room for it.
pub(crate) fn insert(root: &mut Node, names: &[&str], key: &Range<usize>, value: Node) -> bool {
    let Content::Table(entries) = &mut root.content else { return false };
    match names {
        [] => false,
        [last] => {
            let is_table = |entry: &Entry| matches!(entry.value.content, Content::Table(_));
            let room = !entries.get(*last).is_some_and(is_table);
            entries.insert((*last).to_owned(), Entry { key: key.clone(), value });
            room
        }
        [first, rest @ ..] => {
            let table = || Entry { key: key.clone(), value: Node { span: key.clone(), content: empty() } };
            insert(&mut entries.entry((*first).to_owned()).or_insert_with(table).value, rest, key, value)
        }
    }
}

fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let content = match value.get_ref() {
        DeValue::String(text) => Content::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Content::Integer(number),
            Err(_) => Content::Foreign("a number beyond 64 bits"),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Content::Float(number),
            Err(_) => Content::Foreign("not a number"),
        },
        DeValue::Boolean(truth) => Content::Boolean(*truth),
        DeValue::Datetime(_) => Content::Foreign("a date or time"),
        DeValue::Array(items) => Content::Array(items.iter().map(node).collect()),
        DeValue::Table(table) => table_content(table),
    };
    Node { span: value.span(), content }
}

fn table_content(table: &DeTable<'_>) -> Content {
    let entry = |(key, value): (&Spanned<toml::de::DeString<'_>>, &Spanned<DeValue<'_>>)| {
        (key.get_ref().to_string(), Entry { key: key.span(), value: node(value) })
    };
    Content::Table(table.iter().map(entry).collect())
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn start(error: &toml::de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// A span that can be cut out of the text, whatever a parser said of it.
fn on_characters(text: &str, span: Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (floor(span.start), floor(span.end));
    start..end.max(start)
}
