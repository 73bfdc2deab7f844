//! What samples of both subsets look like: their numbers, and how tensors use the integers they were given.

use rayon::prelude::*;

use super::attempt::{Attempt, open};
use super::batches;
use super::prepared::Prepared;
use super::surroundings::Surroundings;
use crate::base::explain::Failure;
use crate::codec::Form;
use crate::dataset::Chosen;
use crate::graph::NodeId;
use crate::graph::quantization::QParams;
use crate::record::format::{Usage, ValueFacts};
use crate::tensor::Tensor;

/// So many samples of each subset, spread over it evenly, show what they look like.
const SAMPLES: usize = 128;

/// The share of values that a tensor's levels are counted by.
const CENTRAL: f64 = 0.999;

/// What both subsets look like.
#[derive(Default)]
pub(crate) struct Looks {
    pub calibration: Option<ValueFacts>,
    pub evaluation: Option<ValueFacts>,
    /// By node, where its output is an integer tensor with a range of its own.
    pub usage: Vec<Option<Usage>>,
}

pub(crate) fn look(prepared: &Prepared, attempt: &Attempt, around: &Surroundings<'_>) -> Result<Looks, Failure> {
    let Some(quantization) = &attempt.quantization else { return Ok(Looks::default()) };
    let most = attempt.scheme.activation_range().max;
    let integer = |id: &NodeId| quantization.activations[id.0].map(|parameters| (*id, parameters));
    let tensors: Vec<(NodeId, QParams)> = attempt.plan.taps().iter().filter_map(integer).collect();
    let taps: Vec<NodeId> = tensors.iter().map(|(id, _)| *id).collect();
    // A network of which nothing is asked is no network to every engine.
    let mut session = match taps.as_slice() {
        [] => None,
        taps => Some(open(prepared.reference, &attempt.reference, Form::Taps(taps))?),
    };
    let mut seen = |chosen: &Chosen| -> Result<(Values, Vec<Levels>), Failure> {
        let mut levels: Vec<Levels> = tensors.iter().map(|(_, parameters)| Levels::new(*parameters, most)).collect();
        let mut values = Values::default();
        batches::each_batch(prepared, &spread(chosen), 32, around, |input| {
            values.add(input);
            let outputs = session.as_mut().map_or(Ok(Vec::new()), |session| session.run(input))?;
            levels.par_iter_mut().zip(&outputs).for_each(|(levels, tensor)| levels.add(tensor.as_f32().unwrap_or(&[])));
            Ok(())
        })?;
        Ok((values, levels))
    };
    let (own, levels) = seen(&prepared.inputs.data.calibration)?;
    let (other, other_levels) = seen(&prepared.inputs.data.evaluation)?;
    let mut usage: Vec<Option<Usage>> = vec![None; attempt.graph.nodes.len()];
    for ((id, own), other) in taps.iter().zip(&levels).zip(&other_levels) {
        usage[id.0] = Some(Usage {
            clipped: own.clipped(),
            levels: own.central(),
            clipped_in_evaluation: other.clipped(),
            levels_in_evaluation: other.central(),
        });
    }
    Ok(Looks { calibration: own.facts(), evaluation: other.facts(), usage })
}

/// Samples at even distances.
pub(crate) fn spread(chosen: &Chosen) -> Chosen {
    let count = chosen.entries.len().min(SAMPLES);
    let places: Vec<usize> = (0..count).map(|at| at * chosen.entries.len() / count.max(1)).collect();
    chosen.at(&places)
}

/// Sums over the values of each channel of the network's input.
#[derive(Default)]
struct Values {
    sums: Vec<(f64, f64)>,
    count: usize,
}

impl Values {
    fn add(&mut self, input: &Tensor) {
        let &[images, channels, ref pixels @ ..] = input.shape() else { return };
        let size: usize = pixels.iter().product();
        self.sums.resize(channels, (0.0, 0.0));
        for (at, plane) in input.as_f32().unwrap_or(&[]).chunks(size.max(1)).enumerate() {
            let (sum, squares) = &mut self.sums[at % channels];
            plane.iter().map(|&x| f64::from(x)).for_each(|x| {
                *sum += x;
                *squares += x * x;
            });
        }
        self.count += images * size;
    }

    fn facts(&self) -> Option<ValueFacts> {
        let n = self.count as f64;
        let mean = |(sum, _): &(f64, f64)| sum / n;
        let std = |sums: &(f64, f64)| (sums.1 / n - mean(sums).powi(2)).max(0.0).sqrt();
        (self.count > 0).then(|| ValueFacts {
            mean: self.sums.iter().map(mean).collect(),
            std: self.sums.iter().map(std).collect(),
        })
    }
}

/// How often each level of a tensor is meant.
struct Levels {
    parameters: QParams,
    counts: Vec<u64>,
    below: u64,
    above: u64,
}

impl Levels {
    fn new(parameters: QParams, most: i32) -> Self {
        Self { parameters, counts: vec![0; usize::try_from(most).unwrap_or(0) + 1], below: 0, above: 0 }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the ends first")]
    fn add(&mut self, values: &[f32]) {
        let (per_unit, zero) = ((1.0 / self.parameters.scale) as f32, self.parameters.zero_point as f32);
        let last = (self.counts.len() - 1) as f32;
        for value in values {
            let level = (value * per_unit).round_ties_even() + zero;
            if level < 0.0 {
                self.below += 1;
            } else if level > last {
                self.above += 1;
            } else {
                self.counts[level as usize] += 1;
            }
        }
    }

    fn all(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.below + self.above
    }

    fn clipped(&self) -> f64 {
        (self.below + self.above) as f64 / self.all().max(1) as f64
    }

    /// Levels between which the central values lie, both ends included.
    fn central(&self) -> usize {
        let cut = self.all() as f64 * (1.0 - CENTRAL) / 2.0;
        let outside = |counts: &mut dyn Iterator<Item = &u64>, clipped: u64| {
            let mut sum = clipped as f64;
            counts
                .take_while(|&&count| {
                    sum += count as f64;
                    sum <= cut
                })
                .count()
        };
        let first = outside(&mut self.counts.iter(), self.below);
        let last = outside(&mut self.counts.iter().rev(), self.above);
        self.counts.len().saturating_sub(first + last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_between_the_tails() {
        let mut levels = Levels::new(QParams { scale: 1.0, zero_point: 10 }, 127);
        levels.add(&vec![0.0; 9_990]);
        levels.add(&[1.0; 8]);
        levels.add(&[200.0, -30.0]);
        assert_eq!((levels.central(), levels.all(), levels.below, levels.above), (2, 10_000, 1, 1));
        assert!((levels.clipped() - 2e-4).abs() < 1e-12);
        let mut whole = Levels::new(QParams { scale: 1.0, zero_point: 0 }, 127);
        whole.add(&(0..128).map(|level| level as f32).collect::<Vec<_>>());
        assert_eq!(whole.central(), 128);
    }
}
