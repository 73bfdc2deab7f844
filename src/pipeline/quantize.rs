//! Every variant's artefact on disk.

use super::calibrate::Calibrated;
use crate::backend::Availability;
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::codec::{Form, onnx, torchscript};
use crate::graph::Graph;
use crate::inspect::PinState;
use crate::manifest::{Artefact, FEW_IMAGES, Precision, Resolved, Variant};
use crate::record::format::ArtefactFacts;
use crate::workbench::{Attempt, Prepared};

/// The networks, written out.
pub(super) struct Quantized {
    /// One per variant; absent where the variant is missing here.
    pub artefacts: Vec<Option<ArtefactFacts>>,
    /// The quantized network for other engines; absent where nothing was quantized.
    pub exchange: Option<ArtefactFacts>,
}

/// Where a run keeps it, below its folder. A variant's artefact has no folder of its own.
const EXCHANGE: &str = "artefacts/exchange/qdq.onnx";

pub(super) fn quantize(prepared: &Prepared, calibrated: &Calibrated) -> Result<Quantized, Failure> {
    let Prepared { resolved, inputs, .. } = prepared;
    let variants = &resolved.manifest.variant;
    let mut artefacts = Vec::with_capacity(variants.len());
    for (position, (variant, availability)) in variants.iter().zip(&inputs.availability).enumerate() {
        artefacts.push(match availability {
            Availability::Missing { .. } => None,
            Availability::Ready { .. } => {
                let (ending, bytes) = encoded(prepared, calibrated, variant)?;
                let facts = put(prepared, format!("artefacts/{}.{ending}", variant.name), &bytes)?;
                hold_pin(resolved, position, &facts)?;
                Some(facts)
            }
        });
    }
    let exchange = match &calibrated.attempt.quantization {
        Some(quantization) => {
            let bytes = onnx::write(&calibrated.attempt.graph, Form::Int8(quantization));
            Some(put(prepared, EXCHANGE.into(), &bytes)?)
        }
        None => None,
    };
    Ok(Quantized { artefacts, exchange })
}

/// The network of a variant in the form that its backend takes, and how such files' names end.
fn encoded(
    prepared: &Prepared,
    calibrated: &Calibrated,
    variant: &Variant,
) -> Result<(&'static str, Vec<u8>), Failure> {
    let Attempt { graph: int8, quantization, plan, .. } = &calibrated.attempt;
    let quantization = quantization.as_ref().filter(|_| variant.precision == Precision::Int8);
    let graph = if quantization.is_some() { int8 } else { &prepared.inputs.model.graph };
    let artefact = variant.artefact().ok_or_else(|| Failure::bug("nothing computes a variant that was ready"))?;
    let onnx = match (artefact, quantization) {
        (Artefact::TorchScript, _) => None,
        (Artefact::Onnx | Artefact::SymmetricOnnx, None) => Some(onnx::write(graph, Form::Float)),
        (Artefact::Onnx, Some(int)) => Some(onnx::write(graph, Form::Int8(int))),
        (Artefact::SymmetricOnnx, Some(int)) => {
            let levels: Vec<usize> = graph.ids().map(|id| plan.levels_of(id)).collect();
            Some(onnx::write_symmetric(graph, int, &levels))
        }
    };
    if let Some(bytes) = onnx {
        return Ok(("onnx", bytes));
    }
    let few = calibrated.attempt.few.as_deref().and_then(program);
    let written = match (quantization, few) {
        (Some(quantization), Some(few)) => {
            torchscript::write_by_batch(few, torchscript::Program { graph, quantization }, FEW_IMAGES)
        }
        (Some(quantization), None) => torchscript::write(graph, Form::Int8(quantization)),
        (None, _) if variant.precision == Precision::Fp16 => write_short(graph, torchscript::Short::Fp16),
        (None, _) if variant.precision == Precision::Bf16 => write_short(graph, torchscript::Short::Bf16),
        (None, _) if variant.engine.is_some() => torchscript::write(graph, torchscript::Variant::FusedFloat),
        (None, _) => torchscript::write(graph, Form::Float),
    };
    Ok(("pt", written.map_err(|error| Failure::bug(error.to_string()))?))
}

fn write_short(graph: &Graph, short: torchscript::Short) -> Result<Vec<u8>, torchscript::ArchiveError> {
    torchscript::write(graph, torchscript::Variant::Short(short))
}

fn program(attempt: &Attempt) -> Option<torchscript::Program<'_>> {
    Some(torchscript::Program { graph: &attempt.graph, quantization: attempt.quantization.as_ref()? })
}

fn put(prepared: &Prepared, path: String, bytes: &[u8]) -> Result<ArtefactFacts, Failure> {
    prepared.draft.put(&path, bytes)?;
    Ok(ArtefactFacts { path, sha256: Digest::of(bytes), bytes: bytes.len() as u64 })
}

/// The artefact that the manifest says this variant must produce.
fn hold_pin(resolved: &Resolved, position: usize, facts: &ArtefactFacts) -> Result<(), Failure> {
    let variant = &resolved.manifest.variant[position];
    let key = format!("variant.{position}.sha256");
    let what = format!("the artefact of `{}`", variant.name);
    let pin = PinState { key: key.clone(), what, expected: variant.sha256, found: facts.sha256 };
    pin.broken().map_or(Ok(()), |problem| Err(problem.at(resolved.place(&key)).into()))
}
