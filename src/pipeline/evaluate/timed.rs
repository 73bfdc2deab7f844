//! What is timed is what was judged: a network's answers to the batches that are timed, beside those that it gave before.

use super::{Given, Network, in_batches};
use crate::backend::{BackendError, Session};
use crate::manifest::Precision;
use crate::task::classification::{Answer, Head};
use crate::task::fidelity::{Closeness, decibels};
use crate::tensor::Tensor;

/// A class may depend on the batch size only where the lead is within rounding, which grows with the logits where
/// numbers are short.
fn rounding(network: Network, logits: &[f32]) -> f32 {
    let Network::Float(precision) = network else { return LEAD };
    let largest = logits.iter().filter(|logit| logit.is_finite()).fold(0.0_f32, |most, logit| most.max(logit.abs()));
    let short = precision.epsilon().filter(|_| precision.is_short());
    short.map_or(LEAD, |epsilon| (8.0 * epsilon * largest).max(LEAD))
}

const LEAD: f32 = 1e-3;

/// Whether samples from the `first` on are put into other classes than before, by more than rounding.
pub(super) fn changed_classes(
    network: Network,
    head: Head,
    given: &Given,
    again: &[Tensor],
    first: usize,
) -> Option<String> {
    let again = again.first()?;
    let lead = rounding(network, again.as_f32().unwrap_or(&[]));
    let again: Vec<Answer> = again.f32_rows().map(|row| head.answer(row)).collect();
    // Few samples are repeated from the first.
    let differs = |(a, b): (&Answer, &Answer)| a.class != b.class && a.margin.max(b.margin) > lead;
    let changed = again.iter().zip(given.answers.iter().cycle().skip(first)).filter(|pair| differs(*pair)).count();
    (changed > 0).then(|| format!("it classifies {changed} samples otherwise"))
}

/// Of a float network, outputs that differ between batch sizes keep at least this ratio, in dB.
const SAME_DB: f64 = 40.0;

/// Differences of this share of the largest output's typical value are rounding in single precision.
const ROUNDING: f64 = 1e-5;

/// What rounding of eight units in the last place leaves.
fn rounding_db(precision: Precision) -> f64 {
    let epsilon = precision.epsilon().map_or(f64::from(f32::EPSILON), f64::from);
    -20.0 * (8.0 * epsilon).log10()
}

/// The root of the mean square of a tensor's values.
fn typical(tensor: &Tensor) -> f64 {
    let values = tensor.as_f32().unwrap_or(&[]);
    (values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// Whether the outputs for these rows differ from those image by image: in float by more than rounding, in integers by
/// more than quantization costs.
pub(super) fn changed_outputs(
    network: Network,
    session: &mut Box<dyn Session>,
    rows: &Tensor,
    again: &[Tensor],
    given: &Given,
) -> Result<Option<String>, BackendError> {
    let one_by_one = in_batches(&mut **session, rows, Some(1))?;
    let largest = again.iter().map(typical).filter(|typical| typical.is_finite()).fold(1.0, f64::max);
    for (place, (should, is)) in one_by_one.iter().zip(again).enumerate() {
        let pairs = should.f32_rows().zip(is.f32_rows()).map(|(should, is)| Closeness::of(should, is));
        let (signal, noise) = pairs.fold((0.0, 0.0), |(s, n), own| (s + own.signal, n + own.noise));
        let quantized = given.closeness.get(place).and_then(|all| {
            let sum = |pick: fn(&Closeness) -> f64| all.iter().filter(|own| own.is_defined()).map(pick).sum::<f64>();
            decibels(sum(|own| own.signal), sum(|own| own.noise))
        });
        let least = match network {
            Network::Float(precision) => SAME_DB.min(rounding_db(precision)),
            Network::Int8 | Network::Few | Network::Symmetric => quantized.unwrap_or(SAME_DB),
        };
        // What is nothing but rounding keeps no ratio, and none is asked of it.
        let is_rounding = noise <= (ROUNDING * largest).powi(2) * is.data().len() as f64;
        if let Some(kept) = decibels(signal, noise).filter(|kept| *kept < least && !is_rounding) {
            return Ok(Some(format!("output {} lies {kept:.1} dB from that for single images", place + 1)));
        }
    }
    Ok(None)
}
