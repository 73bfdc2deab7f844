//! The form of a sweep's file: read whole, every problem told where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Axis, MOST_POINTS, Sweep, is_meant};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::text::nearest;
use crate::base::units::counted;
use crate::document::{Content, Entry, Layer, Node, Source, is_file_name, shortened};
use crate::manifest::SCHEMA;

/// Keys of points that the sweep itself gives.
const NOT_AXES: [&str; 3] = ["schema", "name", "description"];

/// More values, and more exclusions, than anybody writes.
const MOST_CELLS: usize = 2_000_000;
const MOST_EXCLUSIONS: usize = 1000;

const TOP: [&str; 4] = ["schema", "name", "description", "sweep"];
const INSIDE: [&str; 5] = ["base", "set", "cross", "zip", "exclude"];

pub(super) fn read(path: &Path, text: String) -> Result<Sweep, Failure> {
    let (source, syntax) = Source::file(Layer::Sweep, path.display().to_string(), &text);
    if !syntax.is_empty() {
        return Err(syntax.into());
    }
    let mut reader = Reader { source: &source, problems: Vec::new() };
    let top = reader.table(&source.root, "", &TOP);
    let schema = top.get("schema").map(|entry| &entry.value);
    match schema.map(|node| &node.content) {
        Some(Content::Integer(number)) if *number == i64::from(SCHEMA) => {}
        Some(_) => reader.at(schema, format!("`schema` is not {SCHEMA}"), "write `schema = 1`"),
        None => reader.at(None, "missing key `schema`", "add `schema = 1`"),
    }
    let name = reader.text(top.get("name"), "name", "\"…\"").unwrap_or_default();
    if !name.is_empty() && !is_file_name(&name) {
        let next = "use letters, digits, `-`, `_` and `.`";
        reader.at(top.get("name").map(|e| &e.value), format!("`name` is `{name}`, which cannot name a file"), next);
    }
    let description = top.get("description").and_then(|entry| reader.text(Some(entry), "description", "\"…\""));
    let Some(inside) = top.get("sweep") else {
        reader.at(None, "missing table `[sweep]`", "add it, with `base` and `[sweep.cross]` or `[[sweep.zip]]`");
        return Err(reader.problems.into());
    };
    let inside = reader.table(&inside.value, "sweep", &INSIDE);
    let base = reader.text(inside.get("base"), "sweep.base", "\"experiment.toml\"").unwrap_or_default();
    let axes = reader.axes(inside);
    let fixed = inside.get("set").map_or(Vec::new(), |set| reader.fixed(&set.value, &axes));
    let mut sweep = Sweep {
        name,
        description: description.unwrap_or_default(),
        base: path.parent().unwrap_or(Path::new("")).join(base),
        path: path.to_owned(),
        axes,
        fixed,
        excluded: Vec::new(),
        source: source.clone(),
        text,
    };
    if reader.problems.is_empty() {
        reader.size(&sweep);
    }
    if reader.problems.is_empty() {
        reader.exclusions(inside, &mut sweep);
    }
    if reader.problems.is_empty() { Ok(sweep) } else { Err(shortened(reader.problems).into()) }
}

/// The entries of what is not a table.
const NONE: &BTreeMap<String, Entry> = &BTreeMap::new();

struct Reader<'a> {
    source: &'a Source,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn at(&mut self, node: Option<&Node>, message: impl Into<String>, next: impl Into<String>) {
        let end = self.source.text.trim_end().len();
        let span = node.map_or(end..end, |node| node.span.clone());
        self.span(span, message, next);
    }

    fn span(&mut self, span: std::ops::Range<usize>, message: impl Into<String>, next: impl Into<String>) {
        let place = self.source.place(span);
        self.problems.push(Diagnostic::error(Cause::Input, message).next(next).at(place));
    }

    fn table<'n>(&mut self, node: &'n Node, path: &str, known: &[&str]) -> &'n BTreeMap<String, Entry> {
        let Content::Table(entries) = &node.content else {
            self.at(Some(node), format!("`{path}` is not a table"), format!("write `[{path}]`"));
            return NONE;
        };
        for (key, entry) in entries.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let within = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
            let next = match nearest(key, known.iter().copied()) {
                Some(close) => format!("did you mean `{close}`?"),
                None if path.is_empty() => "settings belong into the base, or under `[sweep.set]`".to_owned(),
                None => {
                    "write axes under `[sweep.cross]` or `[[sweep.zip]]`, fixed settings under `[sweep.set]`".to_owned()
                }
            };
            self.span(entry.key.clone(), format!("unknown key `{key}`{within} of a sweep"), next);
        }
        entries
    }

    fn text(&mut self, entry: Option<&Entry>, key: &str, example: &str) -> Option<String> {
        match entry.map(|entry| (&entry.value.content, entry)) {
            Some((Content::String(text), _)) if !text.is_empty() || key == "description" => Some(text.clone()),
            Some((_, entry)) => {
                self.at(Some(&entry.value), format!("`{key}` is not a text"), format!("write `{example}`"));
                None
            }
            None => {
                let last = key.rsplit('.').next().unwrap_or(key);
                self.at(None, format!("missing key `{key}`"), format!("add `{last} = {example}`"));
                None
            }
        }
    }

    /// Every axis: crossed ones in the order of the file, then those that move together.
    fn axes(&mut self, inside: &BTreeMap<String, Entry>) -> Vec<Axis> {
        let mut axes: Vec<Axis> = Vec::new();
        let mut group = 0;
        if let Some(cross) = inside.get("cross") {
            for axis in self.leaves(&cross.value, "sweep.cross") {
                axes.push(Axis { group, ..axis });
                group += 1;
            }
        }
        for table in inside.get("zip").map_or(Vec::new(), |zip| self.tables(zip, "sweep.zip")) {
            let found = self.leaves(table, "sweep.zip");
            if let Some(odd) = found.iter().find(|axis| axis.values.len() != found[0].values.len()) {
                let (one, other) = (counted(found[0].values.len(), "value"), counted(odd.values.len(), "value"));
                let message = format!("`{}` has {one} and `{}` has {other}", found[0].key, odd.key);
                self.span(odd.written.clone(), message, "give keys that move together equally many values");
            }
            axes.extend(found.into_iter().map(|axis| Axis { group, ..axis }));
            group += 1;
        }
        if axes.is_empty() && self.problems.is_empty() {
            let next = "add `[sweep.cross]` with a key such as `calibration.samples = [64, 128, 512]`";
            self.at(None, "the sweep has no axis", next);
        }
        self.distinct(&axes);
        axes
    }

    /// No key is an axis twice, by itself or as part of a table that is one.
    fn distinct(&mut self, axes: &[Axis]) {
        let mut names: BTreeMap<&[String], &Axis> = BTreeMap::new();
        for axis in axes {
            if names.insert(&axis.names, axis).is_some() {
                let message = format!("`{}` is an axis already", axis.key);
                return self.span(axis.written.clone(), message, "give each key one list of values");
            }
        }
        for axis in axes {
            if let Some(whole) = (1..axis.names.len()).find_map(|length| names.get(&axis.names[..length])) {
                let message = format!("`{}` is part of the axis `{}`", axis.key, whole.key);
                return self.span(axis.written.clone(), message, "vary the whole table, or keys of it");
            }
        }
    }

    /// Settings of every point.
    fn fixed(&mut self, node: &Node, axes: &[Axis]) -> Vec<Axis> {
        let mut found = Vec::new();
        for Leaf { names, written, node } in self.sorted_leaves(node, "sweep.set") {
            let key = names.join(".");
            let overlaps = |axis: &&Axis| axis.names.starts_with(&names) || names.starts_with(&axis.names);
            if let Some(axis) = axes.iter().find(overlaps) {
                let what = if axis.names == names {
                    "is an axis, too".into()
                } else {
                    format!("overlaps the axis `{}`", axis.key)
                };
                self.span(written, format!("`{key}` {what}"), "keep one of the two");
            } else if self.may_change(&key, &names, &written) {
                found.push(Axis { key, words: vec![word(node)], group: 0, names, written, values: vec![node.clone()] });
            }
        }
        found
    }

    fn tables<'n>(&mut self, entry: &'n Entry, path: &str) -> Vec<&'n Node> {
        let Content::Array(items) = &entry.value.content else {
            self.at(Some(&entry.value), format!("`{path}` is not an array of tables"), format!("write `[[{path}]]`"));
            return Vec::new();
        };
        items.iter().collect()
    }

    /// The axes of a table, in the order of the file.
    fn leaves(&mut self, node: &Node, path: &str) -> Vec<Axis> {
        let found = self.sorted_leaves(node, path);
        let crossed = path == "sweep.cross";
        found.into_iter().filter_map(|leaf| self.axis(leaf, crossed)).collect()
    }

    fn sorted_leaves<'n>(&mut self, node: &'n Node, path: &str) -> Vec<Leaf<'n>> {
        let mut found = Vec::new();
        leaves(node, &mut Vec::new(), &mut found);
        if !matches!(node.content, Content::Table(_)) {
            self.at(Some(node), format!("`{path}` is not a table"), format!("write `[{path}]`"));
        }
        found.sort_by_key(|leaf| leaf.written.start);
        found
    }

    /// Whether points may differ in a key.
    fn may_change(&mut self, key: &str, names: &[String], written: &std::ops::Range<usize>) -> bool {
        // Rows are known by their names, and other keys of theirs are found by them.
        let of_a_row = names.len() == 3 && names[2] != "name";
        if !NOT_AXES.contains(&names[0].as_str()) && (names[0] != "variant" || of_a_row) {
            return true;
        }
        let next = "change keys such as `quantize.recipe` or `variant.NAME.engine`";
        self.span(written.clone(), format!("`{key}` cannot be changed by a sweep"), next);
        false
    }

    fn axis(&mut self, leaf: Leaf<'_>, crossed: bool) -> Option<Axis> {
        let Leaf { names, written, node } = leaf;
        let key = names.join(".");
        if !self.may_change(&key, &names, &written) {
            return None;
        }
        let values = match &node.content {
            Content::Array(items) => items.clone(),
            Content::String(text) => integers(text, node).unwrap_or_default(),
            _ => Vec::new(),
        };
        if let (Content::String(text), true) = (&node.content, values.is_empty())
            && text.contains("..")
        {
            let message = format!("`{key}` is \"{text}\", which is no range of 1 to {MOST_POINTS} integers");
            self.at(Some(node), message, "write `\"first..end\"`, or `\"first..=last\"` with its end, or a list");
            return None;
        }
        if values.is_empty() {
            let next = "write a list such as `[64, 128]`, or a range such as `\"1..=5\"`";
            self.at(Some(node), format!("`{key}` has no list of values"), next);
            return None;
        }
        let words: Vec<String> = values.iter().map(word).collect();
        // Keys that move together may repeat a value; crossed, the point would be there twice.
        let mut seen = BTreeSet::new();
        if let Some(at) = words.iter().position(|word| crossed && !seen.insert(word)) {
            let message = format!("`{key}` takes the value {} twice", words[at]);
            self.at(Some(&values[at]), message, "list each value once");
            return None;
        }
        Some(Axis { key, words, group: 0, names, written, values })
    }

    fn size(&mut self, sweep: &Sweep) {
        let groups = sweep.axes.chunk_by(|a, b| a.group == b.group);
        let points = groups.map(|group| group[0].values.len()).fold(1_usize, usize::saturating_mul);
        if points.saturating_mul(sweep.axes.len()) > MOST_CELLS {
            let message = format!("{points} points on {} axes are more than {MOST_CELLS} values", sweep.axes.len());
            self.at(None, message, "divide the sweep");
        }
        if points > MOST_POINTS {
            let message = format!("the axes make {points} points, and a sweep has at most {MOST_POINTS}");
            self.at(None, message, "zip axes that move together, or divide the sweep");
        }
    }

    fn exclusions(&mut self, inside: &BTreeMap<String, Entry>, sweep: &mut Sweep) {
        let combinations = sweep.combinations();
        let tables = inside.get("exclude").map_or(Vec::new(), |entry| self.tables(entry, "sweep.exclude"));
        if tables.len() > MOST_EXCLUSIONS {
            let message = format!("{} exclusions are more than {MOST_EXCLUSIONS}", tables.len());
            return self.at(tables.last().copied(), message, "zip the axes that belong together instead");
        }
        for table in tables {
            let mut found = Vec::new();
            leaves(table, &mut Vec::new(), &mut found);
            if found.is_empty() {
                self.at(Some(table), "this excludes nothing", "write keys of axes with the values to leave out");
                continue;
            }
            let span = found.first().map_or(table.span.clone(), |leaf| leaf.written.clone());
            let rule: Vec<_> = found.into_iter().filter_map(|leaf| self.meant(&leaf, sweep)).collect();
            if self.problems.is_empty() && !combinations.iter().any(|point| is_meant(&rule, point)) {
                self.span(span, "this excludes no point", "correct it, or remove it");
            }
            sweep.excluded.push(rule);
        }
        if self.problems.is_empty() && sweep.points().is_empty() {
            self.at(None, "every point is excluded", "exclude less");
        }
    }

    /// The values of an axis that an exclusion names.
    fn meant(&mut self, leaf: &Leaf<'_>, sweep: &Sweep) -> Option<(usize, Vec<bool>)> {
        let key = leaf.names.join(".");
        let Some(at) = sweep.axes.iter().position(|axis| axis.names == leaf.names) else {
            let next = match nearest(&key, sweep.axes.iter().map(|axis| axis.key.as_str())) {
                Some(close) => format!("did you mean `{close}`?"),
                None => "exclude by keys that are axes".to_owned(),
            };
            self.span(leaf.written.clone(), format!("`{key}` is not an axis"), next);
            return None;
        };
        let axis = &sweep.axes[at];
        let known: BTreeSet<&String> = axis.words.iter().collect();
        let whole = word(leaf.node);
        // A list is either one value of the axis or several of them, and so is a text.
        let several = match &leaf.node.content {
            _ if known.contains(&whole) => None,
            Content::Array(items) => Some(items.iter().map(word).collect()),
            Content::String(text) => integers(text, leaf.node).map(|values| values.iter().map(word).collect()),
            _ => None,
        };
        let named: BTreeSet<String> = several.unwrap_or_else(|| BTreeSet::from([whole]));
        if let Some(strange) = named.iter().find(|word| !known.contains(word)) {
            let shown: Vec<&str> = axis.words.iter().take(20).map(String::as_str).collect();
            let message = format!("`{key}` never has the value {strange}");
            self.at(Some(leaf.node), message, format!("its values are {}", shown.join(", ")));
            return None;
        }
        Some((at, axis.words.iter().map(|word| named.contains(word)).collect()))
    }
}

/// A key with what was written for it.
struct Leaf<'a> {
    names: Vec<String>,
    written: std::ops::Range<usize>,
    node: &'a Node,
}

fn leaves<'a>(node: &'a Node, path: &mut Vec<String>, found: &mut Vec<Leaf<'a>>) {
    let Content::Table(entries) = &node.content else { return };
    for (name, entry) in entries {
        path.push(name.clone());
        if matches!(entry.value.content, Content::Table(_)) {
            leaves(&entry.value, path, found);
        } else {
            found.push(Leaf { names: path.clone(), written: entry.key.clone(), node: &entry.value });
        }
        path.pop();
    }
}

/// `first..end` without its end, `first..=last` with it.
fn integers(text: &str, node: &Node) -> Option<Vec<Node>> {
    let (first, end) = text.split_once("..")?;
    let (end, one_more) = end.strip_prefix('=').map_or((end, 0), |end| (end, 1));
    let (first, end): (i64, i64) = (first.trim().parse().ok()?, end.trim().parse().ok()?);
    let end = end.checked_add(one_more)?;
    let few = usize::try_from(end.checked_sub(first)?).is_ok_and(|count| count <= MOST_POINTS);
    let value = |number| Node { span: node.span.clone(), content: Content::Integer(number) };
    few.then(|| (first..end).map(value).collect())
}

/// A value as a person writes it, without quotes around a text that stands alone.
fn word(node: &Node) -> String {
    fn inner(node: &Node) -> String {
        match &node.content {
            Content::String(text) => format!("{text:?}"),
            _ => word(node),
        }
    }
    match &node.content {
        Content::String(text) => text.clone(),
        Content::Integer(number) => number.to_string(),
        Content::Float(number) => number.to_string(),
        Content::Boolean(truth) => truth.to_string(),
        Content::Foreign(what) => (*what).to_owned(),
        Content::Array(items) => format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(", ")),
        Content::Table(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, entry)| format!("{key} = {}", inner(&entry.value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}
