//! ONNX in and out. A file is bounded, decoded, then lowered node by node into the graph; anything that
//! can be computed from constants and shapes alone is folded on the way. Written are float networks and
//! quantized ones with explicit QuantizeLinear and DequantizeLinear; both can be read again.

mod attributes;
mod catalogue;
mod constant;
mod error;
mod fold;
mod functions;
mod import;
mod integers;
mod name;
mod operator;
mod proto;
mod write;

pub use catalogue::{OPERATORS, Operator, Takes};
pub use error::ImportError;
pub use write::{Form, WRITTEN_OPSET, stamp, write, write_taps};

use std::collections::BTreeMap;

use prost::Message as _;

use crate::graph::quantization::QParams;
use crate::graph::{Graph, NodeId};
use crate::tensor::Tensor;
use import::Interface;

/// Larger files are refused before they are decoded: protobuf itself cannot carry more.
const MAX_BYTES: usize = 2 << 30;

/// Rewriting takes quadratic time, and no vision network is anywhere near as large.
const MAX_NODES: usize = 20_000;

/// The oldest and newest opset whose operators are read as published.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=23;

/// An imported model: the graph and what the file says of its origin.
#[derive(Debug)]
pub struct Model {
    pub graph: Graph,
    pub opset: i64,
    /// Producer and version as the file states them, such as `pytorch 2.11.0`.
    pub producer: String,
    /// Of the nodes whose outcome the file quantizes.
    pub activations: BTreeMap<NodeId, QParams>,
}

/// Reads an ONNX model with one image input `[batch, channels, height, width]` and one output.
pub fn read(bytes: &[u8]) -> Result<Model, ImportError> {
    read_as(bytes, &Interface::Images)
}

/// Reads any function of fixed shapes: all inputs but one are given, and become constants, and one of its outputs
/// is asked for. This is how single operators are held to their specification.
pub fn read_function(bytes: &[u8], given: BTreeMap<String, Tensor>, output: usize) -> Result<Model, ImportError> {
    read_as(bytes, &Interface::Function { given, output })
}

/// What a file says of itself before anything is computed.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The names of what it must be given, in order.
    pub inputs: Vec<String>,
    /// Of its nodes, in order.
    pub operators: Vec<String>,
}

/// Looks at a file without reading its operators.
pub fn outline(bytes: &[u8]) -> Result<Outline, ImportError> {
    let model = proto::ModelProto::decode(bytes).map_err(|error| ImportError::NotOnnx { reason: error.to_string() })?;
    let graph = model.graph.ok_or(ImportError::NotOnnx { reason: "it holds no graph".into() })?;
    let inputs = graph.input.into_iter().map(|input| input.name).collect();
    let operators = graph.node.into_iter().map(|node| node.op_type).collect();
    Ok(Outline { inputs, operators })
}

fn read_as(bytes: &[u8], interface: &Interface) -> Result<Model, ImportError> {
    if bytes.len() > MAX_BYTES {
        return Err(ImportError::TooLarge { bytes: bytes.len() });
    }
    let model = proto::ModelProto::decode(bytes).map_err(|error| ImportError::NotOnnx { reason: error.to_string() })?;
    let opset = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    let opset = opset.ok_or(ImportError::NotOnnx { reason: "it names no ONNX operator set".into() })?.version;
    if !OPSETS.contains(&opset) {
        return Err(ImportError::Opset { opset });
    }
    let graph = model.graph.ok_or(ImportError::NotOnnx { reason: "it holds no graph".into() })?;
    if graph.node.len() > MAX_NODES {
        return Err(ImportError::NotOnnx { reason: format!("{} nodes, more than {MAX_NODES}", graph.node.len()) });
    }
    let producer = format!("{} {}", model.producer_name, model.producer_version).trim().to_owned();
    let (graph, activations) = import::graph(&graph, opset, interface)?;
    Ok(Model { graph, opset, producer, activations })
}

/// Reads a stored `TensorProto`: floats as 32-bit floats, bytes as they are, other integers with 64 bits.
pub fn read_tensor(bytes: &[u8]) -> Result<Tensor, ImportError> {
    let proto =
        proto::TensorProto::decode(bytes).map_err(|error| ImportError::NotOnnx { reason: error.to_string() })?;
    constant::read(&proto)
}
