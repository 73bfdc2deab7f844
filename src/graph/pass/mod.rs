//! Rewrites. Each is a small patch with a reason; the driver applies one at a time, checks the
//! graph after each, and keeps the list for the record.

mod fold_batch_norm;
mod fold_bias;
mod fuse_hardswish;
mod fuse_relu;
mod remove_identity;

use serde::{Deserialize, Serialize};

use super::{Graph, NodeId, Op};

/// One rewrite, before it is applied.
#[derive(Debug, Default)]
pub struct Patch {
    /// Nodes that get another operator and other inputs in place.
    pub set: Vec<(NodeId, Op, Vec<NodeId>)>,
    /// Uses of the first node become uses of the second.
    pub redirect: Vec<(NodeId, NodeId)>,
    /// The node it is about.
    pub at: NodeId,
    pub reason: String,
}

/// A patch that was applied, as the record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedPatch {
    pub pass: String,
    pub node: String,
    pub reason: String,
}

/// A pass looks for the first place it applies to.
struct Pass {
    name: &'static str,
    find: fn(&Graph, &[Vec<NodeId>]) -> Option<Patch>,
}

/// Every pass, in the order the driver tries them.
const PASSES: [Pass; 5] = [
    Pass { name: "remove-identity", find: remove_identity::find },
    Pass { name: "fuse-hardswish", find: fuse_hardswish::find },
    Pass { name: "fold-batch-norm", find: fold_batch_norm::find },
    Pass { name: "fold-bias", find: fold_bias::find },
    Pass { name: "fuse-relu", find: fuse_relu::find },
];

/// A pass left the graph inconsistent: always a bug in the pass.
#[derive(Debug, thiserror::Error)]
#[error("pass `{pass}` broke the graph at `{node}`: {what}")]
pub struct BrokenGraph {
    pass: &'static str,
    node: String,
    what: String,
}

/// Applies every pass until none finds anything more.
pub fn run_all(mut graph: Graph) -> Result<(Graph, Vec<AppliedPatch>), BrokenGraph> {
    let mut applied = Vec::new();
    for pass in PASSES {
        while let Some(patch) = (pass.find)(&graph, &graph.users()) {
            let node = graph.node(patch.at).name.clone();
            let reason = patch.reason.clone();
            apply(&mut graph, patch);
            graph.check().map_err(|what| BrokenGraph { pass: pass.name, node: node.clone(), what })?;
            applied.push(AppliedPatch { pass: pass.name.to_owned(), node, reason });
        }
    }
    Ok((graph, applied))
}

fn apply(graph: &mut Graph, patch: Patch) {
    for (id, op, inputs) in patch.set {
        graph.nodes[id.0].op = op;
        graph.nodes[id.0].inputs = inputs;
    }
    for (from, to) in patch.redirect {
        for input in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).filter(|input| **input == from) {
            *input = to;
        }
        graph.outputs.iter_mut().filter(|output| **output == from).for_each(|output| *output = to);
    }
    drop_unreachable(graph);
}

/// Removes nodes that no output depends on; the input stays, used or not.
pub fn drop_unreachable(graph: &mut Graph) {
    let mut needed = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|output| needed[output.0] = true);
    for id in graph.ids().rev() {
        if needed[id.0] {
            graph.node(id).inputs.clone().iter().for_each(|input| needed[input.0] = true);
        }
    }
    needed[0] = true;
    let mut next = 0;
    let renumbered: Vec<NodeId> = needed
        .iter()
        .map(|&keep| {
            let id = NodeId(next);
            next += usize::from(keep);
            id
        })
        .collect();
    let mut keep = needed.iter();
    graph.nodes.retain(|_| *keep.next().unwrap_or(&true));
    graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(|input| *input = renumbered[input.0]);
    graph.outputs.iter_mut().for_each(|output| *output = renumbered[output.0]);
}
