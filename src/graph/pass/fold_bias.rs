//! A vector added to the output of a linear layer without bias is its bias: exporters write
//! `MatMul` and `Add` for what was one layer.

use super::Patch;
use crate::graph::op::{Binary, Layer, Weights};
use crate::graph::{Graph, NodeId, Op};

pub(super) fn find(graph: &Graph, users: &[Vec<NodeId>]) -> Option<Patch> {
    graph.iter().find_map(|(id, node)| {
        let (Op::Binary(Binary::Add { relu: false }), &[left, right]) = (&node.op, node.inputs.as_slice()) else {
            return None;
        };
        let merge = |source: NodeId, vector: NodeId| {
            let (Op::Layer(Layer::Linear { weights, relu: false }), Op::Constant(bias)) =
                (&graph.node(source).op, &graph.node(vector).op)
            else {
                return None;
            };
            // Another reader of the sum's input must go on seeing it without the bias.
            let alone = users[source.0].len() == 1 && !graph.gives(source);
            (alone && weights.bias.is_none() && bias.shape() == &weights.weight.shape()[..1]).then(|| {
                let weights = Weights { weight: weights.weight.clone(), bias: Some(bias.clone()) };
                let inputs = graph.node(source).inputs.clone();
                Patch {
                    set: vec![(source, Op::Layer(Layer::Linear { weights, relu: false }), inputs)],
                    redirect: vec![(id, source)],
                    at: source,
                    reason: format!("`{}` adds a vector to nothing but this output", node.name),
                }
            })
        };
        merge(left, right).or_else(|| merge(right, left))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::{Dim, Node};
    use crate::tensor::Tensor;

    /// `z = x·W + b`, returned alone or multiplied by `x·W` itself.
    fn graph(shared: bool) -> Graph {
        let input =
            Node { name: "x".into(), op: Op::Input, inputs: Vec::new(), shape: vec![Dim::Batch, Dim::Known(2)] };
        let mut graph = Graph { nodes: vec![input], outputs: vec![NodeId(0)] };
        let weight = Arc::new(Tensor::f32(vec![3, 2], vec![1.0; 6]).unwrap());
        let linear = Op::Layer(Layer::Linear { weights: Weights { weight, bias: None }, relu: false });
        let y = graph.push("y".into(), linear, vec![NodeId(0)]).unwrap();
        let b = graph.push("b".into(), Op::Constant(Arc::new(Tensor::vector(vec![0.5; 3]))), Vec::new()).unwrap();
        graph.outputs = vec![graph.push("z".into(), Op::Binary(Binary::Add { relu: false }), vec![b, y]).unwrap()];
        if shared {
            let z = graph.output();
            graph.outputs =
                vec![graph.push("product".into(), Op::Binary(Binary::Mul { relu: false }), vec![y, z]).unwrap()];
        }
        graph
    }

    #[test]
    fn a_bias_is_folded_only_where_nothing_else_reads_the_product() {
        let alone = graph(false);
        assert!(find(&alone, &alone.users()).is_some());
        let shared = graph(true);
        assert!(find(&shared, &shared.users()).is_none());
    }
}
