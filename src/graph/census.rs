//! Counting modules in PyTorch's words.

use std::collections::BTreeMap;

use super::Graph;

/// How many modules of each kind the graph has, by PyTorch's class name.
#[must_use]
pub fn modules(graph: &Graph) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in graph.nodes.iter().filter(|node| node.op.is_module()) {
        *counts.entry(node.op.torch_name().to_owned()).or_default() += 1;
    }
    counts
}
