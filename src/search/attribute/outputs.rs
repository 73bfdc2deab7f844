//! Of a network that is judged by its outputs: samples spread over the evaluation subset, and the error of each.

use serde::{Deserialize, Serialize};

use crate::backend::Session;
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::codec::Form;
use crate::stats::Estimate;
use crate::task::fidelity::{Closeness, Fidelity, errors, removed, signals};
use crate::tensor::Tensor;
use crate::workbench::{Prepared, Surroundings, each_batch, open};

/// The most samples that interventions are tried on.
const MOST: usize = 256;

/// The most bytes that the float network's outputs for them may take.
const BYTES: usize = 256 << 20;

/// Samples per forward pass.
const BATCH: usize = 16;

/// The error that stands for an output that is no number.
const NO_NUMBER: f64 = 1e12;

pub(super) struct Samples {
    batches: Vec<Tensor>,
    /// All outputs of the float network, by batch.
    float: Vec<Vec<Tensor>>,
    /// Over the whole evaluation subset, by output.
    signals: Vec<f64>,
    /// The quantized network's error for each sample.
    before: Vec<f64>,
    digest: Digest,
}

/// The error for each sample after a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Changes {
    errors: Vec<f64>,
}

impl Samples {
    /// `None` where the outputs are as close as was asked.
    pub(super) fn choose(
        prepared: &Prepared,
        closeness: &[Vec<Closeness>],
        around: &Surroundings<'_>,
    ) -> Result<Option<Self>, Failure> {
        let all = &prepared.inputs.data.evaluation;
        let names = &prepared.inputs.model.facts.outputs;
        let ids: Vec<&str> = all.entries.iter().map(|entry| entry.id.as_str()).collect();
        let is_whole = closeness.len() == names.len() && closeness.iter().all(|output| output.len() == ids.len());
        let signals = signals(closeness);
        let errors = errors(closeness, &signals);
        // What is no number is no matter of a layer more or less in float.
        let defined: Vec<usize> = (0..errors.len()).filter(|&at| errors[at].is_finite()).collect();
        if !is_whole || defined.iter().map(|&at| errors[at]).sum::<f64>() <= 0.0 {
            return Ok(None);
        }
        let goals = &prepared.manifest().goals;
        if Fidelity::of(names, &ids, closeness).is_close(goals.min_sqnr_db, goals.min_cosine) {
            return Ok(None);
        }
        let graph = &prepared.inputs.model.graph;
        let bytes = graph.values_given() * size_of::<f32>();
        let count = MOST.min(BYTES / bytes.max(1)).clamp(1, defined.len());
        let places: Vec<usize> = (0..count).map(|at| defined[at * defined.len() / count]).collect();
        let chosen = all.at(&places);
        let mut session = open(prepared.reference, graph, Form::Float)?;
        let (mut batches, mut float) = (Vec::new(), Vec::new());
        each_batch(prepared, &chosen, BATCH, around, |batch| {
            float.push(session.run(batch)?);
            batches.push(batch.clone());
            Ok(())
        })?;
        let before = places.iter().map(|&at| errors[at]).collect();
        Ok(Some(Self { batches, float, signals, before, digest: chosen.digest() }))
    }

    /// All of the error.
    pub(super) const fn all(&self) -> (Estimate, Estimate) {
        let all = Estimate { value: 1.0, low: 1.0, high: 1.0, n: self.before.len() };
        (all, all)
    }

    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) const fn count(&self) -> usize {
        self.before.len()
    }

    pub(super) fn disagreeing(&self) -> usize {
        self.before.iter().filter(|error| **error > 0.0).count()
    }

    pub(super) fn changes(&self, session: &mut dyn Session) -> Result<Changes, Failure> {
        let mut after = Vec::with_capacity(self.before.len());
        for (batch, float) in self.batches.iter().zip(&self.float) {
            let outputs = session.run(batch)?;
            let of = |(should, is): (&Tensor, &Tensor)| -> Vec<Closeness> {
                should.f32_rows().zip(is.f32_rows()).map(|(should, is)| Closeness::of(should, is)).collect()
            };
            let closeness: Vec<Vec<Closeness>> = float.iter().zip(&outputs).map(of).collect();
            after.extend(errors(&closeness, &self.signals));
        }
        // JSON knows no infinity.
        after.iter_mut().filter(|error| !error.is_finite()).for_each(|error| *error = NO_NUMBER);
        Ok(Changes { errors: after })
    }

    /// The share of the error that a change removes, with its 95 % interval.
    pub(super) fn removed(&self, changes: &Changes) -> Estimate {
        let n = self.before.len();
        removed(&self.before, &changes.errors, "removed").unwrap_or(Estimate { value: 0.0, low: 0.0, high: 0.0, n })
    }
}
