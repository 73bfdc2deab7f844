//! A subset as preprocessed batches: what calibration and evaluation both walk through.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Scope};

use super::event::Event;
use super::prepared::Prepared;
use super::surroundings::Surroundings;
use crate::backend;
use crate::base::explain::Failure;
use crate::base::interrupt;
use crate::dataset::{self, Chosen, DatasetError, Piece};
use crate::picture::{Image, PreprocessError, Threads};
use crate::tensor::Tensor;

/// A batch and how many images there were up to its end.
struct Batch {
    input: Tensor,
    done: usize,
}

/// Hands every batch of `chosen` to `body`, in order, while the next ones are decoded and, where a
/// core is left for it, preprocessed; stops at the first failure or when the run is asked to stop.
pub fn each_batch(
    prepared: &Prepared,
    chosen: &Chosen,
    size: usize,
    around: &Surroundings<'_>,
    mut body: impl FnMut(&Tensor) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let pieces = dataset::pieces(chosen, size);
    let total = chosen.entries.len();
    thread::scope(|scope| {
        let images = dataset::decoded(scope, &*prepared.inputs.data.source, &pieces, &prepared.album);
        let batches: Box<dyn Iterator<Item = _>> = if a_core_is_left(prepared) {
            Box::new(ahead(scope, prepared, &pieces, images).into_iter())
        } else {
            Box::new(batches(prepared, Threads::All, &pieces, images))
        };
        for batch in batches {
            interrupt::check()?;
            let Batch { input, done } = batch?;
            body(&input)?;
            around.events.emit(&Event::Progress { done, total, unit: "images" });
        }
        // An interrupt also ends the decoding, and with it the loop.
        Ok(interrupt::check()?)
    })
}

/// A network that already has a thread on every core only loses by company: its threads wait for
/// each other at the end of every operator.
fn a_core_is_left(prepared: &Prepared) -> bool {
    thread::available_parallelism().is_ok_and(|cores| cores.get() > prepared.resolved.manifest.compute.threads)
}

/// [`batches`] on a thread of `scope`, one ahead of the reader.
fn ahead<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    prepared: &'env Prepared,
    pieces: &'env [Piece<'env>],
    images: Receiver<Result<Vec<Image>, DatasetError>>,
) -> Receiver<Result<Batch, Failure>> {
    let (sender, receiver) = sync_channel(0);
    scope.spawn(move || {
        for batch in batches(prepared, Threads::Own, pieces, images) {
            let failed = batch.is_err();
            // A closed channel means that the reader has stopped, which is its right.
            if sender.send(batch).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

/// The pieces, as they are decoded, preprocessed and put together.
fn batches<'a>(
    prepared: &'a Prepared,
    threads: Threads,
    pieces: &'a [Piece<'a>],
    images: Receiver<Result<Vec<Image>, DatasetError>>,
) -> impl Iterator<Item = Result<Batch, Failure>> + 'a {
    let settings = &prepared.resolved.manifest.dataset.preprocess;
    let channels = prepared.inputs.model.channels();
    let (mut done, mut parts) = (0, Vec::new());
    pieces.iter().zip(images).filter_map(move |(piece, images)| {
        let add = || -> Result<Option<Batch>, Failure> {
            parts.push(backend::preprocess(prepared.reference.backend, &images?, settings, channels, threads)?);
            done += piece.entries.len();
            if !piece.ends_batch {
                return Ok(None);
            }
            let input = Tensor::stacked(std::mem::take(&mut parts));
            Ok(Some(Batch { input: input.map_err(|error| PreprocessError(error.to_string()))?, done }))
        };
        add().transpose()
    })
}
