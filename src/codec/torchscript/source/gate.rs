//! Images of integers multiplied by a gate, which has one number for each channel.

use super::{Emitter, operator};
use crate::graph::op::{Layer, Layout, Unary};
use crate::graph::{Dim, Node, NodeId, Op};

/// How many quantized integers libtorch multiplies in one step of its loop.
const AT_ONCE: usize = 64;

impl Emitter<'_> {
    /// The inputs with one that has a number for each channel brought to the size of the other. Where libtorch spreads
    /// it itself, it goes through the channels of each pixel, and those left of each [`AT_ONCE`] one by one. Gates that
    /// no convolution gives may lie in another order than images do, which the product would take over.
    pub(super) fn spread(&self, node: &Node, inputs: &[String]) -> Vec<String> {
        let shape = |place: usize| &self.graph.node(node.inputs[place]).shape;
        let uneven = |place: usize| match shape(place).as_slice() {
            [_, Dim::Known(channels), Dim::Known(1), Dim::Known(1)] => *channels > 1 && channels % AT_ONCE != 0,
            _ => false,
        };
        let mut spread = inputs.to_vec();
        for (gate, image) in [(0, 1), (1, 0)] {
            if uneven(gate)
                && shape(gate) != shape(image)
                && *shape(image) == node.shape
                && self.is_convolved(node.inputs[gate])
            {
                spread[gate] =
                    operator::channels_last(&format!("torch.expand_as({}, {})", inputs[gate], inputs[image]));
            }
        }
        spread
    }

    /// Whether a convolution gives the node's values, or what an activation makes of them.
    fn is_convolved(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        match &node.op {
            Op::Layer(layer) => matches!(layer, Layer::Conv { .. }),
            Op::Unary(Unary::Relu | Unary::Clip { .. } | Unary::HardSigmoid | Unary::Sigmoid | Unary::HardSwish)
            | Op::Layout(Layout::Identity | Layout::Dropout) => self.is_convolved(node.inputs[0]),
            Op::Input
            | Op::Constant(_)
            | Op::Normalize(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Pool(_)
            | Op::Layout(_) => false,
        }
    }
}
