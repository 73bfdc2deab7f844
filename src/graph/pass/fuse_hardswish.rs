//! `x · hardsigmoid(x)` is the definition of hard-swish; older exporters write it out.

use super::Patch;
use crate::graph::op::{Binary, Unary};
use crate::graph::{Graph, NodeId, Op};

pub(super) fn find(graph: &Graph, users: &[Vec<NodeId>]) -> Option<Patch> {
    graph.iter().find_map(|(id, node)| {
        let (Op::Binary(Binary::Mul { relu: false }), &[left, right]) = (&node.op, node.inputs.as_slice()) else {
            return None;
        };
        let gates = |gate: NodeId, x: NodeId| {
            let gate_node = graph.node(gate);
            gate_node.op == Op::Unary(Unary::HardSigmoid) && gate_node.inputs == [x] && users[gate.0].len() == 1
        };
        let x = if gates(right, left) {
            left
        } else if gates(left, right) {
            right
        } else {
            return None;
        };
        Some(Patch {
            set: vec![(id, Op::Unary(Unary::HardSwish), vec![x])],
            at: id,
            reason: "x · hardsigmoid(x) is hard-swish".to_owned(),
            ..Patch::default()
        })
    })
}
