//! What a network is written to compute and to hand out, whatever file format it is written in.

use crate::graph::quantization::Quantization;
use crate::graph::{Graph, NodeId};

/// A form of a network that every format can hold.
#[derive(Debug, Clone, Copy)]
pub enum Form<'a> {
    /// The float network.
    Float,
    /// The float network up to the last of the named nodes, handing out their outputs in the given order.
    Taps(&'a [NodeId]),
    /// The quantized network.
    Int8(&'a Quantization),
    /// The quantized network up to the last of the named nodes, handing out their outputs as its integers have
    /// them, in real numbers and in the given order.
    Int8Taps(&'a Quantization, &'a [NodeId]),
    /// The float network with every tensor that is an integer in the quantized one rounded to it.
    Rounded(&'a Quantization),
    /// The quantized network beside a float one of the same nodes, comparing some that compute in integers. It hands
    /// out a vector per such node in the given order: the sum of squares of the float output, that of the difference,
    /// and the difference's mean in each channel (of a linear layer, each feature), float minus integer.
    Beside {
        quantization: &'a Quantization,
        reference: &'a Graph,
        /// The nodes that are compared.
        nodes: &'a [NodeId],
        /// What the integer nodes are given.
        inputs: Inputs,
    },
}

/// What a node that is compared computes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// The float network's tensors, rounded: the error is the node's own.
    Clean,
    /// What the quantized network has come to: errors of earlier nodes add up.
    Running,
}

impl Form<'_> {
    /// The last node that is asked for.
    #[must_use]
    pub fn last(&self, graph: &Graph) -> NodeId {
        let asked = match self {
            Self::Taps(nodes) | Self::Int8Taps(_, nodes) | Self::Beside { nodes, .. } => nodes,
            Self::Float | Self::Int8(_) | Self::Rounded(_) => graph.outputs.as_slice(),
        };
        asked.iter().max().copied().unwrap_or(graph.output())
    }
}
