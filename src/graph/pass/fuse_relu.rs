//! A rectifier whose only input is a convolution, linear layer, addition or multiplication becomes
//! part of it, so that the tensor between them is neither stored nor rounded.

use super::Patch;
use crate::graph::op::Unary;
use crate::graph::{Graph, NodeId, Op};

pub(super) fn find(graph: &Graph, users: &[Vec<NodeId>]) -> Option<Patch> {
    graph.iter().find_map(|(id, node)| {
        let (Op::Unary(Unary::Relu), &[source]) = (&node.op, node.inputs.as_slice()) else { return None };
        let producer = graph.node(source);
        if users[source.0].len() != 1 || graph.gives(source) {
            return None;
        }
        let fused = rectified(&producer.op)?;
        Some(Patch {
            reason: format!("`{}` rectifies nothing but this output", node.name),
            set: vec![(source, fused, producer.inputs.clone())],
            redirect: vec![(id, source)],
            at: source,
        })
    })
}

/// The operator with a rectifier fused into its output, where it has room for one.
fn rectified(op: &Op) -> Option<Op> {
    let mut op = op.clone();
    let had_one = std::mem::replace(op.relu_mut()?, true);
    (!had_one).then_some(op)
}
