//! One function per ONNX operator: node and operands in, graph node out. Here are the table of
//! operators and the access to operands; the operators stand in the files below by family.

mod activations;
mod functions;
mod layers;
mod layout;
mod pooling;
mod quantized;

use std::sync::Arc;

use super::attributes::Attributes;
use super::error::ImportError;
use super::import::{Import, Operand, label};
use super::integers::{Ints, index};
use super::proto::NodeProto;
use crate::graph::function::{Binary, Reduction, Together};
use crate::graph::{Dim, NodeId, Op};
use crate::tensor::Tensor;

/// What can be wrong with one node, before its name is put to it.
enum Trouble {
    Form(String),
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
    if let Some(attribute) = node.attribute.iter().find(|attribute| attribute.f.is_nan()) {
        let reason = format!("`{}` is not a number", attribute.name);
        return Err(ImportError::Form { node: label(node), operator: node.op_type.clone(), opset, reason });
    }
    let mut lowering = Lowering { import, node, operands, attributes: Attributes::of(node) };
    lowering.dispatch().map_err(|trouble| match trouble {
        Trouble::Import(error) => error,
        Trouble::Form(reason) => ImportError::Form { node: label(node), operator: node.op_type.clone(), opset, reason },
        Trouble::Unsupported => ImportError::Unsupported { node: label(node), operator: node.op_type.clone(), opset },
    })
}

struct Lowering<'a> {
    import: &'a mut Import,
    node: &'a NodeProto,
    operands: &'a [Option<Operand>],
    attributes: Attributes<'a>,
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
            "ConstantOfShape" | "Size" => {
                Err("it is computed from known shapes and constants, and this is neither".into())
            }
            _ => self.function(),
        }
    }

    // Operands, by what the operator needs them to be.

    fn operand(&self, position: usize) -> Result<&Operand, Trouble> {
        self.optional(position).ok_or_else(|| format!("input {position} is missing").into())
    }

    fn optional(&self, position: usize) -> Option<&Operand> {
        self.operands.get(position).and_then(Option::as_ref)
    }

    /// The operand as something that runs; a float constant becomes a constant node.
    fn running(&mut self, position: usize) -> Result<NodeId, Trouble> {
        match self.operand(position)?.clone() {
            Operand::Node(id) => Ok(id),
            Operand::Float { tensor, .. } => {
                match self.import.push(self.node, None, Op::Constant(tensor), Vec::new())? {
                    Operand::Node(id) => Ok(id),
                    _ => Err("a constant did not become a node".into()),
                }
            }
            Operand::Ints(_) | Operand::Quantized(_) => Err(format!("input {position} is an integer tensor").into()),
        }
    }

    fn tensor(&self, position: usize) -> Result<Arc<Tensor>, Trouble> {
        match self.operand(position)? {
            Operand::Float { tensor, .. } => Ok(Arc::clone(tensor)),
            _ => Err(format!("input {position} must be a constant").into()),
        }
    }

    fn optional_tensor(&self, position: usize) -> Result<Option<Arc<Tensor>>, Trouble> {
        self.optional(position).map(|_| self.tensor(position)).transpose()
    }

    fn ints(&self, position: usize) -> Result<&Ints, Trouble> {
        match self.operand(position)? {
            Operand::Ints(ints) => Ok(ints),
            _ => Err(format!("input {position} must be a constant integer tensor").into()),
        }
    }

    fn numbers(&self, position: usize) -> Result<Vec<i64>, Trouble> {
        self.ints(position)?.numbers().ok_or_else(|| format!("input {position} depends on the batch size").into())
    }

    /// A number given as an attribute in old opsets and as an input in new ones.
    fn numbers_or_attribute(&self, attribute: &str, position: usize) -> Result<Option<Vec<i64>>, Trouble> {
        match self.attributes.ints(attribute) {
            Some(values) => Ok(Some(values.to_vec())),
            None => self.optional(position).map(|_| self.numbers(position)).transpose(),
        }
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

/// An ONNX axis, which may count from the end, as an index.
fn axis_of(raw: i64, rank: usize) -> Result<usize, Trouble> {
    let len = i64::try_from(rank).unwrap_or(i64::MAX);
    if (-len..len).contains(&raw) {
        Ok(index(raw, rank))
    } else {
        Err(format!("axis {raw} of {rank} dimensions").into())
    }
}
