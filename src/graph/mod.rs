//! The network as requant sees it: single-output nodes in execution order, weights inside the
//! operators that own them. No file format is known here.

pub mod census;
pub mod live;
pub mod normalization;
pub mod op;
pub mod pass;
pub mod quantization;
pub mod shape;

pub use op::Op;
pub use shape::{Dim, ReshapeDim, Shape};

use serde::{Deserialize, Serialize};

/// A node's place in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct NodeId(pub usize);

/// One operator application. Its output is named by its own id.
#[derive(Debug, Clone)]
pub struct Node {
    /// The PyTorch module path where the file tells it (`features.0.0`), unique in the graph.
    pub name: String,
    pub op: Op,
    pub inputs: Vec<NodeId>,
    pub shape: Shape,
}

/// A network with one image input, in execution order: inputs come before users.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// What it gives, in the order of its file; of a classifier one tensor, the classes' scores.
    pub outputs: Vec<NodeId>,
}

impl Graph {
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The first output.
    #[must_use]
    pub fn output(&self) -> NodeId {
        self.outputs.first().copied().unwrap_or_default()
    }

    /// How many values all outputs have for an image.
    #[must_use]
    pub fn values_given(&self) -> usize {
        let values = |id: &NodeId| self.node(*id).shape.iter().filter_map(Dim::known).product::<usize>();
        self.outputs.iter().map(values).sum()
    }

    /// Whether a node's tensor is an output.
    #[must_use]
    pub fn gives(&self, id: NodeId) -> bool {
        self.outputs.contains(&id)
    }

    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// Every node with its id, in execution order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index), node))
    }

    /// For each node, the nodes that read it.
    #[must_use]
    pub fn users(&self) -> Vec<Vec<NodeId>> {
        let mut users = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.iter() {
            for input in &node.inputs {
                users[input.0].push(id);
            }
        }
        users
    }

    /// Appends a node, deriving its shape.
    pub fn push(&mut self, name: String, op: Op, inputs: Vec<NodeId>) -> Result<NodeId, shape::ShapeError> {
        let shapes: Vec<&Shape> = inputs.iter().map(|id| &self.node(*id).shape).collect();
        let shape = op.shape(&shapes)?;
        self.nodes.push(Node { name, op, inputs, shape });
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// The shape of one image, without the batch dimension; `None` if a dimension is not known.
    #[must_use]
    pub fn input_shape(&self) -> Option<Vec<usize>> {
        let Node { op: Op::Input, shape, .. } = self.nodes.first()? else { return None };
        shape.iter().skip(1).map(Dim::known).collect()
    }

    /// How many classes the first output has, where it is `[batch, classes]`.
    #[must_use]
    pub fn classes(&self) -> Option<usize> {
        match self.node(self.output()).shape.as_slice() {
            [Dim::Batch, Dim::Known(classes)] => Some(*classes),
            _ => None,
        }
    }

    /// What must hold after every pass: inputs precede users, shapes agree with the operators,
    /// names are unique.
    pub fn check(&self) -> Result<(), String> {
        let mut names = std::collections::BTreeSet::new();
        for (id, node) in self.iter() {
            if let Some(input) = node.inputs.iter().find(|input| **input >= id) {
                return Err(format!("`{}` reads node {} before it runs", node.name, input.0));
            }
            if !names.insert(&node.name) {
                return Err(format!("two nodes are named `{}`", node.name));
            }
            if node.op != Op::Input {
                let shapes: Vec<&Shape> = node.inputs.iter().map(|i| &self.node(*i).shape).collect();
                let inferred = node.op.shape(&shapes).map_err(|e| format!("`{}`: {e}", node.name))?;
                if inferred != node.shape {
                    return Err(format!("`{}` should have shape {inferred:?}, not {:?}", node.name, node.shape));
                }
            }
        }
        let are_nodes = self.outputs.iter().all(|output| output.0 < self.nodes.len());
        if are_nodes && !self.outputs.is_empty() { Ok(()) } else { Err("an output is not a node".into()) }
    }
}
