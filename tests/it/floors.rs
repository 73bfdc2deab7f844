use std::collections::BTreeMap;

use requant::base::files;

use crate::lab;

/// Every room and its floor, as `src/lib.rs` lists them.
const FLOORS: [(&str, u8); 24] = [
    ("base", 0),
    ("stats", 1),
    ("tensor", 1),
    ("manifest", 1),
    ("graph", 2),
    ("dataset", 2),
    ("measure", 2),
    ("codec", 3),
    ("quantize", 3),
    ("record", 3),
    ("backend", 4),
    ("diagnose", 4),
    ("report", 4),
    ("history", 4),
    ("diff", 4),
    ("inspect", 5),
    ("doctor", 5),
    ("fetch", 5),
    ("pipeline", 6),
    ("scaffold", 6),
    ("verify", 6),
    ("sweep", 7),
    ("cli", 8),
    ("bin", 9),
];

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
fn only_one_room_names_tch() {
    let source = lab::root().join("src");
    for file in files::walk(&source).unwrap().iter().filter(|file| file.ends_with(".rs")) {
        let text = files::read_text(&source.join(file)).unwrap();
        assert!(
            file.starts_with("bin/requant-torch/torch")
                || ![" tch::", "(tch::", "use tch"].iter().any(|name| text.contains(name)),
            "{file} names tch"
        );
    }
}
