//! `requant pin`.

use std::path::Path;

use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::inspect::{self, PinState};
use crate::manifest::{self, Overrides, Resolved};
use crate::record::store;
use crate::scaffold::{self, Pin};
use crate::terminal::gauge::Gauge;
use crate::terminal::{Exit, print};

pub(super) fn pin(path: &Path, check: bool, from: Option<&Path>) -> Result<Exit, Failure> {
    // What a file pins must follow from the file alone.
    let resolved = manifest::load(path, &Overrides::default())?;
    let found = inspect::inspect(&resolved, &Gauge::new("hashing"));
    // A wrong or missing pin is what this verb is for, and no pin needs an engine.
    if !found.problems.is_empty() {
        return Err(found.problems.into());
    }
    let mut pins = found.pins;
    if let Some(run) = from {
        pins.extend(artefacts(&resolved, &pins, run)?);
    }
    if check { Ok(verify(&resolved, &pins)?) } else { write(path, &resolved, &pins) }
}

fn verify(resolved: &Resolved, pins: &[PinState]) -> Result<Exit, Failure> {
    let wrong = pins.iter().filter(|pin| !pin.holds()).map(|pin| {
        let missing = || {
            let message = format!("`{}` is missing: {} has {}", pin.key, pin.what, pin.found);
            Diagnostic::error(Cause::Integrity, message).next(format!("run `requant pin {}`", resolved.path.display()))
        };
        pin.broken().unwrap_or_else(missing).at(resolved.place(&pin.key))
    });
    let wrong: Vec<Diagnostic> = wrong.collect();
    if !wrong.is_empty() {
        return Err(wrong.into());
    }
    print(&format!("{}: {} pins hold\n", resolved.path.display(), pins.len()));
    Ok(Exit::Done)
}

fn write(path: &Path, resolved: &Resolved, pins: &[PinState]) -> Result<Exit, Failure> {
    let changed: Vec<&PinState> = pins.iter().filter(|pin| !pin.holds()).collect();
    let wanted: Vec<Pin> = changed.iter().map(|pin| Pin { key: pin.key.clone(), digest: pin.found }).collect();
    let text = scaffold::pinned_text(&resolved.text, &wanted).map_err(|reason| {
        let message = format!("`{}` cannot be pinned: {reason}", path.display());
        Diagnostic::error(Cause::Input, message).next("write the tables into the manifest itself")
    })?;
    for pin in &changed {
        let before = pin.expected.map_or_else(|| "new".to_owned(), |expected| format!("was {expected}"));
        print(&format!("{} = {} ({before})\n", pin.key, pin.found));
    }
    if text != resolved.text {
        files::replace(path, text.as_bytes())?;
    }
    print(&format!("{}: {} of {} pins changed\n", path.display(), changed.len(), pins.len()));
    Ok(Exit::Done)
}

/// The artefacts of a run, which must have had these very inputs.
fn artefacts(resolved: &Resolved, pins: &[PinState], run: &Path) -> Result<Vec<PinState>, Failure> {
    let record = store::read(run)?;
    let inputs = &record.inputs;
    let used = [
        ("model.sha256", inputs.model.sha256),
        ("dataset.sha256", inputs.dataset.sha256),
        ("calibration.sha256", inputs.calibration.sha256),
    ];
    for (key, digest) in used {
        if pins.iter().any(|pin| pin.key == key && pin.found != digest) {
            let message = format!("the run `{}` had another `{key}`: {digest}", run.display());
            let next = "name a run of this manifest as it is now";
            return Err(Diagnostic::error(Cause::Integrity, message).next(next).at(resolved.place(key)).into());
        }
    }
    let (own, theirs) = (&resolved.manifest, &record.settings);
    let tables = [
        ("quantize", own.quantize == theirs.quantize),
        ("compute", own.compute == theirs.compute),
        ("dataset.preprocess", own.dataset.preprocess == theirs.dataset.preprocess),
    ];
    if let Some((key, _)) = tables.into_iter().find(|(_, same)| !same) {
        let message = format!("the run `{}` had other settings in `[{key}]`", run.display());
        let next = "name a run of this manifest as it is now, without settings from outside";
        return Err(Diagnostic::error(Cause::Integrity, message).next(next).at(resolved.place(key)).into());
    }
    let mut states = Vec::new();
    for (position, variant) in resolved.manifest.variant.iter().enumerate() {
        let theirs = record.variants.iter().find(|theirs| theirs.name == variant.name);
        let Some(artefact) = theirs.and_then(|theirs| theirs.measured()).map(|measured| &measured.artefact) else {
            continue;
        };
        untouched(&run.join(&artefact.path), artefact.sha256)?;
        states.push(PinState {
            key: format!("variant.{position}.sha256"),
            what: format!("the artefact of `{}`", variant.name),
            expected: variant.sha256,
            found: artefact.sha256,
        });
    }
    Ok(states)
}

/// A committed run may lack its artefacts; those it has must be the recorded ones.
fn untouched(artefact: &Path, recorded: Digest) -> Result<(), Failure> {
    if artefact.exists() && Digest::of(&files::read(artefact)?) != recorded {
        let message = format!("`{}` is not what the run recorded, {recorded}", artefact.display());
        return Err(Diagnostic::error(Cause::Integrity, message).next("run the experiment again").into());
    }
    Ok(())
}
