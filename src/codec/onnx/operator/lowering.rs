//! Access to a node's operands and attributes, by what an operator needs them to be, and the nodes that it becomes.

use std::cell::Cell;
use std::sync::Arc;

use crate::codec::onnx::attributes::Attributes;
use crate::codec::onnx::catalogue::{Operator, Takes};
use crate::codec::onnx::error::ImportError;
use crate::codec::onnx::evaluate::{Int, Value};
use crate::codec::onnx::network::{Import, Operand};
use crate::codec::onnx::proto::NodeProto;
use crate::graph::shape::shown;
use crate::graph::{Dim, NodeId, Op};
use crate::tensor::Tensor;

/// An operator that is read, and how a node of it becomes nodes of the graph.
pub(super) struct Row {
    pub(super) operator: Operator,
    pub(super) read: fn(&mut Lowering<'_>) -> Lowered,
}

/// An operator of whose nodes in the graph one or more have an INT8 form. `docs/operators.md` says so; nothing else depends
/// on it.
pub(super) const fn integers(name: &'static str, since: i64, read: fn(&mut Lowering<'_>) -> Lowered) -> Row {
    Row { operator: Operator { name, since, takes: Takes::Integers }, read }
}

/// An operator that stays in float.
pub(super) const fn reals(name: &'static str, since: i64, read: fn(&mut Lowering<'_>) -> Lowered) -> Row {
    Row { operator: Operator { name, since, takes: Takes::Reals }, read }
}

/// Why a node cannot be read; the caller adds the node's name.
pub(super) enum Trouble {
    Form(String),
    /// With what helps in this case.
    Advised(String, &'static str),
    Unsupported,
    Import(ImportError),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Form(reason)
    }
}

impl From<&str> for Trouble {
    fn from(reason: &str) -> Self {
        Self::Form(reason.to_owned())
    }
}

impl From<ImportError> for Trouble {
    fn from(error: ImportError) -> Self {
        Self::Import(error)
    }
}

pub(super) struct Lowering<'a> {
    pub(super) import: &'a mut Import,
    pub(super) node: &'a NodeProto,
    pub(super) operands: &'a [Option<Operand>],
    pub(super) attributes: Attributes<'a>,
    /// A bit for each operand that was asked for.
    pub(super) read: Cell<u64>,
}

pub(super) type Lowered = Result<Vec<Operand>, Trouble>;

impl Lowering<'_> {
    pub(super) fn operand(&self, position: usize) -> Result<&Operand, Trouble> {
        self.optional(position).ok_or_else(|| format!("input {position} is missing").into())
    }

    pub(super) fn optional(&self, position: usize) -> Option<&Operand> {
        self.read.set(self.read.get() | 1 << position.min(63));
        self.operands.get(position).and_then(Option::as_ref)
    }

    /// The operand as something that runs; a float constant becomes a constant node.
    pub(super) fn running(&mut self, position: usize) -> Result<NodeId, Trouble> {
        if let Operand::Node(id) = self.operand(position)? {
            return Ok(*id);
        }
        let tensor = self.tensor(position)?;
        match self.import.push(self.node, None, Op::Constant(tensor), Vec::new())? {
            Operand::Node(id) => Ok(id),
            Operand::Float { .. } | Operand::Value(_) | Operand::Quantized(_) => {
                Err("a constant did not become a node".into())
            }
        }
    }

    /// A constant of real numbers.
    pub(super) fn tensor(&self, position: usize) -> Result<Arc<Tensor>, Trouble> {
        let wrong = |is: &str| format!("input {position} {is}, and must be a constant of real numbers").into();
        match self.operand(position)? {
            Operand::Float { tensor, .. } => Ok(Arc::clone(tensor)),
            Operand::Value(value) => value.as_floats().map(Arc::new).ok_or_else(|| wrong("holds integers")),
            Operand::Quantized(_) => Err(wrong("holds integers")),
            Operand::Node(_) => Err(wrong("is computed when the network runs")),
        }
    }

    pub(super) fn optional_tensor(&self, position: usize) -> Result<Option<Arc<Tensor>>, Trouble> {
        self.optional(position).map(|_| self.tensor(position)).transpose()
    }

    /// A constant of whole numbers, the batch size among them.
    pub(super) fn whole(&self, position: usize) -> Result<(&Value, &[Int]), Trouble> {
        match self.operand(position)? {
            Operand::Value(value) => match value.whole() {
                Some(whole) => Ok((value, whole)),
                None => Err(format!("input {position} must hold integers").into()),
            },
            Operand::Node(_) => {
                Err(format!("input {position} is computed when the network runs, and must be known").into())
            }
            Operand::Float { .. } => Err(format!("input {position} must hold integers").into()),
            Operand::Quantized(_) => Err(format!("input {position} holds too many integers").into()),
        }
    }

    pub(super) fn numbers(&self, position: usize) -> Result<Vec<i64>, Trouble> {
        let (value, _) = self.whole(position)?;
        value.numbers().ok_or_else(|| format!("input {position} depends on the batch size").into())
    }

    /// Numbers that are an attribute before an opset, and an input from there on.
    pub(super) fn numbers_from(&self, name: &str, position: usize, since: i64) -> Result<Option<Vec<i64>>, Trouble> {
        if self.import.opset < since {
            return Ok(self.attributes.ints(name)?.map(<[i64]>::to_vec));
        }
        self.optional(position).map(|_| self.numbers(position)).transpose()
    }

    /// `[height, width]` of an image.
    pub(super) fn image_size(&self, id: NodeId) -> Result<[usize; 2], Trouble> {
        match self.import.graph.node(id).shape.as_slice() {
            [_, _, Dim::Known(height), Dim::Known(width)] => Ok([*height, *width]),
            other => Err(format!("its input is {}, not an image", shown(other)).into()),
        }
    }

    pub(super) fn rank(&self, id: NodeId) -> usize {
        self.import.graph.node(id).shape.len()
    }

    pub(super) fn weight_name(&self) -> Option<String> {
        self.operands.iter().flatten().find_map(|operand| match operand {
            Operand::Float { name, .. } if name.ends_with(".weight") => Some(name.clone()),
            _ => None,
        })
    }

    pub(super) fn emit(&mut self, op: Op, inputs: Vec<NodeId>) -> Lowered {
        let weight = self.weight_name();
        Ok(vec![self.import.push(self.node, weight.as_deref(), op, inputs)?])
    }

    /// One of several nodes that an operator becomes.
    pub(super) fn step(&mut self, op: Op, inputs: Vec<NodeId>) -> Result<NodeId, Trouble> {
        match self.emit(op, inputs)?.as_slice() {
            [Operand::Node(id)] => Ok(*id),
            _ => Err("it did not become one node".into()),
        }
    }

    pub(super) fn unary(&mut self, op: Op) -> Lowered {
        let input = self.running(0)?;
        self.emit(op, vec![input])
    }

    pub(super) fn binary(&mut self, op: Op) -> Lowered {
        let inputs = vec![self.running(0)?, self.running(1)?];
        self.emit(op, inputs)
    }

    /// A node for a tensor that is not in the file.
    pub(super) fn constant(&mut self, tensor: Tensor) -> Result<NodeId, Trouble> {
        self.step(Op::Constant(Arc::new(tensor)), Vec::new())
    }

    pub(super) fn number(&mut self, value: f32) -> Result<NodeId, Trouble> {
        self.constant(Tensor::f32(Vec::new(), vec![value]).map_err(|error| error.to_string())?)
    }
}
