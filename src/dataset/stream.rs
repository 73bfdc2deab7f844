//! Decoded batches in order, a few ahead of the reader and never more: memory depends on the batch
//! size, not on the number of images.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use rayon::prelude::*;

use super::{DatasetError, Entry, Image, Source};
use crate::base::interrupt;

/// How many decoded batches may wait for the reader.
const AHEAD: usize = 2;

/// Decodes `entries` in parallel on a thread of `scope`, in batches of `size`.
pub fn batches<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    source: &'env dyn Source,
    entries: &'env [Entry],
    size: usize,
) -> Receiver<Result<Vec<Image>, DatasetError>> {
    let (sender, receiver) = sync_channel(AHEAD);
    scope.spawn(move || {
        for chunk in entries.chunks(size.max(1)) {
            let batch = decode(source, chunk);
            let failed = batch.is_err();
            // A closed channel means that the reader has stopped, which is its right.
            if sender.send(batch).is_err() || failed || interrupt::check().is_err() {
                return;
            }
        }
    });
    receiver
}

fn decode(source: &dyn Source, entries: &[Entry]) -> Result<Vec<Image>, DatasetError> {
    entries.par_iter().map(|entry| source.decode(entry, &source.bytes(entry)?)).collect()
}
