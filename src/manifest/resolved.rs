//! A manifest with every value written out and the layer it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Manifest;
use super::parts::Parts;
use crate::base::digest::Digest;
use crate::base::explain::Place;
use crate::document::{Layer, Layers, Origins, Source};

/// A setting that bears on the results and that the manifest and its schema's defaults do not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub key: String,
    pub value: String,
    /// What it would have been; absent where it would not have been set.
    pub instead_of: Option<String>,
    /// The layer, and where in it.
    pub origin: String,
}

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
    /// What was set from outside the manifest.
    pub overrides: Vec<Override>,
    digest: Digest,
    layers: Layers,
    origins: Origins,
    /// Paths of other layers as they were given, by key; the manifest's settings have them as seen from
    /// its own folder, where they stay true without the layer.
    given: BTreeMap<String, PathBuf>,
}

impl Resolved {
    pub(super) fn new(path: &Path, text: String, mut manifest: Manifest, layers: Layers, origins: Origins) -> Self {
        let given = rebase(&mut manifest, path, |key| layers.folder(layers.of(&origins, key)));
        let table = table(&manifest);
        let origin = |key: &str| origin(&layers, layers.of(&origins, key), path, key);
        let mut written_out = String::from("# Every setting of this run, and the layer it came from.\n\n");
        write_table(&mut written_out, "", &table, &|key| format!("  # {}", origin(key)));
        let from = |key: &str| outside_origin(&layers, path, key);
        let overrides = overrides(&table, &layers, &from);
        Self {
            written_out,
            overrides,
            digest: Digest::of(written(&table).as_bytes()),
            path: path.to_owned(),
            text,
            manifest,
            layers,
            origins,
            given,
        }
    }

    /// A path that `key` holds, seen from the working folder: files name paths relative to
    /// themselves, the environment and the command line relative to where they are.
    #[must_use]
    pub fn locate(&self, key: &str, relative: &Path) -> PathBuf {
        let given = self.given.get(key).map_or(relative, PathBuf::as_path);
        self.layers.folder(self.layers.of(&self.origins, key)).join(given)
    }

    /// Where a key was written; for one that was not, the nearest table above it.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        self.layers.place(key)
    }

    /// Identifies the settings by their values, whatever layer each came from.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// Every setting as TOML without comments, and the digest that a run by them has ([`Resolved::digest`]).
#[must_use]
pub fn settings_text(manifest: &Manifest) -> (String, Digest) {
    let text = written(&table(manifest));
    let digest = Digest::of(text.as_bytes());
    (text, digest)
}

fn table(manifest: &Manifest) -> Table {
    Table::try_from(manifest).expect("a manifest came from TOML and goes back to it")
}

fn written(table: &Table) -> String {
    let mut values = String::new();
    write_table(&mut values, "", table, &|_| String::new());
    values
}

/// Makes every path relative to the manifest's folder, whatever folder its layer means; returns those that
/// changed as they were.
fn rebase<'a>(manifest: &mut Manifest, path: &Path, folder: impl Fn(&str) -> &'a Path) -> BTreeMap<String, PathBuf> {
    let home = path.parent().unwrap_or(Path::new(""));
    let paths: [(&str, Option<&mut PathBuf>); 6] = [
        ("model.path", Some(&mut manifest.model.path)),
        ("dataset.path", manifest.dataset.path.as_mut()),
        ("dataset.classes_file", manifest.dataset.classes_file.as_mut()),
        ("calibration.list", manifest.calibration.list.as_mut()),
        ("evaluation.list", manifest.evaluation.list.as_mut()),
        ("report.template", manifest.report.template.as_mut()),
    ];
    let mut given = BTreeMap::new();
    for (key, path) in paths.into_iter().filter_map(|(key, path)| Some((key, path?))) {
        let folder = folder(key);
        if folder != home && path.is_relative() {
            let seen =
                absolute(home).zip(absolute(&folder.join(&*path))).map(|(home, target)| relative(&home, &target));
            given.insert(key.to_owned(), std::mem::replace(path, seen.unwrap_or_else(|| path.clone())));
        }
    }
    given
}

/// Without `.` and `..`, which a path from elsewhere could not climb over.
fn absolute(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok()?;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    Some(plain)
}

/// `target` as seen from `home`, both absolute.
#[must_use]
pub fn relative(home: &Path, target: &Path) -> PathBuf {
    let (home, target): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (home.components().collect(), target.components().collect());
    let shared = home.iter().zip(&target).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, home.len() - shared);
    up.chain(target[shared..].iter().copied()).collect()
}

/// `manifest, digits.toml:12`; files are named relative to the manifest's folder.
fn origin(layers: &Layers, source: &Source, manifest: &Path, key: &str) -> String {
    let names: Vec<&str> = key.split('.').collect();
    // A value of an array's table may come from its type and not from the table.
    let found = source.find(&names).filter(|_| source.layer != Layer::Default);
    let Some(found) = found else { return Layer::Default.word().to_owned() };
    let line = source.line(found.span().start);
    let word = source.layer.word();
    match source.layer {
        Layer::Default => word.to_owned(),
        Layer::Project => format!("{word}, {}:{line}", beside(layers.folder(source), manifest, &source.name)),
        Layer::Manifest => format!("{word}, {}:{line}", manifest.file_name().unwrap_or_default().display()),
        Layer::Sweep => format!("{word}, {}:{line}", Path::new(&source.name).file_name().unwrap_or_default().display()),
        Layer::Environment | Layer::CommandLine => {
            let written = source.text.lines().nth(line - 1).and_then(|line| line.split_once('=')).map_or("", |l| l.0);
            let option = if source.layer == Layer::CommandLine { "--set " } else { "" };
            format!("{word}, {option}{written}")
        }
    }
}

/// The outside layer that has the key, or the nearest table above it.
fn outside_origin(layers: &Layers, manifest: &Path, key: &str) -> String {
    let mut names: Vec<&str> = key.split('.').collect();
    while !names.is_empty() {
        let outside = layers.sources.iter().rev().filter(|source| source.layer.is_outside());
        if let Some(source) = outside.into_iter().find(|source| source.find(&names).is_some()) {
            return origin(layers, source, manifest, &names.join("."));
        }
        names.pop();
    }
    "outside".to_owned()
}

/// The name of a file as seen from the manifest's folder, which it lies in or above.
fn beside(folder: &Path, manifest: &Path, name: &str) -> String {
    let depth = |path: &Path| path.canonicalize().map_or(0, |path| path.components().count());
    let home = manifest.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let file = Path::new(name).file_name().unwrap_or_default().display().to_string();
    "../".repeat(depth(home).saturating_sub(depth(folder))) + &file
}

/// Keys that name and describe; everything else bears on the results.
const NOT_SCIENCE: [&str; 5] = ["schema", "name", "description", "record", "report"];

/// Every value that the outside layers changed, added or took away: the settings as they are against
/// what the manifest and the defaults alone would give.
fn overrides(table: &Table, layers: &Layers, origin: &dyn Fn(&str) -> String) -> Vec<Override> {
    let inside = inside(layers).unwrap_or_default();
    let (mut now, mut before) = (BTreeMap::new(), BTreeMap::new());
    flatten(table, "", &mut now);
    flatten(&inside, "", &mut before);
    let science = |key: &&String| !NOT_SCIENCE.contains(&key.split('.').next().unwrap_or(key));
    let keys: BTreeSet<&String> = now.keys().chain(before.keys()).filter(science).collect();
    let changed = keys.into_iter().filter(|key| now.get(*key) != before.get(*key));
    let outside = |key: &String| Override {
        key: key.clone(),
        value: now.get(key).cloned().unwrap_or_else(|| "not set".to_owned()),
        instead_of: before.get(key).cloned(),
        origin: origin(key),
    };
    changed.map(outside).collect()
}

/// Every value that is not a table, by its dotted path.
fn flatten(table: &Table, path: &str, leaves: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(inner) => flatten(inner, &full, leaves),
            Value::Array(items) if is_section(value) => {
                for (at, item) in items.iter().filter_map(Value::as_table).enumerate() {
                    flatten(item, &format!("{full}.{at}"), leaves);
                }
            }
            plain => drop(leaves.insert(full, plain.to_string())),
        }
    }
}

/// What follows a value, by its full key.
type Note<'a> = dyn Fn(&str) -> String + 'a;

/// Plain values first, then sub-tables, as TOML requires.
fn write_table(out: &mut String, path: &str, table: &Table, note: &Note<'_>) {
    write_section(out, path, path, table, note);
}

/// `header` is the section's name in TOML, `path` also numbers the tables of arrays.
fn write_section(out: &mut String, header: &str, path: &str, table: &Table, note: &Note<'_>) {
    let join = |path: &str, key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        let _ = writeln!(out, "{key} = {value}{}", note(&join(path, key)));
    }
    for (key, value) in table {
        let (header, path) = (join(header, key), join(path, key));
        match value {
            Value::Table(inner) => {
                let _ = writeln!(out, "\n[{header}]");
                write_section(out, &header, &path, inner, note);
            }
            Value::Array(items) if is_section(value) => {
                for (position, item) in items.iter().filter_map(Value::as_table).enumerate() {
                    let _ = writeln!(out, "\n[[{header}]]");
                    write_section(out, &header, &format!("{path}.{position}"), item, note);
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

/// The settings by the manifest and the defaults alone, where those are whole.
fn inside(layers: &Layers) -> Option<Table> {
    let figment = layers.merged_of(|layer| !layer.is_outside());
    let manifest = Parts::of(&figment.extract().ok()?).whole().ok()?;
    Table::try_from(&manifest).ok()
}
