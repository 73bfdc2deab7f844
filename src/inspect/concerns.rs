//! What nothing refuses, but a reviewer would ask: samples on both sides, classes without samples,
//! contents without a pin, settings from outside.

use std::collections::BTreeMap;

use super::{Inputs, PinState};
use crate::backend::Availability;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic};
use crate::dataset::Chosen;
use crate::manifest::Resolved;

/// How many names a message lists.
const SHOWN: usize = 3;

/// Every concern, with the place that it is about. A leak is an error; the others are warnings.
#[must_use]
pub fn concerns(resolved: &Resolved, inputs: &Inputs, pins: &[PinState]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let data = &inputs.data;
    found.extend(leak(&data.calibration, &data.evaluation).map(|d| d.at(resolved.place("evaluation.splits"))));
    for (table, chosen) in [("calibration", &data.calibration), ("evaluation", &data.evaluation)] {
        let coverage = coverage(table, chosen, data.source.classes());
        found.extend(coverage.map(|d| d.at(resolved.place(&format!("{table}.strategy")))));
    }
    found.extend(repeated(&data.evaluation).map(|d| d.at(resolved.place("evaluation.splits"))));
    for pin in pins.iter().filter(|pin| pin.expected.is_none() && pin.key != "model.sha256") {
        let table = pin.key.trim_end_matches(".sha256");
        let next = format!("let `requant pin {}` add `{}`", resolved.path.display(), pin.key);
        found.push(Diagnostic::warning(format!("`{table}` is not pinned")).next(next).at(resolved.place(table)));
    }
    for (position, (variant, availability)) in resolved.manifest.variant.iter().zip(&inputs.availability).enumerate() {
        if let (false, Availability::Missing { why, .. }) = (variant.required, availability) {
            let message = format!("variant `{}` will be a missing row: {why}", variant.name);
            found.push(Diagnostic::warning(message).at(resolved.place(&format!("variant.{position}.backend"))));
        }
    }
    for change in &resolved.overrides {
        let instead = change.instead_of.as_ref().map_or_else(String::new, |value| format!(" instead of {value}"));
        let message = format!("`{}` is {}{instead}, by {}", change.key, change.value, change.origin);
        let next = "write it into the manifest, so that the file alone gives the result";
        found.push(Diagnostic::warning(message).next(next).at(resolved.place(&change.key)));
    }
    found
}

/// The same content on both sides, whatever it is called.
fn leak(calibration: &Chosen, evaluation: &Chosen) -> Option<Diagnostic> {
    let seen: BTreeMap<Digest, &str> =
        calibration.digests.iter().copied().zip(calibration.entries.iter().map(|entry| entry.id.as_str())).collect();
    let sides = evaluation.entries.iter().zip(&evaluation.digests);
    let shared: Vec<(&str, &str)> =
        sides.filter_map(|(entry, digest)| Some((entry.id.as_str(), *seen.get(digest)?))).collect();
    if shared.is_empty() {
        return None;
    }
    let named = |(evaluated, calibrated): &(&str, &str)| {
        if evaluated == calibrated { format!("`{evaluated}`") } else { format!("`{evaluated}` is `{calibrated}`") }
    };
    let names = some(shared.iter().map(named), shared.len());
    let (n, of) = (shared.len(), evaluation.entries.len());
    let message = format!("{n} of {of} evaluation samples are also calibration samples, by content: {names}");
    let next = "draw `calibration.splits` and `evaluation.splits` from different data";
    Some(Diagnostic::error(Cause::Refuted, message).next(next))
}

fn coverage(table: &str, chosen: &Chosen, classes: &[String]) -> Option<Diagnostic> {
    let counts = chosen.per_class(classes.len());
    let absent: Vec<&String> = classes.iter().zip(counts).filter(|(_, n)| *n == 0).map(|(name, _)| name).collect();
    if absent.is_empty() {
        return None;
    }
    let names = some(absent.iter().map(|name| format!("`{name}`")), absent.len());
    let message = format!("the {table} subset has no sample of {} of {} classes: {names}", absent.len(), classes.len());
    Some(Diagnostic::warning(message).next("use `strategy = \"stratified\"`, or more samples"))
}

/// Samples that count more than once.
fn repeated(chosen: &Chosen) -> Option<Diagnostic> {
    let mut first: BTreeMap<Digest, &str> = BTreeMap::new();
    let mut twice = Vec::new();
    for (entry, digest) in chosen.entries.iter().zip(&chosen.digests) {
        if let Some(earlier) = first.insert(*digest, &entry.id) {
            twice.push(format!("`{}` is `{earlier}`", entry.id));
        }
    }
    let count = twice.len();
    (count > 0).then(|| {
        let message =
            format!("{count} evaluation samples repeat another, by content: {}", some(twice.into_iter(), count));
        Diagnostic::warning(message).next("remove the copies: each counts again in every accuracy")
    })
}

fn some(names: impl Iterator<Item = String>, total: usize) -> String {
    let shown: Vec<String> = names.take(SHOWN).collect();
    let rest = if total > shown.len() { format!(" and {} more", total - shown.len()) } else { String::new() };
    shown.join(", ") + &rest
}
