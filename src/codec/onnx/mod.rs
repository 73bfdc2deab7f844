//! ONNX in and out. A file is bounded, decoded, then lowered node by node into the graph; anything that
//! can be computed from constants and shapes alone is folded on the way. Written are float networks and
//! quantized ones with explicit QuantizeLinear and DequantizeLinear; both can be read again.

mod attributes;
mod axes;
mod catalogue;
mod constant;
mod error;
mod evaluate;
mod external;
mod images;
mod import;
mod name;
mod network;
mod operator;
mod proto;
mod write;
mod writer;

pub use catalogue::{Operator, Takes};
pub use error::{ImportError, InputTrouble, NAME_OUTPUT};
pub use external::Open;
pub use operator::operators;
pub use write::{WRITTEN_OPSET, stamp, write, write_symmetric};

use std::collections::BTreeMap;
use std::rc::Rc;

use prost::Message as _;

use crate::graph::quantization::QParams;
use crate::graph::{Graph, NodeId};
use crate::tensor::Tensor;
use constant::Kind;
use external::External;
use import::Interface;
pub use import::Wanted;

/// Larger files are refused before they are decoded: protobuf itself cannot carry more.
const MAX_BYTES: usize = 2 << 30;

/// Rewriting takes quadratic time, and no vision network is anywhere near as large.
const MAX_NODES: usize = 20_000;

/// The oldest and newest opset whose operators are read as published.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=23;

/// An imported model: the graph and what the file says of its origin.
#[derive(Debug)]
pub struct Model {
    /// Its input is `[batch, channels, height, width]`, whatever the file's own order is.
    pub graph: Graph,
    pub opset: i64,
    /// Producer and version as the file states them, such as `pytorch 2.11.0`.
    pub producer: String,
    pub pixels: Pixels,
    /// Types of real numbers other than 32-bit floats that the file computes in; 32 bits take their place.
    pub widened: Vec<&'static str>,
    /// The names of its outputs, in the order of the graph's.
    pub outputs: Vec<String>,
    /// Of the nodes whose outcome the file quantizes.
    pub activations: BTreeMap<NodeId, QParams>,
    /// Files beside the model that hold weights, by name.
    pub beside: BTreeMap<String, Rc<Vec<u8>>>,
}

/// How the file takes its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pixels {
    /// `[batch, height, width, channels]`, as Keras and TensorFlow order them.
    pub channels_last: bool,
    /// Whole numbers from 0 to 255.
    pub bytes: bool,
}

/// How to read a file.
#[derive(Default)]
pub struct Reading<'a> {
    pub wanted: Wanted,
    /// Opens files of the model's folder.
    pub open: Option<&'a Open<'a>>,
}

/// Reads an ONNX model in one file, with one image input and one output.
pub fn read(bytes: &[u8]) -> Result<Model, ImportError> {
    read_model(bytes, &Reading::default())
}

/// Reads an ONNX model with one image input.
pub fn read_model(bytes: &[u8], reading: &Reading<'_>) -> Result<Model, ImportError> {
    read_as(bytes, &Interface::Images(reading.wanted.clone()), reading.open)
}

/// Reads any function of fixed shapes: all inputs but one are given, and become constants, and one of its outputs
/// is asked for. This is how single operators are held to their specification.
pub fn read_function(bytes: &[u8], given: BTreeMap<String, Stored>, output: usize) -> Result<Model, ImportError> {
    read_as(bytes, &Interface::Function { given, output }, None)
}

/// A tensor as a file holds it, with its type.
#[derive(Debug, Clone)]
pub struct Stored {
    kind: Kind,
    tensor: Tensor,
}

impl Stored {
    /// Floats of 16 bits are widened to 32; bytes are as they are; other integers have 64 bits.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

/// What a file says of itself before anything is computed.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The names of what it must be given, in order.
    pub inputs: Vec<String>,
    /// Of its nodes, in order, with the domain where it is not ONNX's own.
    pub operators: Vec<String>,
}

/// Looks at a file without reading its operators.
pub fn outline(bytes: &[u8]) -> Result<Outline, ImportError> {
    let graph = decoded(bytes)?.graph.ok_or(ImportError::NotOnnx { reason: "it holds no graph".into() })?;
    let inputs = graph.input.into_iter().map(|input| input.name).collect();
    let operators = graph.node.iter().map(import::full_name).collect();
    Ok(Outline { inputs, operators })
}

fn decoded(bytes: &[u8]) -> Result<proto::ModelProto, ImportError> {
    if bytes.len() > MAX_BYTES {
        return Err(ImportError::TooLarge { bytes: bytes.len() });
    }
    proto::ModelProto::decode(bytes).map_err(|error| ImportError::NotOnnx { reason: error.to_string() })
}

fn read_as(bytes: &[u8], interface: &Interface, open: Option<&Open<'_>>) -> Result<Model, ImportError> {
    let model = decoded(bytes)?;
    let own = |set: &&proto::OperatorSetId| set.domain.is_empty() || set.domain == "ai.onnx";
    let opset = match model.opset_import.iter().filter(own).collect::<Vec<_>>().as_slice() {
        [one] => one.version,
        sets => return Err(ImportError::Opsets { count: sets.len() }),
    };
    if !OPSETS.contains(&opset) {
        return Err(ImportError::Opset { opset });
    }
    if !model.functions.is_empty() {
        return Err(ImportError::Functions);
    }
    let graph = model.graph.ok_or(ImportError::NotOnnx { reason: "it holds no graph".into() })?;
    if graph.node.len() > MAX_NODES {
        return Err(ImportError::Nodes { count: graph.node.len() });
    }
    let producer = format!("{} {}", model.producer_name, model.producer_version).trim().to_owned();
    let external = External::new(open);
    let read = import::graph(&graph, opset, interface, &external)?;
    let (pixels, widened, outputs) = (read.pixels, read.widened, read.outputs);
    let (graph, activations, beside) = (read.graph, read.activations, external.files());
    Ok(Model { graph, opset, producer, pixels, widened, outputs, activations, beside })
}

/// Reads a stored `TensorProto`.
pub fn read_tensor(bytes: &[u8]) -> Result<Stored, ImportError> {
    let proto =
        proto::TensorProto::decode(bytes).map_err(|error| ImportError::NotOnnx { reason: error.to_string() })?;
    let (kind, tensor) = constant::read(&proto, &External::new(None))?;
    Ok(Stored { kind, tensor })
}
