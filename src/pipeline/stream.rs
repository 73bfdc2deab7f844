//! A subset as preprocessed batches: what calibration and evaluation both walk through.

use std::thread;

use super::prepare::Prepared;
use super::{Event, Surroundings};
use crate::base::explain::Failure;
use crate::base::interrupt;
use crate::dataset::{self, Chosen, PreprocessError};
use crate::tensor::Tensor;

/// Hands every batch of `chosen` to `body`, in order, while the next ones are decoded; stops at the
/// first failure or when the run is asked to stop.
pub(super) fn each_batch(
    prepared: &Prepared,
    chosen: &Chosen,
    size: usize,
    around: &Surroundings<'_>,
    mut body: impl FnMut(&Tensor) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let settings = &prepared.resolved.manifest.dataset.preprocess;
    let (channels, total) = (prepared.inputs.model.channels(), chosen.entries.len());
    let pieces = dataset::pieces(chosen, size);
    let (mut done, mut parts) = (0, Vec::new());
    thread::scope(|scope| {
        for (piece, images) in pieces.iter().zip(dataset::decoded(scope, &*prepared.inputs.data.source, &pieces)) {
            interrupt::check()?;
            parts.push(prepared.runtime.arithmetic().preprocess(&images?, settings, channels)?);
            if piece.ends_batch {
                let batch = Tensor::stacked(std::mem::take(&mut parts));
                body(&batch.map_err(|error| PreprocessError(error.to_string()))?)?;
            }
            done += piece.entries.len();
            around.events.emit(&Event::Progress { done, total, unit: "images" });
        }
        // An interrupt also ends the decoding, and with it the loop.
        Ok(interrupt::check()?)
    })
}
