//! A look at the pixels of every chosen sample, which takes as long as decoding them.

use rayon::prelude::*;

use super::concerns::some;
use super::{DataInputs, Inputs};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::interrupt;
use crate::base::progress::Meter;
use crate::dataset::{self, Album, Chosen};
use crate::manifest::Resolved;

/// What the pixels say: samples that cannot be decoded, and pictures that are on both sides.
pub fn deep(resolved: &Resolved, inputs: &Inputs, meter: &dyn Meter) -> Result<Vec<Diagnostic>, Failure> {
    let data = &inputs.data;
    let album = Album::default();
    let mut found = Vec::new();
    for (table, chosen) in [("calibration", &data.calibration), ("evaluation", &data.evaluation)] {
        let broken = decode(data, chosen, &album, meter)?;
        found.extend(broken.map(|problem| problem.at(resolved.place(&format!("{table}.splits")))));
    }
    let twins = album.twins(&data.calibration, &data.evaluation);
    let at = |problem: Diagnostic| problem.at(resolved.place("evaluation.splits"));
    found.extend(same(data, &twins.same).map(at));
    found.extend(alike(data, &twins.alike).map(at));
    Ok(found)
}

/// Decodes every sample; what cannot be decoded is one problem.
fn decode(data: &DataInputs, chosen: &Chosen, album: &Album, meter: &dyn Meter) -> Result<Option<Diagnostic>, Failure> {
    let samples = chosen.entries.par_iter().zip(&chosen.digests);
    let broken: Vec<Diagnostic> = samples
        .filter_map(|(entry, digest)| {
            interrupt::check().ok()?;
            let image = dataset::held(&*data.source, entry, *digest).and_then(|bytes| {
                meter.add(bytes.len() as u64);
                data.source.decode(entry, &bytes)
            });
            image.map(|image| album.look(*digest, &image)).err().map(Diagnostic::from)
        })
        .collect();
    interrupt::check()?;
    let more = broken.len().saturating_sub(1);
    Ok(broken.into_iter().next().map(|first| {
        let message = if more == 0 { first.message } else { format!("{}; and {more} more", first.message) };
        Diagnostic { message, ..first }
    }))
}

fn same(data: &DataInputs, twins: &[(usize, usize)]) -> Option<Diagnostic> {
    let message = format!(
        "{} of {} evaluation samples show the same pixels as a calibration sample, in another file: {}",
        twins.len(),
        data.evaluation.entries.len(),
        named(data, twins)?
    );
    let next = "draw `calibration.splits` and `evaluation.splits` from different data";
    Some(Diagnostic::error(Cause::Refuted, message).next(next))
}

fn alike(data: &DataInputs, twins: &[(usize, usize)]) -> Option<Diagnostic> {
    let message = format!(
        "{} of {} evaluation samples look like a calibration sample: {}",
        twins.len(),
        data.evaluation.entries.len(),
        named(data, twins)?
    );
    Some(Diagnostic::warning(message).next("look at these pairs: copies of one picture make accuracy look too high"))
}

/// A few pairs by name; `None` where there is none.
fn named(data: &DataInputs, twins: &[(usize, usize)]) -> Option<String> {
    let pair = |(evaluated, calibrated): &(usize, usize)| {
        let (evaluated, calibrated) = (&data.evaluation.entries[*evaluated], &data.calibration.entries[*calibrated]);
        format!("`{}` and `{}`", evaluated.id, calibrated.id)
    };
    (!twins.is_empty()).then(|| some(twins.iter().map(pair), twins.len()))
}
