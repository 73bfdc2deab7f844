//! Every variant's artefact on disk.

use super::calibrate::{Calibrated, archive_bug};
use crate::backend::Availability;
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::codec::onnx;
use crate::codec::torchscript::{self, Variant};
use crate::inspect::PinState;
use crate::manifest::{Backend, Precision, Resolved, Variant as VariantSettings};
use crate::record::format::ArtefactFacts;

/// The networks, written out.
pub(super) struct Quantized {
    pub calibrated: Calibrated,
    /// One per variant; absent where the variant is missing here.
    pub artefacts: Vec<Option<ArtefactFacts>>,
    /// The quantized network for other engines; absent where nothing was quantized.
    pub exchange: Option<ArtefactFacts>,
}

/// Where a run keeps it, below its folder. A variant's artefact has no folder of its own.
const EXCHANGE: &str = "artefacts/exchange/qdq.onnx";

pub(super) fn quantize(calibrated: Calibrated) -> Result<Quantized, Failure> {
    let prepared = &calibrated.prepared;
    let manifest = &prepared.resolved.manifest;
    let mut artefacts = Vec::with_capacity(manifest.variant.len());
    for (variant, availability) in manifest.variant.iter().zip(&prepared.inputs.availability) {
        if matches!(availability, Availability::Missing { .. }) {
            artefacts.push(None);
            continue;
        }
        if variant.backend != Backend::Torch {
            artefacts.push(Some(as_onnx(&calibrated, variant, artefacts.len())?));
            continue;
        }
        let (graph, emitted) = match (variant.precision, &calibrated.attempt.quantization) {
            (Precision::Int8, Some(quantization)) => (&calibrated.attempt.graph, Variant::Int8(quantization)),
            _ => (
                &prepared.inputs.model.graph,
                if variant.engine.is_some() { Variant::FusedFloat } else { Variant::Float },
            ),
        };
        let bytes = torchscript::write(graph, emitted).map_err(|error| archive_bug(&error))?;
        let path = format!("artefacts/{}.pt", variant.name);
        prepared.draft.put(&path, &bytes)?;
        let facts = ArtefactFacts { path, sha256: Digest::of(&bytes), bytes: bytes.len() as u64 };
        hold_pin(&prepared.resolved, artefacts.len(), &facts)?;
        artefacts.push(Some(facts));
    }
    let exchange = match &calibrated.attempt.quantization {
        Some(quantization) => {
            let bytes = onnx::write(&calibrated.attempt.graph, onnx::Form::Qdq(quantization));
            prepared.draft.put(EXCHANGE, &bytes)?;
            Some(ArtefactFacts { path: EXCHANGE.into(), sha256: Digest::of(&bytes), bytes: bytes.len() as u64 })
        }
        None => None,
    };
    Ok(Quantized { artefacts, exchange, calibrated })
}

/// What engines other than libtorch are given.
fn as_onnx(calibrated: &Calibrated, variant: &VariantSettings, position: usize) -> Result<ArtefactFacts, Failure> {
    let prepared = &calibrated.prepared;
    let bytes = match (variant.precision, &calibrated.attempt.quantization) {
        (Precision::Int8, Some(quantization)) => onnx::write(&calibrated.attempt.graph, onnx::Form::Qdq(quantization)),
        _ => onnx::write(&prepared.inputs.model.graph, onnx::Form::Float),
    };
    let path = format!("artefacts/{}.onnx", variant.name);
    prepared.draft.put(&path, &bytes)?;
    let facts = ArtefactFacts { path, sha256: Digest::of(&bytes), bytes: bytes.len() as u64 };
    hold_pin(&prepared.resolved, position, &facts)?;
    Ok(facts)
}

/// The artefact that the manifest says this variant must produce.
fn hold_pin(resolved: &Resolved, position: usize, facts: &ArtefactFacts) -> Result<(), Failure> {
    let variant = &resolved.manifest.variant[position];
    let key = format!("variant.{position}.sha256");
    let what = format!("the artefact of `{}`", variant.name);
    let pin = PinState { key: key.clone(), what, expected: variant.sha256, found: facts.sha256 };
    pin.broken().map_or(Ok(()), |problem| Err(problem.at(resolved.place(&key)).into()))
}
