//! The quantized network beside the float one, node by node and by what it answers.

use std::collections::BTreeMap;

use super::{Attempt, EVIDENCE_SAMPLES, Workbench, open};
use crate::backend::Request;
use crate::base::explain::Failure;
use crate::codec::{Form, Inputs};
use crate::graph::{Graph, NodeId};
use crate::manifest::Variant;
use crate::quantize::calibrate as parameters;
use crate::record::format::{Evidence, Followed, Parts};
use crate::task::classification::Head;
use crate::tensor::Tensor;

impl Workbench<'_> {
    /// What each node loses by itself and together with those before it, in the order of the graph.
    pub(crate) fn evidence(&mut self, attempt: &Attempt) -> Result<Vec<Option<Evidence>>, Failure> {
        let integer = |id: &NodeId| attempt.quantization.as_ref().is_some_and(|quantization| quantization.is_int8(*id));
        let nodes: Vec<NodeId> = attempt.graph.ids().filter(integer).collect();
        let clean = self.compare(attempt, Inputs::Clean, &nodes, EVIDENCE_SAMPLES)?;
        let running = self.compare(attempt, Inputs::Running, &nodes, EVIDENCE_SAMPLES)?;
        let of = |id: NodeId| {
            let (own, whole) = (clean.get(&id)?, running.get(&id)?);
            Some(Evidence { local_sqnr_db: own.sqnr_db(), cumulative_sqnr_db: whole.sqnr_db(), samples: own.images })
        };
        Ok(attempt.graph.ids().map(of).collect())
    }

    /// Integer nodes of the quantized network beside the same of the float one with the reference's kernels (of libtorch, FBGEMM's).
    pub(crate) fn compare(
        &mut self,
        attempt: &Attempt,
        inputs: Inputs,
        nodes: &[NodeId],
        samples: usize,
    ) -> Result<BTreeMap<NodeId, Compared>, Failure> {
        let Some(quantization) = &attempt.quantization else { return Ok(BTreeMap::new()) };
        let mut compared: BTreeMap<NodeId, Compared> = BTreeMap::new();
        if nodes.is_empty() {
            return Ok(compared);
        }
        let beside = Form::Beside { quantization, reference: &attempt.reference, nodes, inputs };
        let mut session = open(self.prepared.reference, &attempt.graph, beside)?;
        self.first_batches(samples, |input| {
            let images = input.shape().first().copied().unwrap_or(0);
            for (id, told) in nodes.iter().zip(session.run(input)?) {
                compared.entry(*id).or_default().add(told.as_f32().unwrap_or(&[]), images);
            }
            Ok(())
        })?;
        Ok(compared)
    }

    /// Runs both networks and compares their logits.
    pub(crate) fn followed(&mut self, attempt: &Attempt, judge: &Variant) -> Result<Followed, Failure> {
        let Some(quantization) = &attempt.quantization else {
            return Err(Failure::bug("nothing was quantized, and nothing can be followed"));
        };
        let should = match self.float_logits.take() {
            Some(known) => known,
            None => self.logits(self.prepared.reference, self.graph(), Form::Float, usize::MAX)?,
        };
        let int8 = Form::Int8(quantization);
        let is = self.logits(Request::from(judge), &attempt.graph, int8, usize::MAX)?;
        let followed = follow(self.prepared().inputs.model.head, &should, &is);
        self.float_logits = Some(should);
        Ok(followed)
    }

    /// The network with only a part of what quantization does to it, in turn.
    pub(crate) fn parts(&mut self, attempt: &Attempt, judge: &Variant) -> Result<Option<Parts>, Failure> {
        use Form::{Float, Int8, Rounded};
        let Some(quantization) = &attempt.quantization else { return Ok(None) };
        let rounded = parameters::with_integer_weights(&attempt.graph, quantization);
        let head = self.prepared().inputs.model.head;
        let reference = self.prepared.reference;
        let should = self.logits(reference, &attempt.reference, Float, EVIDENCE_SAMPLES)?;
        let mut follows = |request, graph: &Graph, form: Form<'_>| -> Result<Followed, Failure> {
            Ok(follow(head, &should, &self.logits(request, graph, form, EVIDENCE_SAMPLES)?))
        };
        Ok(Some(Parts {
            weights: follows(reference, &rounded, Float)?,
            activations: follows(reference, &attempt.reference, Rounded(quantization))?,
            both: follows(reference, &rounded, Rounded(quantization))?,
            kernels: follows(Request::from(judge), &attempt.graph, Int8(quantization))?,
        }))
    }

    fn logits(
        &mut self,
        request: Request,
        graph: &Graph,
        form: Form<'_>,
        samples: usize,
    ) -> Result<Vec<Tensor>, Failure> {
        let mut session = open(request, graph, form)?;
        let mut all = Vec::new();
        self.first_batches(samples, |input| {
            all.extend(session.run(input)?);
            Ok(())
        })?;
        Ok(all)
    }
}

/// A node in both networks, over several batches.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    signal: f64,
    noise: f64,
    /// Sums over images of each channel's mean difference, float minus integer.
    means: Vec<f64>,
    images: usize,
}

impl Compared {
    /// Takes in what [`Form::Beside`] tells of a batch.
    fn add(&mut self, told: &[f32], images: usize) {
        let [signal, noise, means @ ..] = told else { return };
        self.signal += f64::from(*signal);
        self.noise += f64::from(*noise);
        self.means.resize(means.len(), 0.0);
        self.means.iter_mut().zip(means).for_each(|(sum, mean)| *sum += f64::from(*mean) * images as f64);
        self.images += images;
    }

    pub(crate) fn lost(&self) -> Vec<f64> {
        self.means.iter().map(|sum| sum / self.images.max(1) as f64).collect()
    }

    fn sqnr_db(&self) -> Option<f64> {
        decibels(self.signal, self.noise)
    }
}

/// `10·log₁₀(signal / noise)`; `None` where there is no signal or no noise.
fn decibels(signal: f64, noise: f64) -> Option<f64> {
    (signal > 0.0 && noise > 0.0).then(|| 10.0 * (signal / noise).log10())
}

fn follow(head: Head, should: &[Tensor], is: &[Tensor]) -> Followed {
    let (mut signal, mut noise, mut divergence, mut agreeing, mut samples) = (0.0, 0.0, 0.0, 0, 0_u32);
    for (should, is) in should.iter().zip(is) {
        for (should, is) in should.f32_rows().zip(is.f32_rows()) {
            samples += 1;
            agreeing += usize::from(head.answer(should).class == head.answer(is).class);
            divergence += head.divergence(should, is);
            for (&a, &b) in should.iter().zip(is) {
                signal += f64::from(a).powi(2);
                noise += (f64::from(a) - f64::from(b)).powi(2);
            }
        }
    }
    let divergence = divergence / f64::from(samples.max(1));
    Followed { divergence, sqnr_db: decibels(signal, noise), agreeing, samples: samples as usize }
}
