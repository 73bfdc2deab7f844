//! A rectifier whose only input is a convolution, linear layer, addition or multiplication becomes
//! part of it, so that the tensor between them is neither stored nor rounded.

use super::Patch;
use crate::graph::{Graph, NodeId, Op};

pub(super) fn find(graph: &Graph, users: &[Vec<NodeId>]) -> Option<Patch> {
    graph.iter().find_map(|(id, node)| {
        let (Op::Relu, &[source]) = (&node.op, node.inputs.as_slice()) else { return None };
        let producer = graph.node(source);
        if users[source.0].len() != 1 || graph.output == source {
            return None;
        }
        let fused = match producer.op.clone() {
            Op::Conv { weights, geometry, relu: false } => Op::Conv { weights, geometry, relu: true },
            Op::Linear { weights, relu: false } => Op::Linear { weights, relu: true },
            Op::Add { relu: false } => Op::Add { relu: true },
            Op::Mul { relu: false } => Op::Mul { relu: true },
            _ => return None,
        };
        Some(Patch {
            reason: format!("`{}` rectifies nothing but this output", node.name),
            set: vec![(source, fused, producer.inputs.clone())],
            redirect: vec![(id, source)],
            at: source,
        })
    })
}
