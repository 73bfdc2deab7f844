//! Samples to tune on: of the calibration's splits, but neither among those that calibrate nor, by content, among
//! those that judge.

use std::collections::BTreeSet;

use super::trial::Outcome;
use crate::backend::Session;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::codec::Form;
use crate::dataset;
use crate::manifest::{Strategy, Subset};
use crate::task::classification::Head;
use crate::tensor::Tensor;
use crate::workbench::{Prepared, Surroundings, each_batch, open};

/// Fewer samples than this say next to nothing.
const FEWEST: usize = 50;

/// Samples per forward pass while answers are compared.
const BATCH: usize = 32;

pub(super) struct HeldOut {
    batches: Vec<Tensor>,
    labels: Vec<usize>,
    /// The float network's logits, by batch.
    float: Vec<Tensor>,
    pub(super) digest: Digest,
    head: Head,
}

impl HeldOut {
    pub(super) fn choose(prepared: &Prepared, wanted: usize, around: &Surroundings<'_>) -> Result<Self, Failure> {
        let manifest = prepared.manifest();
        let settings = Subset {
            strategy: Strategy::Random,
            samples: None,
            list: None,
            sha256: None,
            ..manifest.calibration.clone()
        };
        let data = &prepared.inputs.data;
        let all = dataset::choose(&*data.source, &settings, None, around.meter)?;
        let taken: BTreeSet<Digest> =
            data.calibration.digests.iter().chain(&data.evaluation.digests).copied().collect();
        let free: Vec<usize> =
            (0..all.entries.len()).filter(|&at| !taken.contains(&all.digests[at])).take(wanted).collect();
        if free.len() < FEWEST {
            let splits = manifest.calibration.splits.join(" + ");
            let message =
                format!("{} samples of `{splits}` neither calibrate nor judge, and tuning needs {FEWEST}", free.len());
            let next = "take fewer `calibration.samples`, or add a split to `calibration.splits`";
            return Err(Diagnostic::error(Cause::Input, message).next(next).into());
        }
        let chosen = all.at(&free);
        let mut batches = Vec::new();
        each_batch(prepared, &chosen, BATCH, around, |batch| {
            batches.push(batch.clone());
            Ok(())
        })?;
        let head = prepared.inputs.model.outputs.head();
        let head = head.ok_or_else(|| Failure::bug("tuning needs classes, and was begun without"))?;
        let labels = chosen.entries.iter().map(|entry| entry.class).collect();
        let mut held_out = Self { batches, labels, float: Vec::new(), digest: chosen.digest(), head };
        let graph = &prepared.inputs.model.graph;
        let mut session = open(prepared.reference, graph, Form::Float)?;
        held_out.float = held_out.logits(&mut *session)?;
        Ok(held_out)
    }

    pub(super) const fn count(&self) -> usize {
        self.labels.len()
    }

    /// So many of the samples, from the first on.
    pub(super) fn first(&self, count: usize) -> Result<Tensor, Failure> {
        let enough = self.batches[..count.div_ceil(BATCH).min(self.batches.len())].to_vec();
        let stacked = Tensor::stacked(enough).map_err(|error| Failure::bug(error.to_string()))?;
        Ok(stacked.rows(0, count))
    }

    fn logits(&self, session: &mut dyn Session) -> Result<Vec<Tensor>, Failure> {
        let mut all = Vec::new();
        for batch in &self.batches {
            all.extend(session.run(batch)?);
        }
        Ok(all)
    }

    /// A network's answers beside the labels and the float network's.
    pub(super) fn judge(&self, session: &mut dyn Session) -> Result<Outcome, Failure> {
        let logits = self.logits(session)?;
        let mut outcome = Outcome { samples: self.count(), ..Outcome::default() };
        let rows = logits.iter().flat_map(Tensor::f32_rows).zip(self.float.iter().flat_map(Tensor::f32_rows));
        for ((is, should), label) in rows.zip(&self.labels) {
            let head = self.head;
            outcome.right += usize::from(head.answer(is).class == *label);
            outcome.agreeing += usize::from(head.answer(is).class == head.answer(should).class);
            outcome.divergence += head.divergence(should, is) / self.count() as f64;
        }
        Ok(outcome)
    }
}
