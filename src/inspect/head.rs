//! How a network's last numbers become a class.

use crate::graph::op::Score;
use crate::graph::{Graph, NodeId, Op};
use crate::task::classification::Head;

/// How the network's last numbers become a class. Of a network with one number, the node after which nobody can tell
/// where its two classes part is the error.
pub(super) fn of(graph: &Graph) -> Result<Head, NodeId> {
    if graph.classes() == Some(1) { of_one(graph, graph.output()) } else { Ok(Head::Scores) }
}

/// One number is a probability where a sigmoid gives it, and a logit where a layer does.
fn of_one(graph: &Graph, id: NodeId) -> Result<Head, NodeId> {
    let node = graph.node(id);
    match node.op.facts().score {
        Score::Probability => Ok(Head::Probability),
        Score::Logit => Ok(Head::Logit),
        Score::AsInput => of_one(graph, node.inputs[0]),
        // `1 − p` is no logit.
        Score::LinearInLogits => {
            let logit = |input: &NodeId| {
                matches!(graph.node(*input).op, Op::Constant(_)) || of_one(graph, *input) == Ok(Head::Logit)
            };
            if node.inputs.iter().all(logit) { Ok(Head::Logit) } else { Err(id) }
        }
        Score::OddInLogit => of_one(graph, node.inputs[0]).and_then(|head| match head {
            Head::Logit => Ok(Head::Logit),
            Head::Scores | Head::Probability => Err(id),
        }),
        Score::Unknown => Err(id),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::op::{Binary, Layer, Layout, Normalize, Unary, Weights};
    use crate::graph::{Dim, Node};
    use crate::tensor::Tensor;

    /// A layer of one number, and operators after it; each takes a constant beside it where it takes two.
    fn after_a_layer(ops: &[Op]) -> Result<Head, NodeId> {
        let shape = vec![Dim::Batch, Dim::Known(4)];
        let input = Node { name: "x".into(), op: Op::Input, inputs: Vec::new(), shape };
        let mut graph = Graph { nodes: vec![input], outputs: vec![NodeId(0)] };
        let weight = Arc::new(Tensor::f32(vec![1, 4], vec![0.5; 4]).unwrap());
        let layer = Op::Layer(Layer::Linear { weights: Weights { weight, bias: None }, relu: false });
        let one = Op::Constant(Arc::new(Tensor::f32(vec![1], vec![1.0]).unwrap()));
        let mut last = graph.push("layer".into(), layer, vec![NodeId(0)]).unwrap();
        let one = graph.push("one".into(), one, Vec::new()).unwrap();
        for (place, op) in ops.iter().enumerate() {
            let inputs = if matches!(op, Op::Binary(_)) { vec![one, last] } else { vec![last] };
            last = graph.push(format!("n{place}"), op.clone(), inputs).unwrap();
        }
        graph.outputs = vec![last];
        of(&graph).map_err(|_| last)
    }

    #[test]
    fn one_number_is_understood_or_refused() {
        assert_eq!(after_a_layer(&[]), Ok(Head::Logit));
        assert_eq!(after_a_layer(&[Op::Binary(Binary::Add { relu: false })]), Ok(Head::Logit));
        assert_eq!(after_a_layer(&[Op::Unary(Unary::Tanh)]), Ok(Head::Logit));
        assert_eq!(after_a_layer(&[Op::Unary(Unary::Sigmoid), Op::Layout(Layout::Identity)]), Ok(Head::Probability));
        // The probability of the first class, a softmax over one number, and numbers that are never negative.
        assert!(after_a_layer(&[Op::Unary(Unary::Sigmoid), Op::Binary(Binary::Sub)]).is_err());
        assert!(after_a_layer(&[Op::Normalize(Normalize::Softmax { axis: 1 })]).is_err());
        assert!(
            after_a_layer(&[Op::Unary(Unary::Relu)]).is_err()
                && after_a_layer(&[Op::Unary(Unary::Sigmoid), Op::Unary(Unary::Tanh)]).is_err()
        );
    }
}
