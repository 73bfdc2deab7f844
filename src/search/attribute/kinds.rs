//! Nodes by what they are for.

use std::collections::BTreeSet;

use crate::graph::op::{Binary, Pool, Unary};
use crate::graph::quantization::Quantization;
use crate::graph::{Graph, NodeId, Op};
use crate::quantize::bias;

/// The gates of squeeze-excite: a factor of a product that comes of a pooled tensor, and all between the two.
pub(super) fn gates(graph: &Graph) -> Vec<NodeId> {
    let mut found = BTreeSet::new();
    for (id, node) in graph.iter().filter(|(_, node)| matches!(node.op, Op::Binary(Binary::Mul { .. }))) {
        for branch in node.inputs.iter().filter_map(|&input| from_pooled(graph, input)) {
            found.extend(branch);
            found.insert(id);
        }
    }
    found.into_iter().collect()
}

/// The chain of nodes from a pooled tensor to this one, if there is one.
fn from_pooled(graph: &Graph, mut id: NodeId) -> Option<Vec<NodeId>> {
    let mut chain = vec![id];
    loop {
        let node = graph.node(id);
        if matches!(node.op, Op::Pool(Pool::GlobalAverage | Pool::SpatialMean)) {
            return Some(chain);
        }
        let before = match *node.inputs.as_slice() {
            [before] => before,
            // x · sigmoid(x), as EfficientNet has it between its two layers.
            [x, own] if graph.node(own).op == Op::Unary(Unary::Sigmoid) && graph.node(own).inputs == [x] => {
                chain.push(own);
                x
            }
            _ => return None,
        };
        chain.push(before);
        id = before;
    }
}

/// Hard-swish and the layers whose outcome it takes.
pub(super) fn hard_swish(graph: &Graph) -> Vec<NodeId> {
    let bends = graph.iter().filter(|(_, node)| node.op == Op::Unary(Unary::HardSwish));
    bends.flat_map(|(id, node)| node.inputs.iter().copied().chain([id])).collect()
}

/// The layers whose biases leave the accumulator, and all that reads their channels up to the next layers with weights:
/// what such a bias makes of a channel stretches the range of every tensor on the way.
pub(super) fn overflowing(graph: &Graph, quantization: &Quantization) -> Vec<NodeId> {
    let users = graph.users();
    let leaves = |id: &NodeId| bias::log2(graph, quantization, *id).is_some_and(|log2| log2 >= bias::ACCUMULATOR_BITS);
    let mut found = BTreeSet::new();
    let mut next: Vec<NodeId> = graph.ids().filter(leaves).collect();
    let first: BTreeSet<NodeId> = next.iter().copied().collect();
    while let Some(id) = next.pop() {
        let ends = graph.node(id).op.weights().is_some() && !first.contains(&id);
        if found.insert(id) && !ends {
            next.extend(&users[id.0]);
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::onnx;
    use crate::graph::op::Layer;
    use crate::graph::pass;

    #[test]
    fn a_gate_reaches_from_the_pooled_tensor_to_the_product() {
        let model = include_bytes!("../../../experiments/models/digits-mobilenet_v3_small.onnx");
        let graph = pass::run_all(onnx::read(model).unwrap().graph).unwrap().0;
        let gates = gates(&graph);
        // Nine blocks: pooling, two convolutions, hard-sigmoid and the product.
        assert_eq!(gates.len(), 9 * 5);
        let of = |wanted: fn(&Op) -> bool| gates.iter().filter(|id| wanted(&graph.node(**id).op)).count();
        assert_eq!(of(|op| matches!(op, Op::Layer(Layer::Conv { .. }))), 18);
        assert_eq!(of(|op| matches!(op, Op::Unary(Unary::HardSigmoid))), 9);
        assert_eq!(hard_swish(&graph).len(), 2 * 19);
    }
}
