//! TorchScript out: one emitter for the float model, the instrumented calibration model and the
//! INT8 model. The archive is what libtorch loads here and what a user deploys; its bytes depend
//! on the graph and nothing else.
//!
//! An archive is an uncompressed zip with the module's state as a pickle, one file per tensor and
//! the module's code as TorchScript source. Nothing of PyTorch is needed to write it.

mod archive;
mod pickle;
mod source;

pub use archive::ArchiveError;

use crate::graph::quantization::Quantization;
use crate::graph::{Graph, NodeId};

/// What to emit.
#[derive(Debug, Clone, Copy)]
pub enum Variant<'a> {
    /// The float network: `forward(x: Tensor) -> Tensor`.
    Float,
    /// The float network with each convolution and its activation as one call of oneDNN, whose weights are
    /// brought into oneDNN's order once: `forward(x: Tensor) -> Tensor`.
    FusedFloat,
    /// The float network up to the last of the named nodes, handing out their outputs in the given order:
    /// `forward(x: Tensor) -> List[Tensor]`.
    Taps(&'a [NodeId]),
    /// The float network with weights and arithmetic of 16 bits; what goes in and comes out has 32:
    /// `forward(x: Tensor) -> Tensor`.
    Short(Short),
    /// The quantized network: `forward(x: Tensor) -> Tensor`.
    Int8(&'a Quantization),
    /// The quantized network up to the last of the named nodes, handing out their outputs as its integers have
    /// them, in the given order: `forward(x: Tensor) -> List[Tensor]`.
    Int8Taps(&'a Quantization, &'a [NodeId]),
    /// The float network with every tensor that is an integer in the quantized one rounded to it:
    /// `forward(x: Tensor) -> Tensor`.
    Rounded(&'a Quantization),
    /// The quantized network beside a float one of the same nodes, comparing some that compute in integers:
    /// `forward(x: Tensor) -> List[Tensor]`, a tensor per such node in the given order. Each holds the sum of
    /// squares of the float output, that of the difference, and the difference's mean in each channel (of a
    /// linear layer, each feature), float minus integer.
    Beside {
        quantization: &'a Quantization,
        reference: &'a Graph,
        /// The nodes that are compared.
        nodes: &'a [NodeId],
        /// What the integer nodes are given.
        inputs: Inputs,
    },
}

/// Floating point of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// IEEE 754 binary16: 11 bits of significand, nothing beyond 65 504.
    Fp16,
    /// The upper half of an FP32 number: 8 bits of significand, FP32's range.
    Bf16,
}

/// What a node that is compared computes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// The float network's tensors, rounded: the error is the node's own.
    Clean,
    /// What the quantized network has come to: errors of earlier nodes add up.
    Running,
}

/// A quantized network.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    pub graph: &'a Graph,
    pub quantization: &'a Quantization,
}

/// The bytes of an archive with two quantized networks: `few` runs batches of fewer images than `below`, `many` all
/// others.
pub fn write_by_batch(few: Program<'_>, many: Program<'_>, below: usize) -> Result<Vec<u8>, ArchiveError> {
    archive::write(&source::emit_by_batch(few, many, below))
}

/// The bytes of a TorchScript archive for `graph`.
pub fn write(graph: &Graph, variant: Variant<'_>) -> Result<Vec<u8>, ArchiveError> {
    archive::write(&source::emit(graph, variant))
}
