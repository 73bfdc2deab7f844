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
}

impl Resolved {
    pub(super) fn new(path: &Path, text: String, manifest: Manifest, origin: impl Fn(&str) -> String) -> Self {
        let table = Table::try_from(&manifest).expect("a manifest came from TOML and goes back to it");
        Self { written_out: write_out(&table, &origin), path: path.to_owned(), text, manifest }
    }

    /// A path of the manifest, seen from the working folder.
    #[must_use]
    pub fn locate(&self, relative: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(relative)
    }

    /// Identifies the settings, whatever file they came from.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.written_out.as_bytes())
    }
}

fn write_out(table: &Table, origin: &dyn Fn(&str) -> String) -> String {
    let mut out = String::from("# Every setting of this run, and the layer it came from.\n\n");
    write_table(&mut out, "", table, origin);
    out
}

/// Plain values first, then sub-tables, as TOML requires.
fn write_table(out: &mut String, path: &str, table: &Table, origin: &dyn Fn(&str) -> String) {
    let full = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        let _ = writeln!(out, "{key} = {value}  # {}", origin(&full(key)));
    }
    for (key, value) in table {
        let path = full(key);
        match value {
            Value::Table(inner) => {
                let _ = writeln!(out, "\n[{path}]");
                write_table(out, &path, inner, origin);
            }
            Value::Array(items) if is_section(value) => {
                for item in items.iter().filter_map(Value::as_table) {
                    let _ = writeln!(out, "\n[[{path}]]");
                    write_table(out, &path, item, &|_| "manifest".to_owned());
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
