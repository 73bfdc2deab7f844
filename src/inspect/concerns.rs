//! What nothing refuses, but a reviewer would ask: samples on both sides, classes without samples,
//! contents without a pin, settings from outside.

use std::collections::BTreeMap;

use super::{DataInputs, Inputs, PinState};
use crate::backend::Availability;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic};
use crate::base::units::counted;
use crate::dataset::{self, Chosen};
use crate::manifest::{Backend, Choice as _, DatasetFormat, Isa, Manifest, Resolved};
use crate::record::format::Reading;

/// How many names a message lists.
const SHOWN: usize = 5;

/// Every concern, with the place that it is about. A leak is an error; the others are warnings.
#[must_use]
pub fn concerns(resolved: &Resolved, inputs: &Inputs, pins: &[PinState]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let data = &inputs.data;
    found.extend(leak(&data.calibration, &data.evaluation).map(|d| d.at(resolved.place("evaluation.splits"))));
    for (table, chosen) in [("calibration", &data.calibration), ("evaluation", &data.evaluation)] {
        let coverage = coverage(table, chosen, data);
        found.extend(coverage.map(|d| d.at(resolved.place(&format!("{table}.strategy")))));
    }
    found.extend(passed_over(data).map(|d| d.at(resolved.place("dataset.path"))));
    found.extend(turned(resolved, data).map(|d| d.at(resolved.place("dataset.preprocess"))));
    found.extend(numbers(resolved, data).map(|d| d.at(resolved.place("dataset.path"))));
    found.extend(normalized_twice(resolved, inputs).map(|d| d.at(resolved.place("dataset.preprocess.mean"))));
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
    found.extend(kernels(resolved).map(|d| d.at(resolved.place("compute.isa"))));
    for change in &resolved.overrides {
        let instead = change.instead_of.as_ref().map_or_else(String::new, |value| format!(" instead of {value}"));
        let message = format!("`{}` is {}{instead}, by {}", change.key, change.value, change.origin);
        let next = "write it into the manifest, so that the file alone gives the result";
        found.push(Diagnostic::warning(message).next(next).at(resolved.place(&change.key)));
    }
    found
}

/// An instruction set that is asked for where no engine can be held to it.
fn kernels(resolved: &Resolved) -> Option<Diagnostic> {
    let Manifest { compute, .. } = &resolved.manifest;
    let backend = resolved.manifest.calibrates_on();
    (compute.isa == Isa::Avx2 && backend != Backend::Torch).then(|| {
        let message = format!(
            "`compute.isa` is `avx2`, and {} chooses its kernels by the CPU: another kind of CPU may round otherwise",
            backend.word()
        );
        Diagnostic::warning(message).next("remove it, or add a variant of `torch`, whose kernels it holds")
    })
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

/// Classes that the splits have samples of and the subset has not; and, of a list of classes, those that nothing has.
fn coverage(table: &str, chosen: &Chosen, data: &DataInputs) -> Option<Diagnostic> {
    let classes = data.source.classes();
    let counts = chosen.per_class(classes.len());
    let absent: Vec<usize> = (0..classes.len()).filter(|&class| counts[class] == 0).collect();
    if absent.is_empty() {
        return None;
    }
    let names = some(absent.iter().map(|&class| format!("`{}`", classes[class])), absent.len());
    let message = format!("the {table} subset has no sample of {} of {} classes: {names}", absent.len(), classes.len());
    let splits = data.source.splits();
    let there = |class: &usize| {
        splits.iter().filter_map(|split| data.source.split(split).ok()).flatten().any(|entry| entry.class == *class)
    };
    let next = if absent.iter().take(SHOWN).any(there) {
        "use `strategy = \"stratified\"`, more samples, or other splits"
    } else {
        "nothing, if the data is meant to cover a part of the model's classes: accuracy is that of this part"
    };
    Some(Diagnostic::warning(message).next(next))
}

/// Files among the images that nobody will see.
fn passed_over(data: &DataInputs) -> Option<Diagnostic> {
    let counts = data.source.passed_over();
    (!counts.is_empty()).then(|| {
        let message = format!("not read among the images: {}", dataset::endings(&counts));
        Diagnostic::warning(message).next("convert them, for example to PNG, or take them out of the class folders")
    })
}

/// Images that viewers show otherwise than they are stored.
fn turned(resolved: &Resolved, data: &DataInputs) -> Option<Diagnostic> {
    let count = data.calibration.turned() + data.evaluation.turned();
    let ignored = count > 0 && !resolved.manifest.dataset.preprocess.exif_orientation;
    ignored.then(|| {
        let message = format!("EXIF turns {}, which are taken as they are stored", counted(count, "sample"));
        Diagnostic::warning(message)
            .next("set `exif_orientation = true` if the model was trained on turned images; Pillow turns none of these by itself")
    })
}

/// Class folders whose order is one of text and may be meant as one of numbers.
fn numbers(resolved: &Resolved, data: &DataInputs) -> Option<Diagnostic> {
    let settings = &resolved.manifest.dataset;
    let unsaid = settings.classes.is_empty() && settings.classes_file.is_none() && settings.class_index.is_empty();
    let classes = data.source.classes();
    (unsaid && settings.format == DatasetFormat::ImageFolder && dataset::are_shuffled_numbers(classes)).then(|| {
        let names = some(classes.iter().map(|name| format!("`{name}`")), classes.len());
        let message = format!("the class folders are numbers and are labelled in byte order: {names}");
        Diagnostic::warning(message).next("list `dataset.classes` in the order of the model's outputs")
    })
}

/// A network that normalizes its input, on top of a manifest that does.
fn normalized_twice(resolved: &Resolved, inputs: &Inputs) -> Option<Diagnostic> {
    let (nodes, pixels) = inputs.model.facts.reading.iter().find_map(|reading| match reading {
        Reading::Normalizes { nodes, pixels } => Some((nodes, *pixels)),
        _ => None,
    })?;
    let settings = &resolved.manifest.dataset.preprocess;
    (settings.scale != pixels || !settings.leaves_pixels()).then(|| {
        let names = some(nodes.iter().map(|name| format!("`{name}`")), nodes.len());
        let message =
            format!("the model seems to normalize its input itself ({names}), and `dataset.preprocess` does it before");
        let next =
            format!("unless it was trained so, set `scale = \"{pixels}\"`, every `mean` to 0 and every `std` to 1");
        Diagnostic::warning(message).next(next)
    })
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

pub(super) fn some(names: impl Iterator<Item = String>, total: usize) -> String {
    let shown: Vec<String> = names.take(SHOWN).collect();
    let rest = if total > shown.len() { format!(" and {} more", total - shown.len()) } else { String::new() };
    shown.join(", ") + &rest
}
