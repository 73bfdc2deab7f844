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

use super::form::Form;
use crate::graph::Graph;
use crate::graph::quantization::Quantization;

/// What to emit. A network's `forward` takes `x: Tensor`; it gives a `List[Tensor]` where a form asks for nodes, a
/// `Tensor` otherwise.
#[derive(Debug, Clone, Copy)]
pub enum Variant<'a> {
    Form(Form<'a>),
    /// The float network with each convolution and its activation as one call of oneDNN, whose weights are
    /// brought into oneDNN's order once.
    FusedFloat,
    /// The float network with weights and arithmetic of 16 bits; what goes in and comes out has 32.
    Short(Short),
}

impl<'a> From<Form<'a>> for Variant<'a> {
    fn from(form: Form<'a>) -> Self {
        Self::Form(form)
    }
}

/// Floating point of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// IEEE 754 binary16: 11 bits of significand, nothing beyond 65 504.
    Fp16,
    /// The upper half of an FP32 number: 8 bits of significand, FP32's range.
    Bf16,
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
pub fn write<'a>(graph: &'a Graph, variant: impl Into<Variant<'a>>) -> Result<Vec<u8>, ArchiveError> {
    archive::write(&source::emit(graph, variant.into()))
}
