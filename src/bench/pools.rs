//! What is timed: the inputs that the passes of each batch size go through in turn.

use crate::measure::pool::Pool;
use crate::workbench::Prepared;

/// What each batch size is timed on.
#[must_use]
pub fn pools(prepared: &Prepared, batches: &[usize]) -> Vec<Pool> {
    let samples = prepared.inputs.data.evaluation.entries.len();
    let image_bytes = prepared.inputs.model.facts.input.iter().product::<usize>() * size_of::<f32>();
    batches.iter().map(|&batch| Pool::of(batch, samples, image_bytes)).collect()
}

/// How many samples the measuring processes need, for all variants together.
#[must_use]
pub fn samples(prepared: &Prepared) -> usize {
    let manifest = prepared.manifest();
    let batches = manifest.variant.iter().flat_map(|variant| variant.timed_at(&manifest.benchmark));
    pools(prepared, &batches.collect::<Vec<_>>()).iter().map(Pool::samples).max().unwrap_or(1)
}
