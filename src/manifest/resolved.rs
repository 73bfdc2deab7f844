//! A manifest with every value written out and the layer it came from.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Manifest;
use crate::base::digest::Digest;

/// What a run obeys, and the text it came from.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub manifest: Manifest,
    /// The file, as given.
    pub path: PathBuf,
    /// The file's text, verbatim.
    pub text: String,
    /// Every value with its layer, as `resolved.toml`.
    pub written_out: String,
    digest: Digest,
}

impl Resolved {
    pub(super) fn new(path: &Path, text: String, manifest: Manifest, origin: impl Fn(&str) -> String) -> Self {
        let table = Table::try_from(&manifest).expect("a manifest came from TOML and goes back to it");
        let given: Table = text.parse().unwrap_or_default();
        let mut written_out = String::from("# Every setting of this run, and the layer it came from.\n\n");
        write_table(&mut written_out, "", &table, Some(&given), &|layer, key| {
            format!("  # {}", layer.map_or_else(|| origin(key), str::to_owned))
        });
        let mut values = String::new();
        write_table(&mut values, "", &table, None, &|_, _| String::new());
        Self { written_out, digest: Digest::of(values.as_bytes()), path: path.to_owned(), text, manifest }
    }

    /// A path of the manifest, seen from the working folder.
    #[must_use]
    pub fn locate(&self, relative: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(relative)
    }

    /// Identifies the settings by their values, whatever layer each came from.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// What follows a value: its layer, where that is known already, and its full key.
type Note<'a> = dyn Fn(Option<&str>, &str) -> String + 'a;

/// Plain values first, then sub-tables, as TOML requires. `note` follows each value; inside an array
/// of tables, where layers cannot mix, a value is the manifest's own if `given` has it.
fn write_table(out: &mut String, path: &str, table: &Table, given: Option<&Table>, note: &Note<'_>) {
    let full = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        let _ = writeln!(out, "{key} = {value}{}", note(None, &full(key)));
    }
    for (key, value) in table {
        let path = full(key);
        let below = given.and_then(|given| given.get(key));
        match value {
            Value::Table(inner) => {
                let _ = writeln!(out, "\n[{path}]");
                write_table(out, &path, inner, below.and_then(Value::as_table), note);
            }
            Value::Array(items) if is_section(value) => {
                for (position, item) in items.iter().filter_map(Value::as_table).enumerate() {
                    let _ = writeln!(out, "\n[[{path}]]");
                    let own = below.and_then(|array| array.get(position)).and_then(Value::as_table);
                    for (key, value) in item {
                        let layer = if own.is_some_and(|own| own.contains_key(key)) { "manifest" } else { "default" };
                        let _ = writeln!(out, "{key} = {value}{}", note(Some(layer), key));
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        _ => false,
    }
}
