//! Biases of integer layers: the room that the accumulator has for them, and their correction: what quantization moves a channel's mean by is taken out of the layer's bias (Nagel
//! et al., 2019, section 4.2, with measured means).

use std::collections::BTreeMap;

use super::equalize::edit;
use crate::graph::quantization::Quantization;
use crate::graph::{Graph, NodeId};

/// Bits of the accumulator that a bias is added to, its sign aside.
pub const ACCUMULATOR_BITS: f64 = 31.0;

/// The binary logarithm of a layer's largest bias in the steps that the engine adds it in, of input scale times weight
/// scale; `None` where it has no bias or no integers.
#[must_use]
pub fn log2(graph: &Graph, quantization: &Quantization, id: NodeId) -> Option<f64> {
    let node = graph.node(id);
    let bias = node.op.weights()?.bias.as_ref()?;
    let int = quantization.weights.get(&id)?;
    let input = quantization.activations[node.inputs.first()?.0]?;
    let steps =
        bias.as_f32()?.iter().zip(&int.scales).map(|(bias, scale)| f64::from(bias.abs()) / (scale * input.scale));
    Some(steps.fold(0.0, f64::max)).filter(|most| *most > 0.0).map(f64::log2)
}

/// The graph with each layer's bias moved by what its channels' means lost, float minus integer: one number per
/// output channel or feature.
#[must_use]
pub fn corrected(graph: &Graph, lost: &BTreeMap<NodeId, Vec<f64>>) -> Graph {
    let mut graph = graph.clone();
    for (&id, means) in lost {
        edit(&mut graph, id, |weights| {
            assert_eq!(weights.weight.shape().first(), Some(&means.len()), "one mean for each output");
            let values = weights.weight.as_f32().unwrap_or(&[]).to_vec();
            let old = weights.bias.as_ref().and_then(|bias| bias.as_f32());
            let old = old.map_or_else(|| vec![0.0; means.len()], <[f32]>::to_vec);
            #[expect(clippy::cast_possible_truncation, reason = "a bias is f32")]
            let moved = |(bias, lost): (f32, &f64)| (f64::from(bias) + lost) as f32;
            (values, Some(old.into_iter().zip(means).map(moved).collect()))
        });
    }
    graph
}
