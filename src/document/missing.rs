//! Keys that must be there and that no layer has.

use figment::value::{Dict, Tag, Value as Merged};
use serde_json::Value;

use super::form;
use super::layers::Layers;
use crate::base::explain::{Cause, Diagnostic};

/// Keys that must be there and are in no layer.
pub(crate) fn missing(layers: &Layers, merged: Dict, schema: &Value, dropped: &[String]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    missing_in(&Merged::Dict(Tag::Default, merged), schema, "", &mut |absent| {
        if is_within(dropped, &absent.path) {
            return;
        }
        let table = absent.path.rsplit_once('.').map_or("", |(table, _)| table);
        // A table that only the defaults know was not written at all.
        let (message, next) = if table.is_empty() || layers.is_written(table) {
            absent.described()
        } else {
            missing_table(table, absent.parent)
        };
        problems.push(Diagnostic::error(Cause::Input, message).next(next).at(layers.place(&absent.path)));
    });
    problems
}

/// Whether a path, or something below it, is among the dropped ones.
pub(crate) fn is_within(dropped: &[String], path: &str) -> bool {
    dropped
        .iter()
        .any(|dropped| dropped.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// A key that must be there and is not.
struct Absent<'a> {
    path: String,
    key: &'a str,
    schema: &'a Value,
    parent: &'a Value,
}

impl Absent<'_> {
    fn described(&self) -> (String, String) {
        let Self { path, key, schema, .. } = self;
        if form::properties(schema).is_some() {
            missing_table(path, schema)
        } else if schema.get("items").is_some_and(|items| items.get("properties").is_some()) {
            (format!("missing table `[[{path}]]`"), format!("add at least one `[[{path}]]`"))
        } else {
            (format!("missing key `{key}`"), format!("add `{key} = {}`", example(schema)))
        }
    }
}

fn missing_table(path: &str, schema: &Value) -> (String, String) {
    let needs: Vec<String> = form::required(schema).iter().map(|key| format!("`{key}`")).collect();
    (format!("missing table `[{path}]`"), format!("add it, with {}", needs.join(" and ")))
}

fn missing_in(value: &Merged, schema: &Value, path: &str, report: &mut dyn FnMut(&Absent<'_>)) {
    match value {
        Merged::Dict(_, entries) => {
            for (key, inner) in form::properties(schema).into_iter().flatten() {
                let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match entries.get(key) {
                    Some(value) => missing_in(value, inner, &full, report),
                    None if form::required(schema).contains(&key.as_str()) => {
                        report(&Absent { path: full, key, schema: inner, parent: schema });
                    }
                    None => {}
                }
            }
        }
        Merged::Array(_, items) => {
            let Some(inner) = schema.get("items") else { return };
            items.iter().enumerate().for_each(|(at, item)| missing_in(item, inner, &format!("{path}.{at}"), report));
        }
        _ => {}
    }
}

fn example(schema: &Value) -> String {
    if let Some(word) = form::words(schema).first() {
        return format!("\"{word}\"");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => "[…]".to_owned(),
        Some("string") => "\"…\"".to_owned(),
        _ => schema.get("minimum").map_or_else(|| "…".to_owned(), ToString::to_string),
    }
}
