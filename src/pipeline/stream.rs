//! A subset as preprocessed batches: what calibration and evaluation both walk through.

use std::thread;

use super::prepare::Prepared;
use super::{Event, Surroundings};
use crate::base::explain::Failure;
use crate::base::interrupt;
use crate::dataset::{self, Chosen};
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
    let total = chosen.entries.len();
    let mut done = 0;
    thread::scope(|scope| {
        for images in dataset::batches(scope, &*prepared.inputs.data.source, &chosen.entries, size) {
            interrupt::check()?;
            let images = images?;
            body(&prepared.runtime.arithmetic().preprocess(&images, settings, prepared.inputs.model.channels())?)?;
            done += images.len();
            around.events.emit(&Event::Progress { done, total, unit: "images" });
        }
        // An interrupt also ends the decoding, and with it the loop.
        Ok(interrupt::check()?)
    })
}
