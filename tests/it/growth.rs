//! A new operator touches the three files of its family and no other: shown by adding some to a copy of the source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::Bench;
use requant::base::files;

/// Where a family's files stand.
const PLACES: [&str; 3] = ["src/graph/op", "src/codec/onnx/operator", "src/codec/torchscript/source/operator"];

/// Each family's file and enum.
const FAMILIES: [(&str, &str); 6] = [
    ("layer", "Layer"),
    ("normalize", "Normalize"),
    ("unary", "Unary"),
    ("binary", "Binary"),
    ("pool", "Pool"),
    ("layout", "Layout"),
];

/// `Shrink` of ONNX, which is PyTorch's `Hardshrink` if its bias is 0, under a name that no operator has: what is put after
/// which line of which place.
const SCRATCH: [(usize, &str, &str); 7] = [
    (0, "    Abs,\n", "    Scratch { limit: f32 },\n"),
    (0, "Self::Abs => Facts::function(\"abs\"),\n", "Self::Scratch { .. } => Facts::module(\"Hardshrink\"),\n"),
    (1, "const ROWS: &[Row] = &[\n", "reals(\"Scratch\", 9, |node| node.scratch()),\n"),
    (
        1,
        "impl Lowering<'_> {\n",
        "fn scratch(&mut self) -> Lowered {
            if self.attributes.float(\"bias\", 0.0)? != 0.0 { return Err(\"it has a bias\".into()) }
            let limit = self.attributes.float(\"lambd\", 0.5)?;
            self.plain(Unary::Scratch { limit })
        }\n",
    ),
    (
        1,
        "Unary::Abs => named(\"Abs\"),\n",
        "Unary::Scratch { limit } => with(\"Shrink\", vec![float(\"lambd\", limit)]),\n",
    ),
    (
        2,
        "Unary::Abs => of(\"abs\"),\n",
        "Unary::Scratch { limit } => format!(\"torch.hardshrink({x}, {:?})\", wide(limit)),\n",
    ),
    (2, "| Unary::Acos\n", "| Unary::Scratch { .. }\n"),
];

/// The source without what a library alone does not need. Its version is its own: cargo tells packages of one name and version
/// in one target folder apart by the age of their files alone, and would take one copy for the other.
fn copied(version: &str) -> Bench {
    let bench = Bench::new();
    let root = lab::root();
    for folder in ["src", "benches", "templates", "tests/lab/src", "torch/src", "torch/benches", "xtask/src"] {
        for file in files::walk(&root.join(folder)).unwrap() {
            bench.put(&format!("{folder}/{file}"), &files::read(&root.join(folder).join(&file)).unwrap());
        }
    }
    for file in
        ["Cargo.toml", "Cargo.lock", "tests/lab/Cargo.toml", "torch/Cargo.toml", "torch/build.rs", "xtask/Cargo.toml"]
    {
        bench.put(file, &files::read(&root.join(file)).unwrap());
    }
    let own = files::read_text(&bench.path("Cargo.toml")).unwrap();
    let marked = own.replacen("\nversion = \"0.1.0\"", &format!("\nversion = \"{version}\""), 1);
    assert_ne!(own, marked);
    bench.put("Cargo.toml", marked.as_bytes());
    bench
}

fn put_after(bench: &Bench, file: &str, line: &str, new: &str) {
    let text = files::read_text(&bench.path(file)).unwrap();
    let at = text.find(line).unwrap_or_else(|| panic!("{file} has no `{}`", line.trim()));
    let (before, after) = text.split_at(at + line.len());
    bench.put(file, format!("{before}{new}{after}").as_bytes());
}

/// The files that the compiler finds fault with.
fn faulty(bench: &Bench) -> BTreeSet<String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| lab::root().join("target"), PathBuf::from);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "check",
        "--release",
        "--package",
        "requant",
        "--lib",
        "--no-default-features",
        "--offline",
        "--message-format",
        "short",
    ]);
    cargo.current_dir(bench.path("")).env("CARGO_TARGET_DIR", target);
    let ended = cargo.output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    let found: BTreeSet<String> = told
        .lines()
        .filter(|line| line.contains(": error"))
        .filter_map(|line| line.split(':').next().map(str::to_owned))
        .filter(|file| Path::new(file).extension().is_some_and(|ending| ending == "rs"))
        .collect();
    assert_eq!(ended.status.success(), found.is_empty(), "{told}");
    found
}

#[test]
fn an_operator_of_any_family_is_missing_in_its_three_files_alone() {
    let bench = copied("0.0.1");
    for (family, name) in FAMILIES {
        put_after(&bench, &format!("{}/{family}.rs", PLACES[0]), &format!("pub enum {name} {{\n"), "    Scratch,\n");
    }
    let of_family = |place: &str| FAMILIES.map(|(family, _)| format!("{place}/{family}.rs"));
    let wanted: BTreeSet<String> = PLACES.into_iter().flat_map(of_family).collect();
    assert_eq!(faulty(&bench), wanted);
}

#[test]
fn an_operator_is_added_in_three_files() {
    let bench = copied("0.0.2");
    for (place, line, new) in SCRATCH {
        put_after(&bench, &format!("{}/unary.rs", PLACES[place]), line, new);
    }
    assert_eq!(faulty(&bench), BTreeSet::new());
}
