//! What every stage of a run starts from.

use chrono::{DateTime, Utc};

use crate::backend::{Availability, Request};
use crate::dataset::Album;
use crate::inspect::Inputs;
use crate::manifest::{Manifest, Precision, Resolved, Variant};
use crate::record::format::Repeated;
use crate::record::provenance::Provenance;
use crate::record::store::Draft;

/// A run whose inputs all check out.
pub struct Prepared {
    pub resolved: Resolved,
    pub started: DateTime<Utc>,
    pub draft: Draft,
    pub repeats: Option<Repeated>,
    /// What computes in float: observed for calibration, and compared with integers.
    pub reference: Request,
    pub inputs: Inputs,
    /// As the repository was when the manifest was read.
    pub provenance: Provenance,
    /// What the samples look like, filled as they are decoded.
    pub album: Album,
}

impl Prepared {
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.resolved.manifest
    }

    /// The variant whose kernels quantizations are measured with, and its place: the first in INT8 that can run here,
    /// of the backend that calibrates.
    #[must_use]
    pub fn judge(&self) -> Option<(usize, &Variant)> {
        let variants = self.manifest().variant.iter().zip(&self.inputs.availability);
        let ready = |(_, (variant, availability)): &(usize, (&Variant, &Availability))| {
            let judges = variant.backend == self.reference.backend && variant.precision == Precision::Int8;
            judges && matches!(availability, Availability::Ready { .. })
        };
        variants.enumerate().find(ready).map(|(place, (variant, _))| (place, variant))
    }
}
