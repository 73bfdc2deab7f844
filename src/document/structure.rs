//! Holds one layer's tree against the schema: unknown keys, wrong types, values out of range. Every
//! problem is found, and what has one is left out of the layer, so that the rest can still be read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::form::{properties, words};
use super::source::{Content, Entry, Layer, Node, Source};
use crate::base::explain::{Cause, Diagnostic};
use crate::base::text::nearest;
use crate::base::units::counted;

/// What is wrong with a layer.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) problems: Vec<Diagnostic>,
    /// Dotted paths that were left out.
    pub(crate) dropped: Vec<String>,
}

/// Checks a layer, and drops from it what is wrong.
pub(crate) fn check(source: &mut Source, schema: &Value) -> Checked {
    let mut root = std::mem::replace(&mut source.root, Node { span: 0..0, content: Content::Boolean(false) });
    let mut walk = Walk { source, homes: BTreeMap::new(), checked: Checked::default() };
    homes(schema, "", &mut walk.homes);
    walk.visit(&mut root, schema, "");
    let checked = walk.checked;
    source.root = root;
    checked
}

struct Walk<'a> {
    source: &'a Source,
    /// Where each key belongs.
    homes: BTreeMap<String, Vec<String>>,
    checked: Checked,
}

impl Walk<'_> {
    /// Whether the node may stay.
    fn visit(&mut self, node: &mut Node, schema: &Value, path: &str) -> bool {
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or("string");
        let span = node.span.clone();
        let problem = match (&mut node.content, kind) {
            (Content::Table(entries), "object") => {
                self.table(entries, schema, path);
                return true;
            }
            (Content::Array(items), "array") => match out_of_length(items, schema) {
                None => return self.array(items, schema, path),
                Some(problem) => Some(problem),
            },
            (Content::String(text), "string") => wrong_text(text, schema),
            (Content::Integer(number), "integer" | "number") => {
                out_of_range(*number as f64, &number.to_string(), schema)
            }
            (Content::Float(number), "number") => out_of_range(*number, &number.to_string(), schema),
            (Content::Boolean(_), "boolean") => None,
            (found, _) => Some(wrong_type(found, kind, schema, self.written(&span))),
        };
        let Some((message, next)) = problem else { return true };
        self.report(format!("`{path}` {message}"), &next, span, path);
        false
    }

    fn table(&mut self, entries: &mut BTreeMap<String, Entry>, schema: &Value, path: &str) {
        entries.retain(|key, entry| {
            let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let known = properties(schema);
            let open = schema.get("additionalProperties").filter(|more| more.is_object());
            if let Some(inner) = known.and_then(|known| known.get(key)).or(open) {
                return self.visit(&mut entry.value, inner, &full);
            }
            let known: Vec<&str> = known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
            let next = self.unknown_key(key, &known);
            let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
            self.report(format!("unknown key `{key}`{place}"), &next, entry.key.clone(), &full);
            false
        });
    }

    /// An array with a wrong item is wrong as a whole: nobody meant the rest without it. Tables
    /// keep their places, so that what is said of the second is not said of the first.
    fn array(&mut self, items: &mut [Node], schema: &Value, path: &str) -> bool {
        let Some(inner) = schema.get("items") else { return true };
        let mut whole = true;
        for (position, item) in items.iter_mut().enumerate() {
            let is_table = matches!(item.content, Content::Table(_));
            whole &= self.visit(item, inner, &format!("{path}.{position}")) || is_table;
        }
        whole
    }

    fn unknown_key(&self, key: &str, known: &[&str]) -> String {
        if let Some(close) = nearest(key, known.iter().copied()) {
            return format!("did you mean `{close}`?");
        }
        match self.homes.get(key) {
            None if self.source.layer == Layer::Environment => {
                "unset the variable: every one that starts with `REQUANT_` is a setting".to_owned()
            }
            None => format!("use one of {}", listed(known)),
            Some(homes) => {
                format!("it belongs under {}", listed(&homes.iter().map(String::as_str).collect::<Vec<_>>()))
            }
        }
    }

    fn written(&self, span: &std::ops::Range<usize>) -> &str {
        self.source.text.get(span.clone()).unwrap_or_default()
    }

    fn report(&mut self, message: String, next: &str, span: std::ops::Range<usize>, path: &str) {
        let place = self.source.place(span);
        self.checked.problems.push(Diagnostic::error(Cause::Input, message).next(next).at(place));
        self.checked.dropped.push(path.to_owned());
    }
}

/// A problem and the next step.
type Problem = (String, String);

/// Every key below the top with the tables that have it, written as headers.
fn homes(schema: &Value, path: &str, found: &mut BTreeMap<String, Vec<String>>) {
    for (name, inner) in properties(schema).into_iter().flatten() {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let (header, table) = match inner.get("items").filter(|items| items.get("properties").is_some()) {
            Some(items) => (format!("[[{full}]]"), items),
            None => (format!("[{full}]"), inner),
        };
        for key in properties(table).into_iter().flat_map(|known| known.keys()) {
            found.entry(key.clone()).or_default().push(header.clone());
        }
        homes(table, &full, found);
    }
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn out_of_length(items: &[Node], schema: &Value) -> Option<Problem> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
    let count = counted(items.len(), "value");
    match (bound("minItems"), bound("maxItems")) {
        (Some(min), Some(max)) if min == max && items.len() != min => {
            Some((format!("has {count} instead of {min}"), advice(&format!("{min} values"), schema)))
        }
        (Some(min), _) if items.len() < min => Some(("is empty".into(), advice("at least one value", schema))),
        _ => {
            let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
            let mut seen = BTreeSet::new();
            let twice = unique && !items.iter().all(|item| seen.insert(format!("{:?}", item.content)));
            twice.then(|| ("names the same value twice".into(), "list each value once".into()))
        }
    }
}

fn wrong_text(text: &str, schema: &Value) -> Option<Problem> {
    let words = words(schema);
    if !words.is_empty() && !words.contains(&text) {
        let next = match nearest(text, words.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("choose one of {}", listed(&words)),
        };
        return Some((format!("has the unknown value `{text}`"), next));
    }
    let pattern = schema.get("pattern").and_then(Value::as_str)?;
    match pattern {
        DIGEST if !is_digest(text) => Some((
            match text.chars().count() {
                64 => "is not a SHA-256 digest: not every character is a hexadecimal digit".to_owned(),
                n => format!("is not a SHA-256 digest: it has {n} characters instead of 64"),
            },
            "let `requant pin` write it, or copy it from `sha256sum`".into(),
        )),
        FILE_NAME if !is_file_name(text) => {
            Some((format!("is `{text}`, which cannot name a file"), "use letters, digits, `-`, `_` and `.`".into()))
        }
        URL if !["https://", "http://", "file://"].iter().any(|scheme| text.starts_with(scheme)) => Some((
            format!("is `{text}`, which cannot be fetched"),
            "use a `https://`, `http://` or `file://` address".into(),
        )),
        _ => None,
    }
}

// The patterns that the types declare; a test holds that there is no other.
/// The patterns that a schema may ask of a text.
#[cfg(test)]
pub(crate) const PATTERNS: [&str; 3] = [DIGEST, FILE_NAME, URL];

const DIGEST: &str = "^[0-9a-fA-F]{64}$";
const FILE_NAME: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$";
const URL: &str = "^(https|http|file)://";

/// Whether a name can be a file's: letters, digits, `-`, `_` and `.`, no dot at the start.
#[must_use]
pub fn is_file_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && !text.starts_with('.') && text.chars().all(plain)
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn out_of_range(number: f64, written: &str, schema: &Value) -> Option<Problem> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let (min, max) = (bound("minimum"), bound("maximum"));
    let above = bound("exclusiveMinimum");
    let inside = number.is_finite()
        && min.is_none_or(|min| number >= min)
        && max.is_none_or(|max| number <= max)
        && above.is_none_or(|above| number > above);
    if inside {
        return None;
    }
    if !number.is_finite() {
        return Some((format!("is {written}, and must be finite"), advice("a finite number", schema)));
    }
    let range = match (above, min, max) {
        (Some(above), ..) => format!("above {above}"),
        (None, Some(min), Some(max)) if min == max => min.to_string(),
        (None, Some(min), Some(max)) => format!("between {min} and {max}"),
        (None, Some(min), None) => format!("{min} or more"),
        (None, None, Some(max)) => format!("{max} or less"),
        (None, None, None) => "a number".to_owned(),
    };
    Some((format!("is {written}, and must be {range}"), advice(&format!("a number {range}"), schema)))
}

fn wrong_type(found: &Content, wanted: &str, schema: &Value, written: &str) -> Problem {
    let expected = match wanted {
        "object" => "a table",
        "array" => "an array",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        _ => "a string",
    };
    let next = match (found, wanted) {
        (Content::String(text), "integer") if text.parse::<i64>().is_ok() => format!("remove the quotes: `{text}`"),
        (Content::String(text), "number") if text.parse::<f64>().is_ok() => format!("remove the quotes: `{text}`"),
        (Content::String(text), "boolean") if ["true", "false"].contains(&text.as_str()) => {
            format!("remove the quotes: `{text}`")
        }
        (Content::Integer(_) | Content::Float(_) | Content::Boolean(_), "string") => {
            format!("strings have quotes: `\"{written}\"`, if that is meant")
        }
        (Content::Float(number), "integer") if number.fract() == 0.0 && number.abs() < 1e15 => {
            format!("write `{number}`")
        }
        (Content::String(_) | Content::Integer(_) | Content::Float(_), "array") => format!("write `[{written}]`"),
        (Content::Table(_), "array") => {
            "such tables are written whole: change them in the manifest, not one key from outside".to_owned()
        }
        _ => advice(expected, schema),
    };
    (format!("is {}, not {expected}", described(found)), next)
}

const fn described(found: &Content) -> &'static str {
    match found {
        Content::String(_) => "a string",
        Content::Integer(_) => "a whole number",
        Content::Float(_) => "a fraction",
        Content::Boolean(_) => "`true` or `false`",
        Content::Foreign(what) => what,
        Content::Array(_) => "an array",
        Content::Table(_) => "a table",
    }
}

/// What to write, and what it is for.
fn advice(what: &str, schema: &Value) -> String {
    let words = words(schema);
    if !words.is_empty() {
        return format!("choose one of {}", listed(&words));
    }
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    let sentence = description.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) => format!("write {what}: {}{}", first.to_lowercase(), letters.as_str()),
        None => format!("write {what}"),
    }
}
