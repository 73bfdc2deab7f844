//! A sweep's manifest: a base experiment and axes over any of its keys.
//!
//! The values of a point are a layer of settings between the base's and those from outside, so that what is
//! wrong with one is told where the sweep's file has it.

mod form;
pub mod outcome;
pub mod plan;
mod record;

pub use plan::Plan;
pub use record::SweepRecord;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::explain::{Cause, Diagnostic, Failure, Place};
use crate::base::text::nearest;
use crate::document::{Content, Entry, Layer, Node, Source, empty, insert};
use crate::manifest::Resolved;
use crate::manifest::load::{self, Gathered, Overrides};

/// Beyond so many points nobody waits for the end.
const MOST_POINTS: usize = 100_000;

/// A sweep as it is written.
#[derive(Debug, Clone)]
pub struct Sweep {
    pub name: String,
    pub description: String,
    /// The file, as given.
    pub path: PathBuf,
    /// Its text, verbatim.
    pub text: String,
    /// In the order of the file.
    pub axes: Vec<Axis>,
    /// What every point has instead of the base's: keys with one value each.
    fixed: Vec<Axis>,
    /// The base experiment, seen from the working folder.
    pub base: PathBuf,
    source: Source,
    /// Points to leave out: by axis, the values that are meant.
    excluded: Vec<Vec<(usize, Vec<bool>)>>,
}

/// A key, and the values that it takes in turn.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Dotted, as a person reads it.
    pub key: String,
    /// The values as words, for tables.
    pub words: Vec<String>,
    /// Axes of one number move together.
    pub group: usize,
    names: Vec<String>,
    written: Range<usize>,
    values: Vec<Node>,
}

impl Sweep {
    /// Whether a file's text is a sweep's and not an experiment's.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        load::sweep_in(Path::new(""), text).is_some()
    }

    /// Reads a sweep; a failure holds every problem of its form.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        Self::read(path, load::read(path)?)
    }

    /// As [`Sweep::load`], of a file's text; `path` is where it lies or would lie.
    pub fn read(path: &Path, text: String) -> Result<Self, Failure> {
        form::read(path, text)
    }

    /// The points in order, the last axis fastest: for each, the place of its value on every axis.
    #[must_use]
    pub fn points(&self) -> Vec<Vec<usize>> {
        let all = self.combinations();
        all.into_iter().filter(|point| !self.excluded.iter().any(|rule| is_meant(rule, point))).collect()
    }

    fn combinations(&self) -> Vec<Vec<usize>> {
        let mut points = vec![vec![0; self.axes.len()]];
        for group in self.axes.chunk_by(|a, b| a.group == b.group) {
            let with = |point: &Vec<usize>, at: usize| {
                let move_along = |(axis, was): (&Axis, &usize)| if axis.group == group[0].group { at } else { *was };
                self.axes.iter().zip(point).map(move_along).collect::<Vec<usize>>()
            };
            let each = 0..group[0].values.len();
            points = points.iter().flat_map(|point| each.clone().map(move |at| with(point, at))).collect();
        }
        points
    }

    /// A point's values as words, by axis.
    #[must_use]
    pub fn words(&self, point: &[usize]) -> Vec<String> {
        self.axes.iter().zip(point).map(|(axis, &at)| axis.words[at].clone()).collect()
    }

    /// Where an axis is written.
    #[must_use]
    pub fn place(&self, axis: &Axis) -> Place {
        self.source.place(axis.written.clone())
    }

    /// The base's layers, read once for all points. Pins of what an axis changes are left out: they are the base's
    /// own, and no point could hold them.
    pub fn base(&self, overrides: &Overrides) -> Result<Base<'_>, Failure> {
        if Self::is_one(&load::read(&self.base)?) {
            let message = format!("the base `{}` is a sweep itself", self.base.display());
            let place = self.source.find(&["sweep", "base"]).map(|found| self.source.place(found.span()));
            let problem = Diagnostic::error(Cause::Input, message).next("name an experiment");
            return Err(Diagnostic { place, ..problem }.into());
        }
        let (mut gathered, text) = load::beneath(&self.base, overrides)?;
        let keys = || self.fixed.iter().chain(&self.axes);
        let unknown: Vec<Diagnostic> = keys().filter_map(|key| self.no_variant(key, &gathered)).collect();
        if !unknown.is_empty() {
            return Err(unknown.into());
        }
        let void = void_pins(&keys().collect::<Vec<_>>());
        let own = gathered.layers.sources.iter_mut();
        for source in own.filter(|source| matches!(source.layer, Layer::Project | Layer::Manifest)) {
            void.iter().for_each(|names| remove(&mut source.root, names));
        }
        Ok(Base { sweep: self, gathered, text })
    }

    /// What is wrong with an axis over a variant that the base does not have.
    fn no_variant(&self, axis: &Axis, base: &Gathered) -> Option<Diagnostic> {
        let [table, wanted, _] = axis.names.as_slice() else { return None };
        let names = base.variants().map_or_else(Vec::new, |variants| variants.iter().filter_map(name_of).collect());
        if table != "variant" || names.contains(&wanted.as_str()) {
            return None;
        }
        let next = match nearest(wanted, names.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("its variants are {}", names.join(", ")),
        };
        let message = format!("`{}` has no variant `{wanted}`", self.base.display());
        let place = self.source.place(axis.written.clone());
        Some(Diagnostic::error(Cause::Input, message).next(next).at(place))
    }
}

fn is_meant(rule: &[(usize, Vec<bool>)], point: &[usize]) -> bool {
    rule.iter().all(|(axis, values)| values[point[*axis]])
}

/// A sweep's base experiment, to be resolved with the values of each point.
pub struct Base<'a> {
    sweep: &'a Sweep,
    gathered: Gathered,
    text: String,
}

impl Base<'_> {
    /// What a point obeys.
    pub fn resolve(&self, point: &[usize]) -> Result<Resolved, Failure> {
        let folder = self.sweep.path.parent().unwrap_or(Path::new(""));
        let source = self.sweep.source.with_root(self.values(point));
        self.gathered.with(source, folder).settle(&self.sweep.base, self.text.clone())
    }

    /// The layer of a point: the sweep's name and the values of its axes.
    fn values(&self, point: &[usize]) -> Node {
        let sweep = self.sweep;
        let mut root = Node { span: 0..0, content: empty() };
        if let Some(name) = sweep.source.find(&["name"]) {
            insert(&mut root, &["name"], &name.span(), name.value.clone());
        }
        let fixed = sweep.fixed.iter().map(|key| (key, &0));
        for (axis, &at) in fixed.chain(sweep.axes.iter().zip(point)) {
            let names: Vec<&str> = axis.names.iter().map(String::as_str).collect();
            let value = axis.values[at].clone();
            match names.as_slice() {
                ["variant", variant, key] => self.set_in_variant(&mut root, axis, variant, key, value),
                names => drop(insert(&mut root, names, &axis.written, value)),
            }
        }
        root
    }

    /// Tables of an array come from one layer as a whole: the base's variants, with one key of one of them changed.
    fn set_in_variant(&self, root: &mut Node, axis: &Axis, variant: &str, key: &str, value: Node) {
        let Content::Table(entries) = &mut root.content else { return };
        let own = entries.entry("variant".to_owned()).or_insert_with(|| {
            let variants = self.gathered.variants().unwrap_or_default().to_vec();
            let value = Node { span: 0..0, content: Content::Array(variants) };
            Entry { key: axis.written.clone(), value: placed_at(value, &axis.written) }
        });
        let Content::Array(variants) = &mut own.value.content else { return };
        if let Some(found) = variants.iter_mut().find(|node| name_of(node) == Some(variant)) {
            insert(found, &[key], &axis.written, value);
        }
    }
}

/// What a variant is called.
fn name_of(variant: &Node) -> Option<&str> {
    let Content::Table(entries) = &variant.content else { return None };
    match &entries.get("name")?.value.content {
        Content::String(name) => Some(name),
        _ => None,
    }
}

/// A copy of what stands in another text, every part of it placed at one span of this one.
fn placed_at(mut node: Node, span: &Range<usize>) -> Node {
    node.span = span.clone();
    node.content = match node.content {
        Content::Array(items) => Content::Array(items.into_iter().map(|item| placed_at(item, span)).collect()),
        Content::Table(entries) => {
            let moved = |(name, entry): (String, Entry)| {
                (name, Entry { key: span.clone(), value: placed_at(entry.value, span) })
            };
            Content::Table(entries.into_iter().map(moved).collect::<BTreeMap<_, _>>())
        }
        plain => plain,
    };
    node
}

/// Paths of the pins that no longer hold once these keys change; a number stands for every table of an array.
fn void_pins(axes: &[&Axis]) -> Vec<Vec<&'static str>> {
    let moves = |table: &str, but: &[&str]| {
        axes.iter().any(|axis| {
            axis.names.first().is_some_and(|first| first == table)
                && axis.names.get(1).is_none_or(|second| !but.contains(&second.as_str()))
        })
    };
    let data = moves("dataset", &["preprocess", "sha256"]);
    let rules = [
        ("model", moves("model", &["sha256"])),
        ("dataset", data),
        ("calibration", data || moves("calibration", &["sha256"])),
        ("evaluation", data || moves("evaluation", &["sha256"])),
        ("report", moves("report", &["sha256"])),
    ];
    let mut void: Vec<Vec<&str>> =
        rules.into_iter().filter(|(_, moved)| *moved).map(|(table, _)| vec![table, "sha256"]).collect();
    let artefacts = ["model", "dataset", "calibration", "quantize", "compute", "variant"];
    if artefacts.iter().any(|table| moves(table, &[])) {
        void.push(vec!["variant", "0", "sha256"]);
    }
    void
}

fn remove(node: &mut Node, names: &[&str]) {
    match (&mut node.content, names) {
        (Content::Table(entries), [last]) => drop(entries.remove(*last)),
        (Content::Table(entries), [first, rest @ ..]) => {
            if let Some(entry) = entries.get_mut(*first) {
                remove(&mut entry.value, rest);
            }
        }
        (Content::Array(items), [_, rest @ ..]) => items.iter_mut().for_each(|item| remove(item, rest)),
        _ => {}
    }
}
