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
    pub pixels: Pixels,
}

/// What a normalization is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// From 0 to 1.
    Unit,
    /// From 0 to 255.
    Bytes,
}

impl Pixels {
    /// The pixels that a normalization brings to the numbers which networks are trained on; `None` where it could be
    /// another computation. The mean that it subtracts lies among the pixels; what pixels from 0 to 1, or to 255, are
    /// stretched to is 1 wide or a few times that, unless only a mean of bytes is subtracted, as Caffe does.
    fn of(scale: &[f64], offset: &[f64]) -> Option<Self> {
        let each = |means: [f64; 2], scales: [f64; 2]| {
            scale.iter().zip(offset).all(|(scale, offset)| {
                let mean = -offset / scale;
                (means[0]..=means[1]).contains(&mean) && (scales[0]..=scales[1]).contains(scale)
            })
        };
        let width = |from: f64, to: f64| [from / 255.0, to / 255.0];
        if each([0.02, 0.98], [0.9, 12.0]) {
            Some(Self::Unit)
        } else if each([10.0, 245.0], width(0.9, 300.0)) || each([0.0, 0.0], width(0.9, 6.0)) {
            Some(Self::Bytes)
        } else {
            None
        }
    }
}

/// The normalization that the network begins with, if it does.
#[must_use]
pub fn of(graph: &Graph) -> Option<Normalization> {
    let channels = graph.input_shape()?.first().copied()?;
    let users = graph.users();
    let (mut nodes, mut scale, mut offset) = (Vec::new(), vec![1.0; channels], vec![0.0; channels]);
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
                    step.apply(value, &mut scale[channel], &mut offset[channel]);
                }
                nodes.push(*next);
            }
        }
        at = *next;
    }
    let sound = scale.iter().chain(&offset).all(|value| value.is_finite()) && !scale.contains(&0.0);
    let pixels = Pixels::of(&scale, &offset).filter(|_| sound)?;
    Some(Normalization { nodes, scale, offset, pixels })
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
        let mut graph = Graph { nodes: vec![input], outputs: vec![NodeId(0)] };
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
        assert_eq!(found.pixels, Pixels::Bytes);
        assert_eq!(of(&network(std::slice::from_ref(&mean))).unwrap().pixels, Pixels::Unit);
        let caffe = channels(Op::Binary(Binary::Sub), [103.9, 116.8, 123.7]);
        assert_eq!(of(&network(&[caffe])).unwrap().pixels, Pixels::Bytes);
        assert_eq!(of(&network(&[])), None);
        let scaled = |op, value: f32| (op, vec![], vec![value]);
        let (mul, add) = (Op::Binary(Binary::Mul { relu: false }), Op::Binary(Binary::Add { relu: false }));
        // What changes nothing, a mere factor, and what pixels from −1 to 1 are brought to those from 0 to 1 with.
        assert_eq!(of(&network(&[scaled(mul.clone(), 1.0)])), None);
        assert_eq!(of(&network(&[scaled(add.clone(), 0.0)])), None);
        assert_eq!(of(&network(&[scaled(mul.clone(), 0.05)])), None);
        assert_eq!(of(&network(&[scaled(add, 1.0), scaled(mul, 0.5), mean])), None);
        // One number for each place is no normalization of pixels.
        assert_eq!(of(&network(&[(Op::Binary(Binary::Add { relu: false }), vec![4], vec![1.0; 4])])), None);
    }
}
