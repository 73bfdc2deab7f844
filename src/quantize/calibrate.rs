//! Feeding observers, then turning what they saw into quantization parameters.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::observer::{Observed, Observer, ObserverKind};
use super::plan::Plan;
use super::scheme::Scheme;
use super::{qparams, weights};
use crate::graph::quantization::{Placement, QParams, Quantization};
use crate::graph::{Graph, NodeId};
use crate::manifest::Step;
use crate::tensor::Tensor;

/// Output range of PyTorch's fixed-range operators (sigmoid and its kin): 1/256, zero point 0.
const FIXED: QParams = QParams { scale: 1.0 / 256.0, zero_point: 0 };

/// Observers at work on a plan's tensors.
pub struct Calibrator {
    observers: Vec<Option<Observer>>,
    /// For each tap, in execution order, the observer it feeds.
    feeds: Vec<usize>,
    batches: usize,
}

/// What calibration saw, by observer of the plan.
#[derive(Debug, Clone)]
pub struct Calibration {
    pub observed: Vec<Option<Observed>>,
    pub batches: usize,
}

impl Calibrator {
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            observers: plan.observers.iter().map(|slot| Observer::new(slot.kind, slot.levels)).collect(),
            feeds: plan.taps().iter().filter_map(|tap| plan.observer_of[tap.0]).collect(),
            batches: 0,
        }
    }

    /// Takes in one batch: `taps` holds the outputs of [`Plan::taps`], in that order.
    pub fn observe(&mut self, taps: &[&[f32]]) {
        // Each observer sees its own tensors in execution order; observers are independent.
        let mut inbox: Vec<Vec<&[f32]>> = vec![Vec::new(); self.observers.len()];
        for (tensor, &slot) in taps.iter().zip(&self.feeds) {
            inbox[slot].push(tensor);
        }
        self.observers.par_iter_mut().zip(inbox).for_each(|(observer, tensors)| {
            if let Some(observer) = observer {
                tensors.into_iter().for_each(|tensor| observer.observe(tensor));
            }
        });
        self.batches += 1;
    }

    #[must_use]
    pub fn finish(self) -> Calibration {
        let finish = |observer: &Option<Observer>| observer.as_ref().and_then(Observer::finish);
        Calibration { observed: self.observers.par_iter().map(finish).collect(), batches: self.batches }
    }
}

/// A tensor that must be quantized but was never seen.
#[derive(Debug, thiserror::Error)]
#[error("`{layer}` was never observed with a finite value, so it has no range")]
pub struct Unobserved {
    pub layer: String,
}

/// The graph with the values that its integer weights stand for.
#[must_use]
pub fn with_integer_weights(graph: &Graph, quantization: &Quantization) -> Graph {
    let mut graph = graph.clone();
    for (&id, quantized) in &quantization.weights {
        super::equalize::edit(&mut graph, id, |weights| {
            let bias = weights.bias.as_ref().and_then(|bias| bias.as_f32()).map(<[f32]>::to_vec);
            (weights::dequantized(quantized), bias)
        });
    }
    graph
}

/// Parameters of every integer tensor and the integer weights of every integer layer.
pub fn quantize(
    graph: &Graph,
    plan: &Plan,
    scheme: &Scheme,
    calibration: &Calibration,
) -> Result<Quantization, Unobserved> {
    let parameters = |id: NodeId| -> Result<Option<QParams>, Unobserved> {
        let Some(slot) = plan.observer_of[id.0] else { return Ok(None) };
        if plan.observers[slot].kind == ObserverKind::Fixed {
            return Ok(Some(FIXED));
        }
        let seen = calibration.observed[slot].ok_or_else(|| Unobserved { layer: graph.node(id).name.clone() })?;
        Ok(Some(qparams::affine(seen.low, seen.high, scheme.activation_range())))
    };
    let activations = graph.ids().map(parameters).collect::<Result<_, _>>()?;
    let integers = |weight: &Tensor| weights::integers(weight, scheme.weights, scheme.has(Step::BoundWeights));
    let layers: BTreeMap<_, _> = graph
        .ids()
        .filter(|id| plan.placement[id.0] == Placement::Int8)
        .filter_map(|id| Some((id, integers(&graph.node(id).op.weights()?.weight)?)))
        .collect();
    Ok(Quantization { placement: plan.placement.clone(), kernels: plan.kernels.clone(), activations, weights: layers })
}
