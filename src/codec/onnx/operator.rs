//! One function per ONNX operator: node and operands in, graph node out. Here are the table of
//! operators and the access to operands; the operators stand in the files below by family.

mod activations;
mod functions;
mod layers;
mod layout;
mod pooling;
mod quantized;

use std::cell::Cell;
use std::sync::Arc;

use super::attributes::Attributes;
use super::axes::{axes_of, axis_of, index, squeezed, unsqueezed};
use super::catalogue;
use super::error::ImportError;
use super::evaluate::{Int, Value, unread_operand};
use super::import::{Import, Operand, label};
use super::proto::NodeProto;
use crate::graph::function::{Binary, Reduction, Together};
use crate::graph::{Dim, NodeId, Op};
use crate::tensor::Tensor;

/// What can be wrong with one node, before its name is put to it.
enum Trouble {
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

/// Lowers one ONNX node into graph nodes; the result has one operand per output it fills.
pub(super) fn lower(
    import: &mut Import,
    node: &NodeProto,
    operands: &[Option<Operand>],
) -> Result<Vec<Operand>, ImportError> {
    let opset = import.opset;
    let form = |reason| advised(node, opset, reason, None);
    let attributes = Attributes::of(node).map_err(form)?;
    let mut lowering = Lowering { import, node, operands, attributes, read: Cell::new(0) };
    let lowered = lowering.dispatch().map_err(|trouble| match trouble {
        Trouble::Import(error) => error,
        Trouble::Form(reason) => form(reason),
        Trouble::Advised(reason, next) => advised(node, opset, reason, Some(next)),
        Trouble::Unsupported => ImportError::Unsupported { node: label(node), operator: node.op_type.clone(), opset },
    })?;
    // Nothing that the node says may be left unread.
    lowering.attributes.all_read().and_then(|()| unread_operand(operands, lowering.read.get())).map_err(form)?;
    Ok(lowered)
}

fn advised(node: &NodeProto, opset: i64, reason: String, next: Option<&'static str>) -> ImportError {
    ImportError::Form { node: label(node), operator: node.op_type.clone(), opset, reason, next }
}

struct Lowering<'a> {
    import: &'a mut Import,
    node: &'a NodeProto,
    operands: &'a [Option<Operand>],
    attributes: Attributes<'a>,
    /// A bit for each operand that was asked for.
    read: Cell<u64>,
}

type Lowered = Result<Vec<Operand>, Trouble>;

impl Lowering<'_> {
    fn dispatch(&mut self) -> Lowered {
        match self.node.op_type.as_str() {
            "Conv" => self.conv(),
            "BatchNormalization" => self.batch_norm(),
            "InstanceNormalization" | "GroupNormalization" => self.standardize_groups(),
            "LayerNormalization" => self.standardize_last(|axis| Together::Layer { axis }),
            "RMSNormalization" => self.standardize_last(|axis| Together::Rms { axis }),
            "Gemm" => self.gemm(),
            "MatMul" => self.matmul(),
            "Add" => self.binary(Op::Add { relu: false }),
            "Mul" => self.binary(Op::Mul { relu: false }),
            "Sub" => self.pair(Binary::Sub),
            "Div" => self.pair(Binary::Div),
            "Pow" => self.pair(Binary::Pow),
            "Max" => self.chain(&Op::Binary(Binary::Maximum)),
            "Min" => self.chain(&Op::Binary(Binary::Minimum)),
            "Sum" => self.chain(&Op::Add { relu: false }),
            "Mean" => self.mean(),
            "Relu" => self.unary(Op::Relu),
            "Clip" => self.clip(),
            "HardSwish" => self.unary(Op::HardSwish),
            "HardSigmoid" => self.hard_sigmoid(),
            "Sigmoid" => self.unary(Op::Sigmoid),
            "PRelu" => self.prelu(),
            "Softsign" => self.softsign(),
            "GlobalAveragePool" => self.global_average(),
            "GlobalMaxPool" => self.global(Reduction::Max),
            "ReduceMean" => self.reduce_mean(),
            name if name.starts_with("Reduce") => self.reduction(),
            "AveragePool" => self.average_pool(),
            "MaxPool" => self.max_pool(),
            "Flatten" => self.flatten(),
            "Reshape" => self.reshape(),
            "Transpose" => self.transpose(),
            "Concat" => self.concat(),
            "Slice" => self.slice(),
            "Split" => self.split(),
            "Pad" => self.pad(),
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Expand" => self.expand(),
            "Tile" => self.tile(),
            "DepthToSpace" => self.depth_to_space(),
            "SpaceToDepth" => self.space_to_depth(),
            "Cast" | "CastLike" => self.cast(),
            "Softmax" => self.softmax(|axis| Op::Softmax { axis }),
            "LogSoftmax" => self.softmax(|axis| Op::LogSoftmax { axis }),
            "QuantizeLinear" => self.quantize_linear(),
            "DequantizeLinear" => self.dequantize_linear(),
            "Identity" => self.unary(Op::Identity),
            "Dropout" => self.dropout(),
            "Gather" => self.gather(),
            name if catalogue::is_constant(name) => {
                Err("it must be computed from shapes and constants, and something here depends on the image".into())
            }
            _ => self.function(),
        }
    }

    // Operands, by what the operator needs them to be.

    fn operand(&self, position: usize) -> Result<&Operand, Trouble> {
        self.optional(position).ok_or_else(|| format!("input {position} is missing").into())
    }

    fn optional(&self, position: usize) -> Option<&Operand> {
        self.read.set(self.read.get() | 1 << position.min(63));
        self.operands.get(position).and_then(Option::as_ref)
    }

    /// The operand as something that runs; a float constant becomes a constant node.
    fn running(&mut self, position: usize) -> Result<NodeId, Trouble> {
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
    fn tensor(&self, position: usize) -> Result<Arc<Tensor>, Trouble> {
        let wrong = |is: &str| format!("input {position} {is}, and must be a constant of real numbers").into();
        match self.operand(position)? {
            Operand::Float { tensor, .. } => Ok(Arc::clone(tensor)),
            Operand::Value(value) => value.as_floats().map(Arc::new).ok_or_else(|| wrong("holds integers")),
            Operand::Quantized(_) => Err(wrong("holds integers")),
            Operand::Node(_) => Err(wrong("is computed when the network runs")),
        }
    }

    fn optional_tensor(&self, position: usize) -> Result<Option<Arc<Tensor>>, Trouble> {
        self.optional(position).map(|_| self.tensor(position)).transpose()
    }

    /// A constant of whole numbers, the batch size among them.
    fn whole(&self, position: usize) -> Result<(&Value, &[Int]), Trouble> {
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

    fn numbers(&self, position: usize) -> Result<Vec<i64>, Trouble> {
        let (value, _) = self.whole(position)?;
        value.numbers().ok_or_else(|| format!("input {position} depends on the batch size").into())
    }

    /// Numbers that are an attribute before an opset, and an input from there on.
    fn numbers_from(&self, name: &str, position: usize, since: i64) -> Result<Option<Vec<i64>>, Trouble> {
        if self.import.opset < since {
            return Ok(self.attributes.ints(name)?.map(<[i64]>::to_vec));
        }
        self.optional(position).map(|_| self.numbers(position)).transpose()
    }

    /// `[height, width]` of an image.
    fn image_size(&self, id: NodeId) -> Result<[usize; 2], Trouble> {
        match self.import.graph.node(id).shape.as_slice() {
            [_, _, Dim::Known(height), Dim::Known(width)] => Ok([*height, *width]),
            other => Err(format!("its input is {other:?}, not an image").into()),
        }
    }

    fn rank(&self, id: NodeId) -> usize {
        self.import.graph.node(id).shape.len()
    }

    fn weight_name(&self) -> Option<String> {
        self.operands.iter().flatten().find_map(|operand| match operand {
            Operand::Float { name, .. } if name.ends_with(".weight") => Some(name.clone()),
            _ => None,
        })
    }

    fn emit(&mut self, op: Op, inputs: Vec<NodeId>) -> Lowered {
        let weight = self.weight_name();
        Ok(vec![self.import.push(self.node, weight.as_deref(), op, inputs)?])
    }

    fn unary(&mut self, op: Op) -> Lowered {
        let input = self.running(0)?;
        self.emit(op, vec![input])
    }

    fn binary(&mut self, op: Op) -> Lowered {
        let inputs = vec![self.running(0)?, self.running(1)?];
        self.emit(op, inputs)
    }
}

/// Swaps the two axes of a float matrix.
fn transpose(tensor: &Tensor) -> Result<Tensor, Trouble> {
    let (&[rows, columns], Some(values)) = (tensor.shape(), tensor.as_f32()) else {
        return Err("its weight is not a matrix".into());
    };
    let swapped = (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect();
    Tensor::f32(vec![columns, rows], swapped).map_err(|error| error.to_string().into())
}
