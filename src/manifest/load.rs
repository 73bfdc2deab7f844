//! How the layers of a manifest are read, checked and settled.
//!
//! Each layer is checked on its own, so that a problem points into the text that has it.

use std::path::{Path, PathBuf};

use figment::value::Dict;

use super::defaults::{DEFAULTS, SCHEMA};
use super::parts::Parts;
use super::resolved::Resolved;
use super::{rules, schema};
use crate::base::explain::{Cause, Diagnostic, Failure, Place};
use crate::base::files;
use crate::document::{self, Checked, Content, Layer, Layers, Node, Origins, Source, shortened};

/// The file that holds a project's own defaults.
pub const PROJECT_FILE: &str = "requant.toml";

/// Manifests are written by people; anything longer is a mistake.
const MAX_BYTES: u64 = 4 << 20;

/// Settings from outside every file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Environment variables, name and value; only those that start with `REQUANT_` count.
    pub environment: Vec<(String, String)>,
    /// `KEY=VALUE`, as given to `--set`.
    pub set: Vec<String>,
}

/// Reads, layers and validates a manifest. A failure holds every problem of every layer.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Resolved, Failure> {
    load_bytes(path, files::read_at_most(path, MAX_BYTES)?, overrides)
}

/// As [`load`], of a manifest's bytes; `path` is where it lies or would lie.
pub fn load_bytes(path: &Path, bytes: Vec<u8>, overrides: &Overrides) -> Result<Resolved, Failure> {
    resolve(path, path, bytes, Some(overrides))
}

/// Reads the `resolved.toml` of a run, which says everything: no project file, environment or command
/// line adds to it. `path` is where the run's manifest lies or would lie, `named` the file that was read.
pub fn restore(path: &Path, named: &Path, bytes: Vec<u8>) -> Result<Resolved, Failure> {
    resolve(path, named, bytes, None)
}

/// Without `overrides`, the text and the defaults alone.
fn resolve(path: &Path, named: &Path, bytes: Vec<u8>, overrides: Option<&Overrides>) -> Result<Resolved, Failure> {
    let text = text(named, bytes)?;
    if let Some(place) = sweep_in(named, &text) {
        let message = format!("`{}` is a sweep, not an experiment", named.display());
        let next = format!("`requant sweep {}` runs its points", named.display());
        return Err(Diagnostic::error(Cause::Input, message).next(next).at(place).into());
    }
    gather(path, named, &text, overrides)?.settle(path, text)
}

/// As [`load`] does it, the layers of a manifest that others will stand between.
pub(crate) fn beneath(path: &Path, overrides: &Overrides) -> Result<(Gathered, String), Failure> {
    let text = text(path, files::read_at_most(path, MAX_BYTES)?)?;
    Ok((gather(path, path, &text, Some(overrides))?, text))
}

/// The text of a file of settings, of a sensible length.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    text(path, files::read_at_most(path, MAX_BYTES)?)
}

/// Where a text says that it is a sweep, if it does.
pub(crate) fn sweep_in(path: &Path, text: &str) -> Option<Place> {
    // Every manifest is asked this, and nearly none has the word.
    if !text.contains("sweep") {
        return None;
    }
    let (source, _) = Source::file(Layer::Sweep, path.display().to_string(), text);
    let span = source.find(&["sweep"])?.span();
    Some(source.place(span))
}

fn position(problem: &Diagnostic) -> Option<(&str, usize)> {
    problem.place.as_ref().map(|place| (place.file.as_str(), place.span.start))
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let start = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let span = start..start + char::REPLACEMENT_CHARACTER.len_utf8();
        let place = Place { file: path.display().to_string(), text: text.into(), span };
        Diagnostic::error(Cause::Input, "not UTF-8").next("save the file as UTF-8").at(place).into()
    })
}

/// A line with a syntax error is not understood, nor is a value that the parser made up: what
/// seems wrong with those is not worth saying.
fn keep_what_was_read(problems: &mut Vec<Diagnostic>, syntax: &[Diagnostic]) {
    let broken: Vec<_> = syntax.iter().filter_map(|problem| problem.place.as_ref().map(Place::whole_lines)).collect();
    let was_read = |place: &Place| {
        place.span != (0..0)
            && !broken.iter().any(|(file, lines)| *file == place.file && lines.contains(&place.span.start))
    };
    problems.retain(|problem| problem.place.as_ref().is_none_or(was_read));
}

/// The layers, each held against the schema on its own.
#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    pub(crate) layers: Layers,
    /// What is not TOML.
    syntax: Vec<Diagnostic>,
    /// What is no assignment, and what the schema does not allow.
    problems: Vec<Diagnostic>,
    /// Dotted paths that were left out for it.
    dropped: Vec<String>,
}

impl Gathered {
    fn vetted(mut layers: Layers, syntax: Vec<Diagnostic>, problems: Vec<Diagnostic>) -> Result<Self, Failure> {
        if let Some(problem) = foreign_schema(&layers) {
            return Err(problem.into());
        }
        let sources = std::mem::take(&mut layers.sources);
        let mut vetted = Self { layers, syntax, problems, dropped: Vec::new() };
        sources.into_iter().for_each(|source| {
            let source = vetted.vet(source);
            vetted.layers.sources.push(source);
        });
        Ok(vetted)
    }

    fn vet(&mut self, mut source: Source) -> Source {
        let Checked { problems, dropped } = document::check(&mut source, schema::json_schema());
        self.problems.extend(problems);
        self.dropped.extend(dropped);
        source
    }

    /// The tables of `variant`, of the last layer that has them.
    pub(crate) fn variants(&self) -> Option<&[Node]> {
        let found = self.layers.sources.iter().rev().find_map(|source| source.find(&["variant"]))?;
        match &found.value.content {
            Content::Array(variants) => Some(variants),
            _ => None,
        }
    }

    /// With one more layer, in its place by rank, whose paths start from `folder`.
    pub(crate) fn with(&self, source: Source, folder: &Path) -> Self {
        let mut more = self.clone();
        let source = more.vet(source);
        let place = more.layers.sources.iter().position(|other| other.layer > source.layer);
        let place = place.unwrap_or(more.layers.sources.len());
        more.layers.sources.insert(place, source);
        more.layers.folders.insert(place, folder.to_owned());
        more
    }

    /// The layers as one, or every problem of theirs.
    pub(crate) fn settle(self, path: &Path, text: String) -> Result<Resolved, Failure> {
        let Self { layers, syntax, mut problems, dropped } = self;
        let figment = layers.merged();
        let merged: Dict = figment.extract().unwrap_or_default();
        let parts = Parts::of(&merged);
        if syntax.is_empty() {
            problems.extend(rules::check(&parts, &layers, &dropped));
            problems.extend(document::missing(&layers, merged.clone(), schema::json_schema(), &dropped));
        } else {
            keep_what_was_read(&mut problems, &syntax);
            problems.extend(syntax);
        }
        if problems.is_empty() {
            let origins = Origins::of(figment, &merged);
            return match parts.whole() {
                Ok(manifest) => Ok(Resolved::new(path, text, manifest, layers, origins)),
                Err(error) => Err(Diagnostic::error(Cause::Input, error.to_string()).at(layers.place("")).into()),
            };
        }
        problems.sort_by(|a, b| position(a).cmp(&position(b)));
        problems.dedup();
        Err(shortened(problems).into())
    }
}

fn gather(path: &Path, named: &Path, text: &str, overrides: Option<&Overrides>) -> Result<Gathered, Failure> {
    let home = path.parent().unwrap_or(Path::new("")).to_owned();
    let (default, _) = Source::file(Layer::Default, "default".into(), DEFAULTS);
    let mut layers = Layers { sources: vec![default], folders: vec![home.clone()] };
    let (mut syntax, mut problems) = (Vec::new(), Vec::new());
    let mut add = |folder: &Path, source: Source| {
        layers.sources.push(source);
        layers.folders.push(folder.to_owned());
    };
    if let Some(project) = overrides.and_then(|_| project_file(&home)).filter(|project| project != path) {
        let text = files::read_text(&project)?;
        let (source, found) = Source::file(Layer::Project, project.display().to_string(), &text);
        add(project.parent().unwrap_or(&home), source);
        syntax.extend(found);
    }
    let (source, found) = Source::file(Layer::Manifest, named.display().to_string(), text);
    add(&home, source);
    syntax.extend(found);
    let none = Overrides::default();
    let overrides = overrides.unwrap_or(&none);
    let named = |(name, _): &&(String, String)| name.starts_with(PREFIX);
    let mut variables: Vec<_> = overrides.environment.iter().filter(named).collect();
    variables.sort();
    let lines: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={}", one_line(value))).collect();
    let (source, found) = Source::assignments(Layer::Environment, &lines, variable_path);
    add(Path::new(""), source);
    problems.extend(found);
    let lines: Vec<String> = overrides.set.iter().map(|line| one_line(line)).collect();
    let (source, found) = Source::assignments(Layer::CommandLine, &lines, str::to_owned);
    add(Path::new(""), source);
    problems.extend(found);
    Gathered::vetted(layers, syntax, problems)
}

const PREFIX: &str = "REQUANT_";

/// `REQUANT_COMPUTE__THREADS` → `compute.threads`.
fn variable_path(name: &str) -> String {
    name.trim_start_matches(PREFIX).to_ascii_lowercase().replace("__", ".")
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// The nearest project file: in the manifest's folder or one above it.
fn project_file(home: &Path) -> Option<PathBuf> {
    let start = if home.as_os_str().is_empty() { Path::new(".") } else { home };
    let above = start.canonicalize().ok()?.ancestors().count();
    let mut folder = start.to_owned();
    for _ in 0..above {
        let candidate = folder.join(PROJECT_FILE);
        if candidate.is_file() {
            return Some(candidate.strip_prefix(".").map(Path::to_owned).unwrap_or(candidate));
        }
        folder.push("..");
    }
    None
}

/// Another schema may mean other keys: nothing more can be said of such a manifest.
fn foreign_schema(layers: &Layers) -> Option<Diagnostic> {
    let source = layers.sources.iter().rfind(|source| source.find(&["schema"]).is_some())?;
    let found = source.find(&["schema"])?;
    let Content::Integer(number) = found.value.content else { return None };
    (number != i64::from(SCHEMA)).then(|| {
        let next = if number > i64::from(SCHEMA) { "use a newer requant" } else { "write `schema = 1`" };
        let message = format!("`schema` is {number}, and this requant reads schema {SCHEMA}");
        Diagnostic::error(Cause::Input, message).next(next).at(source.place(found.span()))
    })
}
