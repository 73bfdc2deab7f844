use std::cell::Cell;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use requant::base::explain::Failure;
use requant::base::files;
use requant::grid::Sweep;
use requant::manifest::{self, Overrides};
use requant::terminal::complaint::text as diagnostic_text;

/// Every case of these is a manifest that somebody, or something, could hand over.
const CASES: u32 = 100_000;

/// Words that mean something to a manifest or to TOML.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    "\"",
    "'''",
    "\"\"\"",
    "\n",
    "\r\n",
    "#",
    ".",
    ",",
    "-",
    "+",
    "_",
    "0x",
    "0o",
    "1e400",
    "nan",
    "-inf",
    "true",
    "false",
    "1979-05-27T07:32:00Z",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "0.1",
    "\\u0000",
    "\\",
    "é",
    "\u{feff}",
    "\u{202e}",
    "\0",
    "schema",
    "name",
    "model",
    "path",
    "sha256",
    "dataset",
    "format",
    "splits",
    "preprocess",
    "mean",
    "std",
    "resize",
    "calibration",
    "strategy",
    "samples",
    "list",
    "variant",
    "backend",
    "torch",
    "precision",
    "int8",
    "compute",
    "threads",
    "benchmark",
    "batch_sizes",
    "goals",
    "record",
    "report",
    "[model]\n",
    "[[variant]]\n",
    "[dataset.preprocess]\n",
    "schema = 1\n",
    "model.path = \"m\"\n",
    "variant = []\n",
    "quantize.layer = [{}]\n",
    "splits = { a = \"0..1\" }\n",
    "source = { url = \"x\" }\n",
];

fn committed() -> Vec<Vec<u8>> {
    let folder = lab::root().join("experiments");
    let names = files::list(&folder).unwrap();
    let manifests = names.iter().filter(|name| name.ends_with(".toml"));
    manifests.map(|name| files::read(&folder.join(name)).unwrap()).collect()
}

/// Bytes from nowhere, words in any order, and good manifests with something done to them.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let words =
        prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|words| words.concat().into_bytes());
    prop_oneof![1 => noise, 3 => words, 6 => edited_of(committed())]
}

/// Good texts with something done to them.
fn edited_of(texts: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0_usize..40, prop::sample::select(PIECES), any::<u8>(), 0_u8..4);
    (prop::sample::select(texts), prop::collection::vec(edit, 1..6)).prop_map(|(mut text, edits)| {
        for (at, length, piece, byte, kind) in edits {
            let at = at.index(text.len().max(1)).min(text.len());
            let end = (at + length).min(text.len());
            match kind {
                0 => drop(text.splice(at..end, piece.bytes())),
                1 => drop(text.splice(at..end, [])),
                2 => drop(text.splice(at..at, piece.bytes())),
                _ => text.splice(at..(at + 1).min(text.len()), [byte]).for_each(drop),
            }
        }
        text
    })
}

#[test]
fn no_bytes_make_a_manifest_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    // The same cases in every run: a failure is everyone's to see.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::XorShift));
    let (read, told) = (Cell::new(0), Cell::new(0));
    let case = |bytes: Vec<u8>| {
        let count = if try_to_read(&path, &bytes) { &read } else { &told };
        count.set(count.get() + 1);
        Ok(())
    };
    runner.run(&bytes(), case).unwrap();
    let (read, told) = (read.get(), told.get());
    assert!(read > 500 && told > 50_000, "both kinds occur: {read} were read, {told} were refused");
}

/// Bytes as a sweep over a good base: refused with places, or its points resolve or are refused with places.
#[test]
fn no_bytes_make_a_sweep_panic() {
    let folder = tempfile::tempdir().unwrap();
    let home = lab::root().join("experiments");
    files::write(&folder.path().join("digits.toml"), &files::read(&home.join("digits.toml")).unwrap()).unwrap();
    let path = folder.path().join("s.toml");
    let config = Config { cases: CASES / 10, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::XorShift));
    let (read, told) = (Cell::new(0), Cell::new(0));
    let good = files::read(&home.join("digits-grid.toml")).unwrap();
    let case = |bytes: Vec<u8>| {
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let resolved = Sweep::read(&path, text).and_then(|sweep| {
            let base = sweep.base(&Overrides::default())?;
            sweep.points().iter().take(5).try_for_each(|point| base.resolve(point).map(drop))
        });
        match resolved {
            Ok(()) => read.set(read.get() + 1),
            Err(failure) => {
                are_well_told(&failure);
                told.set(told.get() + 1);
            }
        }
        Ok(())
    };
    runner.run(&edited_of(vec![good]), case).unwrap();
    let (read, told) = (read.get(), told.get());
    assert!(read > 100 && told > 1000, "both kinds occur: {read} were read, {told} were refused");
}

/// Loads the bytes; what is refused must be refused with places that lie in the text.
fn try_to_read(path: &Path, bytes: &[u8]) -> bool {
    match manifest::load_bytes(path, bytes.to_vec(), &Overrides::default()) {
        Ok(resolved) => {
            assert!(!resolved.written_out.is_empty());
            true
        }
        Err(failure) => {
            are_well_told(&failure);
            false
        }
    }
}

fn are_well_told(failure: &Failure) {
    assert!(!failure.diagnostics.is_empty());
    for diagnostic in &failure.diagnostics {
        let Some(place) = diagnostic.place.as_ref() else {
            // A base that is not there has no place in a text.
            let is_placeless = diagnostic.message.ends_with("not shown") || diagnostic.message.starts_with("cannot ");
            assert!(is_placeless, "a problem of a text has a place: {diagnostic:?}");
            continue;
        };
        assert!(place.text.get(place.span.clone()).is_some(), "{place:?}");
        assert!(!diagnostic_text(diagnostic, false).is_empty());
    }
}

/// Nesting that a recursive reader could not bear.
#[test]
fn deep_nesting_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    let deep = 50_000;
    let tables = format!("a{} = 1\n", ".a".repeat(deep));
    let arrays = format!("a = {}{}\n", "[".repeat(deep), "]".repeat(deep));
    let inline = format!("a = {}1{}\n", "{ a = ".repeat(deep), " }".repeat(deep));
    let header = format!("[a{}]\n", ".a".repeat(deep));
    for text in [tables, arrays, inline, header] {
        assert!(!try_to_read(&path, text.as_bytes()), "{}", &text[..20]);
    }
}
