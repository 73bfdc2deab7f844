//! The form of a manifest as a JSON Schema: of the types, with the defaults written in. Editors, the
//! reference page and the structural check all read this one.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use toml::Table;

use super::{Manifest, defaults};

static SCHEMA: LazyLock<Value> = LazyLock::new(generate);

/// The JSON Schema (draft 2020-12) of a manifest.
#[must_use]
pub fn json_schema() -> &'static Value {
    &SCHEMA
}

fn generate() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Manifest>().to_value();
    without_null(&mut schema);
    let defaults: Table = defaults::DEFAULTS.parse().expect("the defaults are TOML");
    with_defaults(&mut schema, &defaults);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("requant manifest"));
    }
    schema
}

/// TOML has no null: an optional key is one that may be absent.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(kinds)) = fields.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    fields.insert("type".into(), only);
                }
            }
            if fields.get("default") == Some(&Value::Null) {
                fields.remove("default");
            }
            if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&json!("null")));
                if let [only] = choices.as_slice() {
                    let only = only.as_object().cloned().unwrap_or_default();
                    fields.remove("anyOf");
                    only.into_iter().for_each(|(key, value)| {
                        fields.entry(key).or_insert(value);
                    });
                }
            }
            fields.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// A key with a default need not be given; nor need a table that has nothing else to ask.
fn with_defaults(schema: &mut Value, defaults: &Table) {
    for (key, default) in defaults {
        let property = schema.get_mut("properties").and_then(|properties| properties.get_mut(key));
        let property = property.expect("a default belongs to a key");
        let needed = if let toml::Value::Table(inner) = default {
            with_defaults(property, inner);
            !required(property).is_empty()
        } else {
            let value = serde_json::to_value(default).expect("a default is plain data");
            property.as_object_mut().expect("a property is a schema").insert("default".into(), value);
            false
        };
        if let (false, Some(Value::Array(required))) = (needed, schema.get_mut("required")) {
            required.retain(|name| name != key);
        }
    }
}

/// The keys that a table must have.
pub(super) fn required(schema: &Value) -> Vec<&str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The keys that a table may have, where they are a closed list.
pub(super) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// The words of a closed choice.
pub(super) fn words(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let described = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let described = described.filter_map(|choice| choice.get("const"));
    listed.chain(described).filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_written_in_and_nulls_are_gone() {
        let schema = json_schema();
        let threads = &schema["properties"]["compute"]["properties"]["threads"];
        assert_eq!(
            (&threads["default"], &threads["type"], &threads["maximum"]),
            (&json!(2), &json!("integer"), &json!(1024))
        );
        assert!(!required(schema).contains(&"compute") && required(schema).contains(&"calibration"));
        assert_eq!(required(&schema["properties"]["calibration"]), ["splits", "strategy"]);
        assert!(!schema.to_string().contains("null"), "{schema}");
        assert!(words(&schema["properties"]["variant"]["items"]["properties"]["engine"]).contains(&"fbgemm"));
    }
}
