//! ONNX in and out. A file is bounded, decoded, then lowered node by node into the graph; anything that
//! can be computed from constants and shapes alone is folded on the way. Written are float networks and
//! quantized ones with explicit QuantizeLinear and DequantizeLinear; both can be read again.

mod attributes;
mod constant;
mod error;
mod fold;
mod import;
mod integers;
mod name;
mod operator;
mod proto;
mod write;

pub use error::ImportError;
pub use write::{Form, WRITTEN_OPSET, stamp, write};

use std::collections::BTreeMap;

use prost::Message as _;

use crate::graph::quantization::QParams;
use crate::graph::{Graph, NodeId};

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
    let (graph, activations) = import::graph(&graph, opset)?;
    Ok(Model { graph, opset, producer, activations })
}
