//! The network while a file is read: its nodes so far, and what each name in the file stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Pixels;
use super::constant::Kind;
use super::error::ImportError;
use super::evaluate::Value;
use super::name::Names;
use super::proto::NodeProto;
use crate::graph::quantization::QParams;
use crate::graph::{Dim, Graph, NodeId, Op};
use crate::tensor::{Data, Tensor};

/// Of one node for one image, a quarter of a gigabyte of floats: no classifier of images comes near it.
const MOST_VALUES: usize = 1 << 26;

/// Constants that are made while a file is read may together have this many elements, and four times what the file
/// stores: a file of a few bytes must not fill the memory.
const MOST_MADE: usize = 1 << 24;

/// What a value name stands for while importing.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// Computed when the network runs.
    Node(NodeId),
    /// A float constant, with the name it is stored under.
    Float { name: String, tensor: Arc<Tensor> },
    /// A shape, an index or another small constant, known now but for the batch size.
    Value(Value),
    /// Many integers: they stand for real numbers.
    Quantized(Arc<Tensor>),
}

/// The state of an import.
pub(super) struct Import {
    pub(super) graph: Graph,
    pub(super) opset: i64,
    /// The batch size the file was exported with, where it names one.
    pub(super) declared_batch: Option<usize>,
    /// Parameters of the nodes whose outcome is quantized.
    pub(super) activations: BTreeMap<NodeId, QParams>,
    pub(super) names: Names,
    pub(super) values: BTreeMap<String, Operand>,
    /// Elements of constants that may still be made.
    pub(super) may_make: usize,
    /// Nodes that hold whole numbers: the pixels of a network that is given bytes, until it converts them.
    pub(super) whole: BTreeSet<NodeId>,
    /// Types of real numbers that 32 bits take the place of.
    pub(super) widened: BTreeSet<&'static str>,
    pub(super) pixels: Pixels,
}

impl Import {
    pub(super) fn new(opset: i64) -> Self {
        Self {
            graph: Graph::default(),
            opset,
            declared_batch: None,
            activations: BTreeMap::new(),
            names: Names::default(),
            values: BTreeMap::new(),
            may_make: MOST_MADE,
            whole: BTreeSet::new(),
            widened: BTreeSet::new(),
            pixels: Pixels::default(),
        }
    }

    /// Gives a name its value; a second value for it would decide by order what is computed.
    pub(super) fn define(&mut self, name: &str, operand: Operand) -> Result<(), ImportError> {
        match self.values.insert(name.to_owned(), operand) {
            None => Ok(()),
            Some(_) => Err(ImportError::Twice { value: name.to_owned() }),
        }
    }

    /// Counts the elements of a constant that is about to be made, or was.
    pub(super) fn allow(&mut self, elements: usize) -> Result<(), String> {
        self.may_make = self.may_make.checked_sub(elements).ok_or_else(|| {
            format!("constants that are computed from this file would have more than {MOST_MADE} elements in all")
        })?;
        Ok(())
    }

    /// Appends a node for `source`, named after its module.
    pub(super) fn push(
        &mut self,
        source: &NodeProto,
        weight: Option<&str>,
        op: Op,
        inputs: Vec<NodeId>,
    ) -> Result<Operand, ImportError> {
        let name = self.names.for_node(source, weight, op.is_module(), op.torch_name());
        let pushed = self.graph.push(name, op, inputs);
        let id = pushed.map_err(|error| ImportError::Shape { node: label(source), source: error })?;
        let values = self.graph.node(id).shape.iter().filter_map(Dim::known).fold(1, usize::saturating_mul);
        if values > MOST_VALUES {
            let (node, operator) = (label(source), source.op_type.clone());
            let reason = format!("its outcome has {values} values for one image, more than {MOST_VALUES}");
            return Err(ImportError::Form { node, operator, opset: self.opset, reason, next: None });
        }
        Ok(Operand::Node(id))
    }
}

/// A constant as an operand: floats stay tensors, in 32 bits; small integers can be computed with.
pub(super) fn constant_operand(name: &str, kind: Kind, tensor: Tensor) -> Operand {
    match tensor.data() {
        Data::F32(_) => Operand::Float { name: name.to_owned(), tensor: Arc::new(tensor) },
        Data::F64(values) => Value::of_tensor(kind, &tensor).map_or_else(
            || {
                #[expect(clippy::cast_possible_truncation, reason = "networks are computed in 32 bits here")]
                let narrow = values.iter().map(|&value| value as f32).collect();
                let tensor = Tensor::f32(tensor.shape().to_vec(), narrow).unwrap_or_else(|_| tensor.clone());
                Operand::Float { name: name.to_owned(), tensor: Arc::new(tensor) }
            },
            Operand::Value,
        ),
        Data::I8(_) | Data::U8(_) | Data::I64(_) | Data::F16(_) | Data::BF16(_) => {
            Value::of_tensor(kind, &tensor).map_or_else(|| Operand::Quantized(Arc::new(tensor)), Operand::Value)
        }
    }
}

/// How messages call a node: its name, or what it produces where it has none.
pub(super) fn label(node: &NodeProto) -> String {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output.clone(),
        (name, _) => name.to_owned(),
    }
}
