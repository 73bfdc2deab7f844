//! The quantized network beside the float one, node by node and by what it answers.

use std::collections::BTreeMap;

use super::{Attempt, EVIDENCE_SAMPLES, KEPT_BYTES, Workbench, open};
use crate::backend::Request;
use crate::base::explain::Failure;
use crate::codec::{Form, Inputs};
use crate::graph::{Graph, NodeId};
use crate::manifest::Variant;
use crate::quantize::calibrate as parameters;
use crate::record::format::{Evidence, Followed, Parts};
use crate::task::Outputs;
use crate::task::classification::Head;
use crate::task::fidelity::{self, Closeness, decibels};
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

    /// Runs both networks and compares their answers.
    pub(crate) fn followed(&mut self, attempt: &Attempt, judge: &Variant) -> Result<Followed, Failure> {
        let Some(quantization) = &attempt.quantization else {
            return Err(Failure::bug("nothing was quantized, and nothing can be followed"));
        };
        let should = match self.float_answers.take() {
            Some(known) => known,
            None => self.answers(self.prepared.reference, self.graph(), Form::Float, self.followed_samples())?,
        };
        let int8 = Form::Int8(quantization);
        let is = self.answers(Request::from(judge), &attempt.graph, int8, self.followed_samples())?;
        let followed = follow(&self.prepared.inputs.model.outputs, &should, &is);
        self.float_answers = Some(should);
        Ok(followed)
    }

    /// How many samples networks are compared on: all, unless outputs are so large that those of both would take too much.
    fn followed_samples(&self) -> usize {
        let graph = self.graph();
        match &self.prepared.inputs.model.outputs {
            Outputs::Scores { .. } => usize::MAX,
            Outputs::Tensors(_) => (KEPT_BYTES / (graph.values_given() * size_of::<f32>()).max(1)).max(1),
        }
    }

    /// The network with only a part of what quantization does to it, in turn.
    pub(crate) fn parts(&mut self, attempt: &Attempt, judge: &Variant) -> Result<Option<Parts>, Failure> {
        use Form::{Float, Int8, Rounded};
        let Some(quantization) = &attempt.quantization else { return Ok(None) };
        let rounded = parameters::with_integer_weights(&attempt.graph, quantization);
        let outputs = &self.prepared.inputs.model.outputs;
        let reference = self.prepared.reference;
        let should = self.answers(reference, &attempt.reference, Float, EVIDENCE_SAMPLES)?;
        let mut follows = |request, graph: &Graph, form: Form<'_>| -> Result<Followed, Failure> {
            Ok(follow(outputs, &should, &self.answers(request, graph, form, EVIDENCE_SAMPLES)?))
        };
        Ok(Some(Parts {
            weights: follows(reference, &rounded, Float)?,
            activations: follows(reference, &attempt.reference, Rounded(quantization))?,
            both: follows(reference, &rounded, Rounded(quantization))?,
            kernels: follows(Request::from(judge), &attempt.graph, Int8(quantization))?,
        }))
    }

    /// All outputs, by batch.
    fn answers(
        &mut self,
        request: Request,
        graph: &Graph,
        form: Form<'_>,
        samples: usize,
    ) -> Result<Vec<Vec<Tensor>>, Failure> {
        let mut session = open(request, graph, form)?;
        let mut all = Vec::new();
        self.first_batches(samples, |input| {
            all.push(session.run(input)?);
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

fn follow(outputs: &Outputs, should: &[Vec<Tensor>], is: &[Vec<Tensor>]) -> Followed {
    match outputs {
        Outputs::Scores { head, .. } => follow_classes(*head, should, is),
        Outputs::Tensors(names) => follow_outputs(names.len(), should, is),
    }
}

fn follow_classes(head: Head, should: &[Vec<Tensor>], is: &[Vec<Tensor>]) -> Followed {
    let (mut signal, mut noise, mut divergence, mut agreeing, mut samples) = (0.0, 0.0, 0.0, 0, 0_u32);
    for (should, is) in should.iter().flatten().zip(is.iter().flatten()) {
        for (should, is) in should.f32_rows().zip(is.f32_rows()) {
            samples += 1;
            agreeing += usize::from(head.answer(should).class == head.answer(is).class);
            divergence += head.divergence(should, is);
            let own = Closeness::of(should, is);
            (signal, noise) = (signal + own.signal, noise + own.noise);
        }
    }
    let divergence = divergence / f64::from(samples.max(1));
    Followed { divergence, sqnr_db: decibels(signal, noise), agreeing, samples: samples as usize }
}

/// The error relative to the signal, the mean over outputs, stands for the divergence.
fn follow_outputs(count: usize, should: &[Vec<Tensor>], is: &[Vec<Tensor>]) -> Followed {
    let mut closeness: Vec<Vec<Closeness>> = vec![Vec::new(); count];
    for (should, is) in should.iter().zip(is) {
        for ((all, should), is) in closeness.iter_mut().zip(should).zip(is) {
            let pairs = should.f32_rows().zip(is.f32_rows());
            all.extend(pairs.map(|(should, is)| Closeness::of(should, is)));
        }
    }
    let samples = closeness.first().map_or(0, Vec::len);
    let errors = fidelity::errors(&closeness, &fidelity::signals(&closeness));
    // Samples that are undefined in float say nothing of integers; integers that are no numbers follow nothing.
    let in_float = |at: usize| closeness.iter().all(|output| output[at].signal.is_finite());
    let known: Vec<f64> = (0..samples).filter(|&at| in_float(at)).map(|at| errors[at]).collect();
    let divergence = known.iter().sum::<f64>() / (known.len() * count).max(1) as f64;
    let divergence = if divergence.is_finite() { divergence } else { f64::MAX };
    Followed { divergence, sqnr_db: decibels(1.0, divergence), agreeing: 0, samples }
}
