//! Identity and inference-time dropout pass their input through unchanged.

use super::Patch;
use crate::graph::op::Layout;
use crate::graph::{Graph, NodeId, Op};

pub(super) fn find(graph: &Graph, _users: &[Vec<NodeId>]) -> Option<Patch> {
    graph.iter().find_map(|(id, node)| {
        let reason = if node.op == Op::Layout(Layout::Identity) {
            "an identity copies its input"
        } else if node.op == Op::Layout(Layout::Dropout) {
            "dropout does nothing at inference"
        } else {
            return None;
        };
        Some(Patch { redirect: vec![(id, node.inputs[0])], at: id, reason: reason.to_owned(), ..Patch::default() })
    })
}
