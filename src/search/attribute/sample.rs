//! The evaluation samples that interventions are tried on, and what a change does to them, by the task.

use serde::{Deserialize, Serialize};

use super::Loss;
use super::{classes, outputs};
use crate::backend::Session;
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::stats::Estimate;
use crate::workbench::{Prepared, Surroundings};

pub(super) enum Samples {
    Classes(classes::Samples),
    Outputs(outputs::Samples),
}

/// What a change does to the samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Changes {
    Classes(classes::Changes),
    Outputs(outputs::Changes),
}

impl Samples {
    /// `None` unless there is a loss to look into.
    pub(super) fn choose(
        prepared: &Prepared,
        loss: Loss<'_>,
        around: &Surroundings<'_>,
    ) -> Result<Option<Self>, Failure> {
        Ok(match loss {
            Loss::Classes { float, int8 } => {
                let head = prepared.inputs.model.outputs.head();
                let head = head.ok_or_else(|| Failure::bug("classes were judged of a model that gives none"))?;
                classes::Samples::choose(prepared, head, float, int8, around)?.map(Self::Classes)
            }
            Loss::Outputs { closeness } => outputs::Samples::choose(prepared, closeness, around)?.map(Self::Outputs),
        })
    }

    /// What there is to gain: by [`Samples::brought`]'s measures, all of it.
    pub(super) const fn all(&self) -> (Estimate, Estimate) {
        match self {
            Self::Classes(samples) => samples.all(),
            Self::Outputs(samples) => samples.all(),
        }
    }

    pub(super) const fn digest(&self) -> Digest {
        match self {
            Self::Classes(samples) => samples.digest(),
            Self::Outputs(samples) => samples.digest(),
        }
    }

    pub(super) const fn count(&self) -> usize {
        match self {
            Self::Classes(samples) => samples.count(),
            Self::Outputs(samples) => samples.count(),
        }
    }

    /// Samples on which the networks part.
    pub(super) fn disagreeing(&self) -> usize {
        match self {
            Self::Classes(samples) => samples.disagreeing(),
            Self::Outputs(samples) => samples.disagreeing(),
        }
    }

    /// Runs a changed network over the samples.
    pub(super) fn changes(&self, session: &mut dyn Session) -> Result<Changes, Failure> {
        Ok(match self {
            Self::Classes(samples) => Changes::Classes(samples.changes(session)?),
            Self::Outputs(samples) => Changes::Outputs(samples.changes(session)?),
        })
    }

    /// What a change brings: of accuracy and of agreement with the float network, or twice the share of the error that it
    /// removes.
    pub(super) fn brought(&self, changes: &Changes) -> Result<(Estimate, Estimate), Failure> {
        match (self, changes) {
            (Self::Classes(samples), Changes::Classes(changes)) => {
                Ok((samples.accuracy(changes), samples.agreement(changes)))
            }
            (Self::Outputs(samples), Changes::Outputs(changes)) => {
                let share = samples.removed(changes);
                Ok((share, share))
            }
            (Self::Classes(_), Changes::Outputs(_)) | (Self::Outputs(_), Changes::Classes(_)) => {
                Err(Failure::bug("an intervention was measured by another task"))
            }
        }
    }
}
