//! What quantization adds to a graph: where integers flow, with which parameters, and the integer
//! weights. Decided in `quantize`, written out in `codec`, run by a backend.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::op::{Layer, Unary};
use super::{Graph, NodeId, Op};
use crate::tensor::Tensor;

/// Affine quantization parameters: `real = scale · (integer − zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QParams {
    pub scale: f64,
    pub zero_point: i32,
}

/// Why a node stays in float inside a quantized model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FloatReason {
    /// The manifest says `precision = "fp32"` for it.
    Manifest,
    /// The recipe keeps it in float.
    Recipe,
    /// requant has no INT8 form of the operator.
    NoKernel,
    /// The operator keeps its input's parameters, and its input is in float.
    FloatInput,
    /// Inputs and constants are not computed.
    NotComputed,
    /// No variant computes in INT8.
    NotAsked,
}

impl FloatReason {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Recipe => "recipe",
            Self::NoKernel => "no-kernel",
            Self::FloatInput => "float-input",
            Self::NotComputed => "not-computed",
            Self::NotAsked => "not-asked",
        }
    }
}

/// Where a node computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    Int8,
    Float(FloatReason),
}

/// What computes a node that takes integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernel {
    /// The variant's engine, which gives integers.
    Engine,
    /// oneDNN's operator for a convolution with the activation after it, which gives float.
    Fused,
    /// The same without an activation, which gives the integers that such convolutions read.
    Bytes,
}

impl Kernel {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Fused => "fused",
            Self::Bytes => "bytes",
        }
    }
}

/// The activation that alone reads a convolution, where one call can compute both.
#[must_use]
pub fn lone_activation(graph: &Graph, users: &[Vec<NodeId>], id: NodeId) -> Option<NodeId> {
    let &[user] = users[id.0].as_slice() else { return None };
    let is_activated = matches!(graph.node(id).op, Op::Layer(Layer::Conv { relu: true, .. }));
    let activates = matches!(graph.node(user).op, Op::Unary(Unary::HardSwish | Unary::Relu | Unary::Clip { .. }));
    (!graph.gives(id) && !is_activated && activates).then_some(user)
}

/// Weights as 8-bit integers, symmetric, one scale per output channel or one for all.
#[derive(Debug, Clone, PartialEq)]
pub struct IntWeight {
    /// Same shape as the float weight, `i8`.
    pub values: Tensor,
    /// One per output channel.
    pub scales: Vec<f64>,
}

/// A quantized reading of a graph; the vectors are indexed by node.
#[derive(Debug, Clone)]
pub struct Quantization {
    pub placement: Vec<Placement>,
    /// Of the nodes that are placed in integers.
    pub kernels: Vec<Kernel>,
    /// Parameters of each node's output wherever it is, or is converted to, an integer tensor.
    pub activations: Vec<Option<QParams>>,
    pub weights: BTreeMap<NodeId, IntWeight>,
}

impl Quantization {
    #[must_use]
    pub fn is_int8(&self, id: NodeId) -> bool {
        self.placement[id.0] == Placement::Int8
    }
}
