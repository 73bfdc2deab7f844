//! Runs the instrumented float network over the calibration subset and feeds the observers.

use super::prepare::Prepared;
use super::{Surroundings, stream};
use crate::backend::{self, Request};
use crate::base::explain::Failure;
use crate::codec::torchscript::{self, Variant};
use crate::manifest::Precision;
use crate::quantize::{Calibration, Calibrator, Plan};

/// A prepared run with its observations.
pub(super) struct Calibrated {
    pub prepared: Prepared,
    pub plan: Plan,
    pub calibration: Calibration,
}

pub(super) fn calibrate(prepared: Prepared, around: &Surroundings<'_>) -> Result<Calibrated, Failure> {
    let plan =
        Plan::new(&prepared.inputs.model.graph, prepared.resolved.manifest.quantize.recipe, &prepared.inputs.rules);
    let wants_int8 = prepared.resolved.manifest.variant.iter().any(|variant| variant.precision == Precision::Int8);
    let mut calibrator = Calibrator::new(&plan);
    if wants_int8 && !plan.taps().is_empty() {
        observe(&prepared, &plan, &mut calibrator, around)?;
    }
    let calibration = calibrator.finish();
    Ok(Calibrated { prepared, plan, calibration })
}

fn observe(
    prepared: &Prepared,
    plan: &Plan,
    calibrator: &mut Calibrator,
    around: &Surroundings<'_>,
) -> Result<(), Failure> {
    let archive = torchscript::write(&prepared.inputs.model.graph, Variant::Taps(&plan.taps()))
        .map_err(|error| archive_bug(&error))?;
    let mut session = backend::open(Request::REFERENCE, &archive)?;
    drop(archive);
    let size = prepared.resolved.manifest.calibration.batch_size;
    stream::each_batch(prepared, &prepared.inputs.data.calibration, size, around, |input| {
        calibrator.observe(&session.run(input)?);
        Ok(())
    })
}

/// An archive of our own that cannot be written is our own fault.
pub(super) fn archive_bug(error: &torchscript::ArchiveError) -> Failure {
    Failure::bug(error.to_string())
}
