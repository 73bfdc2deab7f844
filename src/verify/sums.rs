//! `SHA256SUMS` against the files of the folder.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::{Verified, first_difference};
use crate::base::digest::Digest;
use crate::base::files;
use crate::base::units::counted;

const SUMS: &str = "SHA256SUMS";

/// Artefacts are large and a rerun makes them again, so a run may be kept without them.
const MAY_BE_ABSENT: &str = "artefacts/";

pub(super) fn check(folder: &Path, found: &mut Verified) {
    let text = match files::read_text(&folder.join(SUMS)) {
        Ok(text) => text,
        Err(error) => return found.problem(SUMS, error.to_string()),
    };
    let before = found.problems.len();
    let listed = listed(&text, found);
    let written: Vec<String> = listed.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    let written = written.concat();
    if let Some(different) = first_difference(&text, &written).filter(|_| found.problems.len() == before) {
        found.problem(SUMS, different);
    }
    let mut present = 0;
    let mut absent = 0;
    for (name, expected) in &listed {
        let path = folder.join(name);
        if !path.exists() {
            if name.starts_with(MAY_BE_ABSENT) {
                absent += 1;
            } else {
                found.problem(name, "it is missing");
            }
            continue;
        }
        present += 1;
        match files::open(&path).map(Digest::of_reader) {
            Ok(Ok(digest)) if digest == *expected => {}
            Ok(Ok(digest)) => {
                found.problem(name, format!("its content has {digest}, and {SUMS} has {expected}"));
            }
            Ok(Err(error)) => found.problem(name, format!("it cannot be read: {error}")),
            Err(error) => found.problem(name, error.to_string()),
        }
    }
    strangers(folder, &listed, found);
    if found.problems.len() == before {
        found.holds.push(format!("{} with the digests of {SUMS}, and no other", counted(present, "file")));
    }
    if absent > 0 {
        found.skipped.push(format!("{}: not kept in this copy of the run", counted(absent, "artefact")));
    }
}

/// The lines of `SHA256SUMS` by file name.
fn listed(text: &str, found: &mut Verified) -> BTreeMap<String, Digest> {
    let mut listed = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let entry = line.split_once("  ").and_then(|(digest, name)| Some((name, digest.parse::<Digest>().ok()?)));
        let at = number + 1;
        match entry {
            Some((name, _)) if !stays_inside(name) => {
                found.problem(SUMS, format!("line {at} names `{name}`, which is not in the run's folder"));
            }
            Some((name, digest)) => {
                if listed.insert(name.to_owned(), digest).is_some() {
                    found.problem(SUMS, format!("line {at} names `{name}` again"));
                }
            }
            None => found.problem(SUMS, format!("line {at} is not a digest, two spaces and a file name")),
        }
    }
    listed
}

pub(super) fn stays_inside(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Files that were not there when the run was sealed.
fn strangers(folder: &Path, listed: &BTreeMap<String, Digest>, found: &mut Verified) {
    match files::walk(folder) {
        Ok(names) => {
            for name in names.iter().filter(|name| *name != SUMS && !listed.contains_key(*name)) {
                found.problem(name, format!("it is not in {SUMS}"));
            }
        }
        Err(error) => found.problem(SUMS, error.to_string()),
    }
}
