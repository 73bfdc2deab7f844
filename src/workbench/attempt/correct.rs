//! Steps that move what was rounded so that the network keeps its outputs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Attempt, Workbench, open};
use crate::backend::{self, Examples};
use crate::base::explain::Failure;
use crate::base::{clock, interrupt};
use crate::codec::{Form, Inputs};
use crate::graph::op::Layer;
use crate::graph::pass::AppliedPatch;
use crate::graph::quantization::IntWeight;
use crate::graph::{Dim, Graph, NodeId, Op};
use crate::manifest::{Choice as _, Step};
use crate::quantize::rounding::{self, Lesson};
use crate::quantize::{Scheme, bias, weights};
use crate::record::format::RoundingFacts;
use crate::tensor::Tensor;
use crate::workbench::event::Event;

/// What one layer learns from may take so many bytes.
const EXAMPLE_BYTES: usize = 32 << 20;

/// Of the order in which examples are looked at.
const SEED: u64 = 0;

impl Workbench<'_> {
    /// The layer's own loss alone is taken out: what it inherits is its predecessors' to correct.
    pub(crate) fn correct_biases(&mut self, attempt: &mut Attempt) -> Result<(), Failure> {
        let layers = attempt.weighted();
        let compared = self.compare(attempt, Inputs::Clean, &layers, usize::MAX)?;
        let lost: BTreeMap<NodeId, Vec<f64>> = compared.into_iter().map(|(id, one)| (id, one.lost())).collect();
        attempt.graph = bias::corrected(&attempt.graph, &lost);
        attempt.patch(Step::BiasCorrection, format!("biases of {} integer layers moved", lost.len()));
        Ok(())
    }

    /// What a layer has lost by now, its predecessors corrected already.
    pub(crate) fn correct_biases_in_turn(&mut self, attempt: &mut Attempt) -> Result<(), Failure> {
        let layers = attempt.weighted();
        for (done, &layer) in layers.iter().enumerate() {
            interrupt::check()?;
            let compared = self.compare(attempt, Inputs::Running, &[layer], usize::MAX)?;
            let lost = compared.into_iter().map(|(id, one)| (id, one.lost())).collect();
            attempt.graph = bias::corrected(&attempt.graph, &lost);
            self.progress(done + 1, layers.len());
        }
        let reason = format!("biases of {} integer layers moved, one after the other", layers.len());
        attempt.patch(Step::SequentialBiasCorrection, reason);
        Ok(())
    }

    /// Layer by layer, each given what the layers before it have come to.
    pub(crate) fn learn_rounding(&mut self, attempt: &mut Attempt) -> Result<(), Failure> {
        let budget = self.prepared.resolved.manifest.quantize.adaround.unwrap_or_default();
        let began = clock::tick();
        let over = || began.elapsed() >= Duration::from_secs(budget.max_seconds);
        let layers = attempt.weighted();
        if let Some((_, quantization, facts)) =
            self.learned.as_ref().filter(|(known, ..)| *known == before_biases(&attempt.scheme))
        {
            attempt.quantization = Some(quantization.clone());
            attempt.rounding = Some(facts.clone());
            attempt.patch(Step::AdaRound, rounding_moved(facts));
            return Ok(());
        }
        let mut facts = RoundingFacts { layers: layers.len(), ..RoundingFacts::default() };
        for &layer in &layers {
            interrupt::check()?;
            if over() {
                break;
            }
            let better = self.better_rounding(attempt, layer, budget.iterations, &over)?;
            // What was under way when the time was over is left as it was.
            if over() {
                break;
            }
            facts.learned += 1;
            if let (Some(better), Some(quantization)) = (better, &mut attempt.quantization) {
                quantization.weights.insert(layer, better);
                facts.improved += 1;
            }
            self.progress(facts.learned, layers.len());
        }
        attempt.patch(Step::AdaRound, rounding_moved(&facts));
        self.learned =
            attempt.quantization.clone().map(|learned| (before_biases(&attempt.scheme), learned, facts.clone()));
        attempt.rounding = Some(facts);
        Ok(())
    }

    /// Integers that keep the layer's output better than the nearest, if such were found.
    fn better_rounding(
        &mut self,
        attempt: &Attempt,
        layer: NodeId,
        iterations: usize,
        over: &dyn Fn() -> bool,
    ) -> Result<Option<IntWeight>, Failure> {
        let Some(nearest) = attempt.quantization.as_ref().and_then(|q| q.weights.get(&layer)) else { return Ok(None) };
        let Some(weight) = attempt.graph.node(layer).op.weights().map(|own| &own.weight) else { return Ok(None) };
        let (count, examples) = self.examples(attempt, layer)?;
        let unit = examples.error(&weights::dequantized(nearest))?;
        let lesson = Lesson { iterations, examples: count, unit, seed: SEED };
        let learned = rounding::learn(weight, nearest, lesson, |weight, some| -> Result<_, Failure> {
            interrupt::check()?;
            Ok(if over() { None } else { Some(examples.gradient(weight, some)?) })
        })?;
        let Some(mut learned) = learned else { return Ok(None) };
        if attempt.scheme.has(Step::BoundWeights) {
            weights::keep_bounded(&mut learned, nearest);
        }
        let better = examples.error(&weights::dequantized(&learned))? < unit;
        Ok(better.then_some(learned))
    }

    /// What the quantized network gives a layer, and what the float network makes at that place.
    fn examples(&mut self, attempt: &Attempt, layer: NodeId) -> Result<(usize, Box<dyn Examples>), Failure> {
        let Some(quantization) = &attempt.quantization else { return Err(Failure::bug("nothing was quantized")) };
        let node = attempt.reference.node(layer);
        let (given, wanted) = ([node.inputs[0]], [layer]);
        let integers = Form::Int8Taps(quantization, &given);
        let mut integers = open(self.prepared.reference, &attempt.graph, integers)?;
        let mut float = open(self.prepared.reference, &attempt.reference, Form::Taps(&wanted))?;
        let rows = self.rows_per_batch(&attempt.reference, [given[0], layer]);
        let is_linear = matches!(node.op, Op::Layer(Layer::Linear { .. }));
        let features = |tensor: Tensor| if is_linear { as_rows(tensor) } else { tensor };
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        self.each_batch(|batch| {
            let some = batch.rows(0, rows);
            inputs.extend(integers.run(&some)?.into_iter().map(features));
            outputs.extend(float.run(&some)?.into_iter().map(features));
            Ok(())
        })?;
        let stacked = |parts| Tensor::stacked(parts).map_err(|error| Failure::bug(error.to_string()));
        let (inputs, outputs) = (stacked(inputs)?, stacked(outputs)?);
        let count = inputs.shape().first().copied().unwrap_or(0);
        Ok((count, backend::examples(&node.op, &inputs, &outputs)?))
    }

    /// As many rows of each batch as there may be examples: of every batch, for subsets may be sorted by class.
    fn rows_per_batch(&self, graph: &Graph, tensors: [NodeId; 2]) -> usize {
        let values = |id: NodeId| graph.node(id).shape.iter().filter_map(Dim::known).product::<usize>();
        let bytes = size_of::<f32>() * tensors.into_iter().map(values).sum::<usize>();
        (EXAMPLE_BYTES / bytes.max(1) / self.batches().max(1)).max(1)
    }

    fn progress(&self, done: usize, total: usize) {
        self.around.events.emit(&Event::Progress { done, total, unit: "layers" });
    }
}

/// All but the last dimension as one: a linear layer works on each row by itself.
fn as_rows(tensor: Tensor) -> Tensor {
    let features = tensor.shape().last().copied().unwrap_or(1);
    let rows = tensor.data().len() / features.max(1);
    Tensor::new(vec![rows, features], tensor.data().clone()).unwrap_or(tensor)
}

/// What learned rounding depends on.
fn before_biases(scheme: &Scheme) -> Scheme {
    let mut scheme = scheme.clone();
    scheme.steps.retain(|step| !matches!(step, Step::BiasCorrection | Step::SequentialBiasCorrection));
    scheme
}

fn rounding_moved(facts: &RoundingFacts) -> String {
    format!("rounding of {} of {} layers moved", facts.improved, facts.layers)
}

impl Attempt {
    /// Integer layers with weights, in execution order.
    fn weighted(&self) -> Vec<NodeId> {
        self.quantization
            .as_ref()
            .map(|quantization| quantization.weights.keys().copied().collect())
            .unwrap_or_default()
    }

    fn patch(&mut self, step: Step, reason: String) {
        let node = self.graph.node(self.graph.output()).name.clone();
        self.patches.push(AppliedPatch { pass: step.word().to_owned(), node, reason });
    }
}
