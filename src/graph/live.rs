//! How many numbers a network holds at once.

use super::{Dim, Graph, Op, Shape};

/// The most numbers that are alive together while one image runs through the network in execution order, each from
/// the node that gives it to the last one that reads it. Weights are not among them.
#[must_use]
pub fn most_values(graph: &Graph) -> usize {
    let mut last = vec![0; graph.nodes.len()];
    for (id, node) in graph.iter() {
        last[id.0] = last[id.0].max(id.0);
        node.inputs.iter().for_each(|input| last[input.0] = last[input.0].max(id.0));
    }
    graph.outputs.iter().for_each(|output| last[output.0] = graph.nodes.len());
    let (mut now, mut most) = (0_usize, 0);
    for (id, node) in graph.iter() {
        let size = |at: usize| if is_constant(&graph.nodes[at].op) { 0 } else { values(&graph.nodes[at].shape) };
        now = now.saturating_add(size(id.0));
        most = most.max(now);
        let mut read: Vec<usize> = node.inputs.iter().map(|input| input.0).chain([id.0]).collect();
        read.sort_unstable();
        read.dedup();
        for done in read.into_iter().filter(|&at| last[at] == id.0) {
            now = now.saturating_sub(size(done));
        }
    }
    most
}

const fn is_constant(op: &Op) -> bool {
    matches!(op, Op::Constant(_))
}

fn values(shape: &Shape) -> usize {
    shape.iter().filter_map(Dim::known).fold(1, usize::saturating_mul)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::op::{Binary, Unary};
    use crate::graph::{Node, NodeId};

    #[test]
    fn what_is_read_no_more_is_not_alive() {
        let shape = vec![Dim::Batch, Dim::Known(10)];
        let input = Node { name: "x".into(), op: Op::Input, inputs: Vec::new(), shape };
        let mut graph = Graph { nodes: vec![input], outputs: vec![NodeId(0)] };
        let a = graph.push("a".into(), Op::Unary(Unary::Relu), vec![NodeId(0)]).unwrap();
        let b = graph.push("b".into(), Op::Unary(Unary::Sigmoid), vec![a]).unwrap();
        let c = graph.push("c".into(), Op::Unary(Unary::Relu), vec![b]).unwrap();
        graph.outputs = vec![c];
        assert_eq!(most_values(&graph), 20);
        // A shortcut keeps its tensor alive.
        graph.outputs = vec![graph.push("d".into(), Op::Binary(Binary::Add { relu: false }), vec![c, a]).unwrap()];
        assert_eq!(most_values(&graph), 30);
    }
}
