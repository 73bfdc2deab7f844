//! What a network does to its input before anything else: subtraction, division, multiplication and addition of
//! constants, which are a normalization of pixels that the exporter left in the network.

use super::op::{Binary, Layout};
use super::{Graph, NodeId, Op};

/// A normalization inside a network: `scale · x + offset`, one of each per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    pub nodes: Vec<NodeId>,
    pub scale: Vec<f64>,
    pub offset: Vec<f64>,
}

impl Normalization {
    /// Whether it is meant for pixels from 0 to 255, and not from 0 to 1: it divides by a hundred or so, or subtracts
    /// as much.
    #[must_use]
    pub fn is_of_bytes(&self) -> bool {
        let small = self.scale.iter().all(|scale| scale.abs() <= SMALL_SCALE);
        small || self.offset.iter().zip(&self.scale).any(|(offset, scale)| (offset / scale).abs() >= LARGE_MEAN)
    }
}

/// 1/255 over a standard deviation of 0.1, in units of 0 to 1, is 0.04; 1 over one of 0.9 is 1.1.
const SMALL_SCALE: f64 = 0.1;

/// Means of pixels from 0 to 1 are below 1; of pixels from 0 to 255 they are near 120.
const LARGE_MEAN: f64 = 10.0;

/// The normalization that the network begins with, if it does.
#[must_use]
pub fn of(graph: &Graph) -> Option<Normalization> {
    let channels = graph.input_shape()?.first().copied()?;
    let users = graph.users();
    let mut found = Normalization { nodes: Vec::new(), scale: vec![1.0; channels], offset: vec![0.0; channels] };
    // Where the channels are, which a transposition moves.
    let (mut at, mut axis) = (NodeId(0), 1);
    while let [next] = users[at.0].as_slice() {
        let node = graph.node(*next);
        match &node.op {
            Op::Layout(Layout::Identity) => {}
            Op::Layout(Layout::Transpose(order)) => axis = order.iter().position(|&from| from == axis)?,
            op => {
                let Some(step) = Step::of(op, node.inputs.first() == Some(&at)) else { break };
                let other = node.inputs.iter().find(|input| **input != at)?;
                let Some(values) = per_channel(graph, *other, node.shape.len(), axis, channels) else { break };
                for (channel, value) in values.into_iter().enumerate() {
                    step.apply(value, &mut found.scale[channel], &mut found.offset[channel]);
                }
                found.nodes.push(*next);
            }
        }
        at = *next;
    }
    let sound = found.scale.iter().chain(&found.offset).all(|value| value.is_finite()) && !found.scale.contains(&0.0);
    (sound && !found.nodes.is_empty()).then_some(found)
}

/// One operation with a constant.
#[derive(Clone, Copy)]
enum Step {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Step {
    /// `first` says whether the image is the first operand.
    fn of(op: &Op, first: bool) -> Option<Self> {
        let known = [
            (Binary::Add { relu: false }, Self::Add, true),
            (Binary::Mul { relu: false }, Self::Multiply, true),
            (Binary::Sub, Self::Subtract, first),
            (Binary::Div, Self::Divide, first),
        ];
        let step = known.into_iter().find(|(function, ..)| *op == Op::Binary(*function));
        step.and_then(|(_, step, applies)| applies.then_some(step))
    }

    fn apply(self, value: f64, scale: &mut f64, offset: &mut f64) {
        match self {
            Self::Add => *offset += value,
            Self::Subtract => *offset -= value,
            Self::Multiply => (*scale, *offset) = (*scale * value, *offset * value),
            Self::Divide => (*scale, *offset) = (*scale / value, *offset / value),
        }
    }
}

/// A constant that is one number, or one for each channel; `None` for anything else.
fn per_channel(graph: &Graph, id: NodeId, rank: usize, axis: usize, channels: usize) -> Option<Vec<f64>> {
    let Op::Constant(tensor) = &graph.node(id).op else { return None };
    let (shape, values) = (tensor.shape(), tensor.as_f32()?);
    let place = (axis + shape.len()).checked_sub(rank);
    let fits = shape.iter().enumerate().all(|(at, &size)| size == 1 || Some(at) == place && size == channels);
    match values {
        [one] => Some(vec![f64::from(*one); channels]),
        _ if fits => Some(values.iter().copied().map(f64::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::op::Unary;
    use crate::graph::{Dim, Node};
    use crate::tensor::Tensor;

    fn network(steps: &[(Op, Vec<usize>, Vec<f32>)]) -> Graph {
        let shape = vec![Dim::Batch, Dim::Known(3), Dim::Known(4), Dim::Known(4)];
        let input = Node { name: "x".into(), op: Op::Input, inputs: Vec::new(), shape };
        let mut graph = Graph { nodes: vec![input], output: NodeId(0) };
        let mut at = NodeId(0);
        for (place, (op, shape, values)) in steps.iter().enumerate() {
            let constant = Op::Constant(Arc::new(Tensor::f32(shape.clone(), values.clone()).unwrap()));
            let constant = graph.push(format!("c{place}"), constant, Vec::new()).unwrap();
            at = graph.push(format!("n{place}"), op.clone(), vec![at, constant]).unwrap();
        }
        graph.push("end".into(), Op::Unary(Unary::Relu), vec![at]).unwrap();
        graph
    }

    #[test]
    fn a_chain_of_constants_is_one_normalization() {
        let div = |values: Vec<f32>| (Op::Binary(Binary::Div), vec![], values);
        let channels = |op, values: [f32; 3]| (op, vec![1, 3, 1, 1], values.to_vec());
        let mean = channels(Op::Binary(Binary::Sub), [0.25, 0.5, 0.75]);
        let std = channels(Op::Binary(Binary::Div), [0.5, 0.25, 0.125]);
        let found = of(&network(&[div(vec![255.0]), mean.clone(), std])).unwrap();
        assert_eq!(found.nodes.len(), 3);
        assert!((found.scale[1] - 4.0 / 255.0).abs() < 1e-9 && (found.offset[2] + 6.0).abs() < 1e-9);
        assert!(found.is_of_bytes());
        assert!(!of(&network(&[mean])).unwrap().is_of_bytes());
        let caffe = channels(Op::Binary(Binary::Sub), [103.9, 116.8, 123.7]);
        assert!(of(&network(&[caffe])).unwrap().is_of_bytes());
        assert_eq!(of(&network(&[])), None);
        // One number for each place is no normalization of pixels.
        assert_eq!(of(&network(&[(Op::Binary(Binary::Add { relu: false }), vec![4], vec![1.0; 4])])), None);
    }
}
