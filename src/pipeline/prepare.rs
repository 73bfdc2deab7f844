//! Everything is looked at before anything is computed: the inspection, and then whether results
//! can be written and the engine starts.

use std::{panic, thread};

use crate::backend::{self, Request};
use crate::base::clock;
use crate::base::explain::Failure;
use crate::dataset::{self, Album};
use crate::inspect;
use crate::manifest::Resolved;
use crate::picture::Threads;
use crate::record::provenance;
use crate::record::store::{self, Draft};
use crate::workbench::event::Event;
use crate::workbench::{Prepared, Surroundings};

pub(super) fn prepare(resolved: Resolved, around: &Surroundings<'_>) -> Result<Prepared, Failure> {
    let started = clock::now();
    let path = resolved.path.clone();
    let collected = thread::spawn(move || provenance::collect(&path));
    // What is wrong with them is told without waiting for a large repository.
    let inputs = inspect::inspect(&resolved, around.meter).ready()?;
    let provenance = collected.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
    let id = format!("{}-{}", clock::compact(started), resolved.digest().short());
    let name = &resolved.manifest.name;
    let draft = Draft::begin(around.results, name, id)?;
    for killed in store::abandoned(around.results, name) {
        let note =
            format!("an earlier run was killed and left `{}`; it is incomplete and can be deleted", killed.display());
        around.events.emit(&Event::Note(note));
    }
    backend::start(&resolved.manifest.compute)?;
    let reference = Request::float(resolved.manifest.calibrates_on());
    let repeats = around.repeats.clone();
    let prepared =
        Prepared { resolved, started, draft, repeats, reference, inputs, provenance, album: Album::default() };
    try_one_image(&prepared)?;
    Ok(prepared)
}

/// Preprocesses one image, so that what only its pixels can tell is refused before the work.
fn try_one_image(prepared: &Prepared) -> Result<(), Failure> {
    let data = &prepared.inputs.data;
    let entry = &data.evaluation.entries[0];
    let bytes = dataset::held(&*data.source, entry, data.evaluation.digests[0])?;
    let image = data.source.decode(entry, &bytes)?;
    let settings = &prepared.manifest().dataset.preprocess;
    let channels = prepared.inputs.model.channels();
    backend::preprocess(prepared.reference.backend, &[image], settings, channels, Threads::All)?;
    Ok(())
}
