//! A reference page of keys, from a schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::form::{properties, required, words};

/// The page as markdown: a head, and a table of keys for each table of the schema.
#[must_use]
pub fn reference_page(head: &str, schema: &Value) -> String {
    let mut page = String::from(head);
    table(&mut page, schema, "", false);
    page
}

fn table(page: &mut String, schema: &Value, path: &str, is_array: bool) {
    let title = match (path, is_array) {
        ("", _) => "Top level".to_owned(),
        (path, true) => format!("`[[{path}]]`"),
        (path, false) => format!("`[{path}]`"),
    };
    let _ = write!(
        page,
        "\n## {title}\n\n{}\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
        description(schema)
    );
    let mut below = Vec::new();
    for (key, inner) in properties(schema).into_iter().flatten() {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let items = inner.get("items").filter(|items| properties(items).is_some());
        if properties(inner).is_some() || items.is_some() {
            below.push((full, items.unwrap_or(inner), items.is_some()));
            continue;
        }
        let default = match inner.get("default") {
            Some(default) if !is_nothing(default) => format!("`{default}`"),
            _ if required(schema).contains(&key.as_str()) => "required".to_owned(),
            _ => String::new(),
        };
        let _ = writeln!(page, "| `{key}` | {} | {default} | {} |", kind(inner), meaning(inner));
    }
    below.into_iter().for_each(|(path, inner, is_array)| table(page, inner, &path, is_array));
}

fn is_nothing(default: &Value) -> bool {
    matches!(default, Value::String(text) if text.is_empty())
        || matches!(default, Value::Array(items) if items.is_empty())
        || matches!(default, Value::Object(fields) if fields.is_empty())
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

/// The description, and of a closed choice every word with its own.
fn meaning(schema: &Value) -> String {
    let choices = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let choice = |choice: &Value| {
        let word = choice.get("const").and_then(Value::as_str).unwrap_or_default();
        format!("`{word}`: {}", description(choice))
    };
    std::iter::once(description(schema)).chain(choices.map(choice)).collect::<Vec<_>>().join("<br>")
}

fn kind(schema: &Value) -> String {
    let number = |name: &str| schema.get(name).map(ToString::to_string);
    match schema.get("type").and_then(Value::as_str).unwrap_or("string") {
        "array" => {
            let inner = schema.get("items").map(kind).unwrap_or_default();
            match (number("minItems"), number("maxItems")) {
                (Some(min), Some(max)) if min == max => format!("{min} × {inner}"),
                _ => format!("list of {inner}"),
            }
        }
        "object" => "table of strings".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        "string" if !words(schema).is_empty() => "one of".to_owned(),
        "string" => match schema.get("pattern").and_then(Value::as_str) {
            Some(pattern) if pattern.contains("a-fA-F") => "SHA-256".to_owned(),
            _ => "string".to_owned(),
        },
        name => {
            match (number("minimum").or(number("exclusiveMinimum").map(|n| format!("above {n}"))), number("maximum")) {
                (Some(min), Some(max)) if min == max => format!("`{min}`"),
                (Some(min), Some(max)) if max.len() < 12 => format!("{name}, {min} to {max}"),
                (Some(min), _) if min.starts_with("above") => format!("{name} {min}"),
                (Some(min), _) => format!("{name} from {min}"),
                _ => name.to_owned(),
            }
        }
    }
}
