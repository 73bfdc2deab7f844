use std::collections::{BTreeMap, BTreeSet};

use requant::base::files;
use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, Path, UseTree, Visibility};

/// Every room and its floor, as `src/lib.rs` lists them.
const FLOORS: [(&str, u8); 33] = [
    ("base", 0),
    ("tensor", 0),
    ("stats", 1),
    ("document", 1),
    ("container", 1),
    ("graph", 1),
    ("manifest", 2),
    ("task", 2),
    ("measure", 2),
    ("codec", 2),
    ("picture", 3),
    ("quantize", 3),
    ("record", 3),
    ("fetch", 3),
    ("dataset", 4),
    ("backend", 4),
    ("diagnose", 5),
    ("report", 5),
    ("history", 5),
    ("diff", 5),
    ("doctor", 5),
    ("inspect", 6),
    ("workbench", 7),
    ("scaffold", 7),
    ("verify", 7),
    ("grid", 7),
    ("bench", 8),
    ("search", 8),
    ("comparison", 8),
    ("terminal", 8),
    ("pipeline", 9),
    ("sweep", 9),
    ("cli", 10),
];

/// Lines that a room has at most; a larger one is two. `codec` has a file for each family of operators and each format.
const MOST_LINES: usize = 2500;

/// The rooms that a source text imports from.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mentions =
        code.flat_map(|line| line.match_indices("crate::").map(move |(at, found)| &line[at + found.len()..]));
    let word = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    mentions.map(word).collect()
}

#[test]
fn rooms_import_only_from_lower_floors() {
    let floors = BTreeMap::from(FLOORS);
    let source = lab::root().join("src");
    let mut wrong = Vec::new();
    for file in files::walk(&source).unwrap().iter().filter(|file| file.ends_with(".rs") && file.contains('/')) {
        let room = file.split('/').next().unwrap();
        let floor = floors.get(room).unwrap_or_else(|| panic!("`{room}` has no floor"));
        for target in imports(&files::read_text(&source.join(file)).unwrap()) {
            let Some(below) = floors.get(target.as_str()) else { continue };
            if target != room && below >= floor {
                wrong.push(format!("{file} imports {target}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_room_can_be_read_in_a_sitting() {
    let source = lab::root().join("src");
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for file in files::walk(&source).unwrap().iter().filter(|file| file.ends_with(".rs") && file.contains('/')) {
        let room = file.split('/').next().unwrap().to_owned();
        *lines.entry(room).or_default() += files::read_text(&source.join(file)).unwrap().lines().count();
    }
    lines.remove("codec");
    assert!(lines.len() == FLOORS.len() - 1, "{lines:?}");
    lines.retain(|_, lines| *lines > MOST_LINES);
    assert_eq!(lines, BTreeMap::new());
}

/// A path of names from the root of the library: a module, or something in one.
type Names = Vec<String>;

/// What a file mentions of other files.
#[derive(Default)]
struct Mentions {
    module: Names,
    /// What it uses itself.
    used: BTreeSet<Names>,
    /// What it hands on under a name of its own.
    handed_on: BTreeMap<String, Names>,
}

impl Mentions {
    fn of(file: &str, text: &str) -> Self {
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect();
        let mut found = Self { module, ..Self::default() };
        found.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}")));
        found
    }

    /// A path as it is written here, from the root; `None` for what is no file of the library.
    fn absolute(&self, written: &[String]) -> Option<Names> {
        let ups = written.iter().take_while(|name| *name == "super").count();
        match written.first()?.as_str() {
            "crate" => Some(written[1..].to_vec()),
            "self" => Some([self.module.as_slice(), &written[1..]].concat()),
            "super" => Some([&self.module[..self.module.len().checked_sub(ups)?], &written[ups..]].concat()),
            _ => Some([self.module.as_slice(), written].concat()),
        }
    }

    fn leaves(&mut self, tree: &UseTree, mut before: Names, is_handed_on: bool) {
        let (name, alias) = match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                return self.leaves(&path.tree, before, is_handed_on);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.leaves(tree, before.clone(), is_handed_on));
            }
            UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(rename) => (rename.ident.to_string(), rename.rename.to_string()),
            UseTree::Glob(_) => (String::new(), String::new()),
        };
        before.extend((!name.is_empty() && name != "self").then_some(name));
        let Some(whole) = self.absolute(&before) else { return };
        if is_handed_on {
            self.handed_on.insert(alias, whole);
        } else {
            self.used.insert(whole);
        }
    }
}

impl Visit<'_> for Mentions {
    /// Tests may look anywhere.
    fn visit_item_mod(&mut self, module: &ItemMod) {
        if module.content.is_none() || module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        self.leaves(&item.tree, Names::new(), !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.used.extend(self.absolute(&names));
        }
        visit::visit_path(self, path);
    }
}

/// The file that a path leads to, through whatever hands it on.
fn home(files: &BTreeMap<Names, Mentions>, path: &[String]) -> Option<Names> {
    let (module, rest) = (1..=path.len()).rev().find_map(|end| Some((files.get(&path[..end])?, &path[end..])))?;
    match rest.first().and_then(|name| module.handed_on.get(name)) {
        Some(from) if !from.starts_with(path) => home(files, &[from.as_slice(), &rest[1..]].concat()),
        _ => Some(module.module.clone()),
    }
}

/// Removes files that import none of the others, and files that none of them imports, as often as it can. What remains is in
/// circles, or between two.
fn circles(mut needs: BTreeMap<Names, BTreeSet<Names>>) -> Vec<String> {
    loop {
        let before = needs.len();
        let needed: BTreeSet<Names> = needs.values().flatten().cloned().collect();
        needs.retain(|file, own| !own.is_empty() && needed.contains(file));
        let left: BTreeSet<Names> = needs.keys().cloned().collect();
        needs.values_mut().for_each(|own| own.retain(|file| left.contains(file)));
        if needs.len() == before {
            break;
        }
    }
    let told = |(file, own): (&Names, &BTreeSet<Names>)| {
        let own: Vec<String> = own.iter().map(|file| file.join("::")).collect();
        format!("{} needs {}", file.join("::"), own.join(", "))
    };
    needs.iter().map(told).collect()
}

/// Files of one room do not import each other in a circle. Importing from a parent module does not count.
#[test]
fn no_files_of_a_room_need_each_other() {
    let source = lab::root().join("src");
    let files: BTreeMap<Names, Mentions> = files::walk(&source)
        .unwrap()
        .iter()
        .filter(|file| file.ends_with(".rs") && file.contains('/'))
        .map(|file| Mentions::of(file, &files::read_text(&source.join(file)).unwrap()))
        .map(|mentions| (mentions.module.clone(), mentions))
        .collect();
    let needs = files.values().map(|file| {
        let homes = file.used.iter().filter_map(|path| home(&files, path));
        let others = homes.filter(|other| other[0] == file.module[0] && !file.module.starts_with(other));
        (file.module.clone(), others.collect())
    });
    let needs: BTreeMap<Names, BTreeSet<Names>> = needs.collect();
    assert!(needs.values().map(BTreeSet::len).sum::<usize>() > 300, "hardly a file needs another: {needs:?}");
    assert_eq!(circles(needs), Vec::<String>::new());
}

#[test]
fn a_circle_is_found_and_what_leads_to_it_is_not() {
    let names = |name: &str| vec!["room".to_owned(), name.to_owned()];
    let needs = [("a", vec!["b"]), ("b", vec!["c", "d"]), ("c", vec!["b"]), ("d", vec![])];
    let needs = needs.map(|(file, own)| (names(file), own.into_iter().map(names).collect()));
    assert_eq!(circles(needs.into()), ["room::b needs room::c", "room::c needs room::b"]);
    let written =
        Mentions::of("room/b.rs", "use super::c::{self, D};\npub use crate::room::e::F as G;\nfn f() { d::h() }");
    assert_eq!(written.used.len(), 3);
    assert_eq!(written.handed_on["G"], ["room", "e", "F"]);
}
