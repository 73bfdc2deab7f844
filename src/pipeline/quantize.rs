//! Observations to integer parameters, and every variant's artefact on disk.

use super::calibrate::{Calibrated, archive_bug};
use crate::backend::Availability;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::codec::torchscript::{self, Variant};
use crate::graph::quantization::Quantization;
use crate::inspect::PinState;
use crate::manifest::{Precision, Resolved};
use crate::quantize::calibrate as parameters;
use crate::record::format::ArtefactFacts;

/// A quantized network, written out.
pub(super) struct Quantized {
    pub calibrated: Calibrated,
    pub quantization: Option<Quantization>,
    /// One per variant; absent where the variant is missing here.
    pub artefacts: Vec<Option<ArtefactFacts>>,
}

pub(super) fn quantize(calibrated: Calibrated) -> Result<Quantized, Failure> {
    let prepared = &calibrated.prepared;
    let manifest = &prepared.resolved.manifest;
    let wants = |precision| manifest.variant.iter().any(|variant| variant.precision == precision);
    let quantization = if wants(Precision::Int8) { Some(integers(&calibrated)?) } else { None };

    let mut artefacts = Vec::with_capacity(manifest.variant.len());
    for (variant, availability) in manifest.variant.iter().zip(&prepared.inputs.availability) {
        if matches!(availability, Availability::Missing { .. }) {
            artefacts.push(None);
            continue;
        }
        let emitted = match (variant.precision, &quantization) {
            (Precision::Int8, Some(quantization)) => Variant::Int8(quantization),
            _ => Variant::Float,
        };
        let bytes = torchscript::write(&prepared.inputs.model.graph, emitted).map_err(|error| archive_bug(&error))?;
        let path = format!("artefacts/{}.pt", variant.name);
        prepared.draft.put(&path, &bytes)?;
        let facts = ArtefactFacts { path, sha256: Digest::of(&bytes), bytes: bytes.len() as u64 };
        hold_pin(&prepared.resolved, artefacts.len(), &facts)?;
        artefacts.push(Some(facts));
    }
    Ok(Quantized { quantization, artefacts, calibrated })
}

/// The artefact that the manifest says this variant must produce.
fn hold_pin(resolved: &Resolved, position: usize, facts: &ArtefactFacts) -> Result<(), Failure> {
    let variant = &resolved.manifest.variant[position];
    let key = format!("variant.{position}.sha256");
    let what = format!("the artefact of `{}`", variant.name);
    let pin = PinState { key: key.clone(), what, expected: variant.sha256, found: facts.sha256 };
    pin.broken().map_or(Ok(()), |problem| Err(problem.at(resolved.place(&key)).into()))
}

fn integers(calibrated: &Calibrated) -> Result<Quantization, Failure> {
    let Calibrated { prepared, plan, calibration } = calibrated;
    let made = parameters::quantize(
        &prepared.inputs.model.graph,
        plan,
        prepared.resolved.manifest.quantize.recipe,
        calibration,
    );
    made.map_err(|unobserved| {
        let next = "check the model and `dataset.preprocess`, or set `precision = \"fp32\"` for that layer";
        Diagnostic::error(Cause::Input, unobserved.to_string()).next(next).into()
    })
}
