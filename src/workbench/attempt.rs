//! Carries quantization schemes out on the calibration subset, and measures what becomes of them there.

mod compare;
mod correct;

use std::collections::BTreeMap;

use super::batches;
use super::prepared::Prepared;
use super::surroundings::Surroundings;
use crate::backend::{self, Request, Session};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::codec::Form;
use crate::dataset::Chosen;
use crate::graph::pass::AppliedPatch;
use crate::graph::quantization::Quantization;
use crate::graph::{Graph, NodeId};
use crate::manifest::Step;
use crate::quantize::calibrate as parameters;
use crate::quantize::plan::ObserverSlot;
use crate::quantize::reach::ChannelReach;
use crate::quantize::{Calibration, Calibrator, LayerRule, Plan, Scheme, equalize};
use crate::record::format::{RoundingFacts, SpaceFacts};
use crate::tensor::Tensor;

/// A scheme carried out.
pub(crate) struct Attempt {
    pub scheme: Scheme,
    /// The network that is quantized: the model's, after the steps that rewrite it.
    pub graph: Graph,
    /// The same function in float: rewritten alike, its biases its own.
    pub reference: Graph,
    pub patches: Vec<AppliedPatch>,
    pub plan: Plan,
    pub calibration: Calibration,
    /// Absent where nothing was asked to be quantized.
    pub quantization: Option<Quantization>,
    /// Present where rounding was learned.
    pub rounding: Option<RoundingFacts>,
    /// What batches of few images go through instead, where the scheme says so.
    pub few: Option<Box<Self>>,
}

/// Preprocessed samples are kept for the next attempt up to so many bytes; beyond, each attempt reads them
/// anew.
const KEPT_BYTES: usize = 256 << 20;

/// So many samples show what each layer loses.
const EVIDENCE_SAMPLES: usize = 128;

pub(crate) struct Workbench<'a> {
    prepared: &'a Prepared,
    around: &'a Surroundings<'a>,
    /// Samples to calibrate on in place of the manifest's.
    others: Option<Chosen>,
    /// What the manifest and the caller say of each node.
    rules: Vec<LayerRule>,
    /// Whether there will be several attempts.
    keeps: bool,
    kept: Option<Vec<Tensor>>,
    /// The first batches, as many as evidence needs: looked at several times and few.
    first: Option<Vec<Tensor>>,
    /// All outputs of the float network by batch, once known.
    float_answers: Option<Vec<Vec<Tensor>>>,
    /// What was observed already: of the evened-out graph or of the model's, by which observers.
    observed: Vec<(bool, Vec<ObserverSlot>, Calibration)>,
    /// The last rounding that was learned.
    learned: Option<(Scheme, Quantization, RoundingFacts)>,
    /// By node of the model's graph, once known.
    reach: Option<BTreeMap<NodeId, ChannelReach>>,
}

impl<'a> Workbench<'a> {
    pub(crate) fn new(prepared: &'a Prepared, around: &'a Surroundings<'a>, keeps: bool) -> Self {
        Self {
            prepared,
            around,
            others: None,
            rules: prepared.inputs.rules.clone(),
            keeps,
            kept: None,
            first: None,
            float_answers: None,
            observed: Vec::new(),
            learned: None,
            reach: None,
        }
    }

    pub(crate) const fn prepared(&self) -> &'a Prepared {
        self.prepared
    }

    /// From here on, attempts make these exceptions for layers, by node, instead of the manifest's.
    pub(crate) fn except(&mut self, rules: Vec<LayerRule>) {
        self.learned = None;
        self.rules = rules;
    }

    /// The network for batches of few images, beside that of a scheme: without what is about kernels.
    pub(crate) fn carry_out_for_few(&mut self, scheme: &Scheme) -> Result<Attempt, Failure> {
        let without_kernels = self.rules.iter().map(|rule| LayerRule { kernel: None, ..*rule }).collect();
        let rules = std::mem::replace(&mut self.rules, without_kernels);
        let attempt = self.carry_out(&scheme.for_few_images());
        self.rules = rules;
        attempt
    }

    /// From here on, attempts are calibrated on these samples, or on the manifest's again.
    pub(crate) fn calibrate_on(&mut self, others: Option<Chosen>) {
        if self.others.is_some() || others.is_some() {
            (self.kept, self.first, self.float_answers, self.reach) = (None, None, None, None);
            self.observed.clear();
            self.learned = None;
            self.others = others;
        }
    }

    fn graph(&self) -> &'a Graph {
        &self.prepared.inputs.model.graph
    }

    /// Where nothing is to be quantized.
    pub(crate) fn all_in_float(&self, scheme: &Scheme) -> Attempt {
        let plan = Plan::in_float(self.graph());
        let calibration = Calibrator::new(&plan).finish();
        let (graph, reference) = (self.graph().clone(), self.graph().clone());
        let scheme = scheme.clone();
        let patches = Vec::new();
        Attempt { scheme, graph, reference, patches, plan, calibration, quantization: None, rounding: None, few: None }
    }

    /// The steps of a scheme in their order, and the integers that come of them.
    pub(crate) fn carry_out(&mut self, scheme: &Scheme) -> Result<Attempt, Failure> {
        let (graph, patches) = if scheme.has(Step::Equalize) {
            equalize::equalize(self.graph(), self.channel_reach()?)
        } else {
            (self.graph().clone(), Vec::new())
        };
        let plan = Plan::new(&graph, scheme, &self.rules);
        let calibration = self.observe(&graph, scheme.has(Step::Equalize), &plan)?;
        let quantization = Some(integers(&graph, &plan, scheme, &calibration)?);
        let (reference, scheme) = (graph.clone(), scheme.clone());
        let mut attempt =
            Attempt { scheme, graph, reference, patches, plan, calibration, quantization, rounding: None, few: None };
        for step in attempt.scheme.steps.clone() {
            match step {
                Step::AdaRound => self.learn_rounding(&mut attempt)?,
                Step::BiasCorrection => self.correct_biases(&mut attempt)?,
                Step::SequentialBiasCorrection => self.correct_biases_in_turn(&mut attempt)?,
                // Part of the graph, of the plan or of the integers.
                Step::Equalize
                | Step::FloatStem
                | Step::ProductsOnly
                | Step::Fuse
                | Step::SmallBatches
                | Step::BoundWeights => {}
            }
        }
        Ok(attempt)
    }

    /// What an attempt has observed need not be observed again.
    pub(crate) fn remember(&mut self, attempt: &Attempt) {
        let Attempt { scheme, plan, calibration, .. } = attempt;
        self.observed.push((scheme.has(Step::Equalize), plan.observers.clone(), calibration.clone()));
    }

    fn observe(&mut self, graph: &Graph, even: bool, plan: &Plan) -> Result<Calibration, Failure> {
        let same =
            |(known, observers, _): &&(bool, Vec<ObserverSlot>, _)| *known == even && *observers == plan.observers;
        if let Some((.., calibration)) = self.observed.iter().find(same) {
            return Ok(calibration.clone());
        }
        let mut calibrator = Calibrator::new(plan);
        let taps = plan.taps();
        if !taps.is_empty() {
            let mut session = open(self.prepared.reference, graph, Form::Taps(&taps))?;
            self.each_batch(|input| Ok(session.watch(input, &mut |taps| calibrator.observe(taps))?))?;
        }
        let calibration = calibrator.finish();
        self.observed.push((even, plan.observers.clone(), calibration.clone()));
        Ok(calibration)
    }

    fn channel_reach(&mut self) -> Result<&BTreeMap<NodeId, ChannelReach>, Failure> {
        if self.reach.is_none() {
            self.reach = Some(self.reach_of(self.graph(), usize::MAX)?);
        }
        self.reach.as_ref().ok_or_else(|| Failure::bug("what was just measured is gone"))
    }

    /// What the channels of a graph's rescalable tensors reach on the first so many samples.
    fn reach_of(&mut self, graph: &Graph, samples: usize) -> Result<BTreeMap<NodeId, ChannelReach>, Failure> {
        let watched = equalize::watched(graph);
        let mut reach: BTreeMap<NodeId, ChannelReach> = BTreeMap::new();
        if watched.is_empty() {
            return Ok(reach);
        }
        let mut session = open(self.prepared.reference, graph, Form::Taps(&watched))?;
        self.first_batches(samples, |input| {
            for (id, seen) in watched.iter().zip(session.run(input)?) {
                reach.entry(*id).or_default().observe(&seen);
            }
            Ok(())
        })?;
        Ok(reach)
    }

    /// How unequal the channels are that integers are given, the most unequal first.
    pub(crate) fn spaces(&mut self, attempt: &Attempt) -> Result<Vec<SpaceFacts>, Failure> {
        let graph = &attempt.reference;
        let reach = self.reach_of(graph, EVIDENCE_SAMPLES)?;
        let int8 = |id: &NodeId| attempt.quantization.as_ref().is_some_and(|q| q.activations[id.0].is_some());
        let facts = |space: equalize::Space| {
            let (outlying, farthest_log2) = equalize::outlying(graph, &space, &reach)?;
            Some(SpaceFacts {
                outlying,
                farthest_log2,
                layer: graph.node(*space.members.first()?).name.clone(),
                tensors: space.members.len(),
                channels: reach.get(space.members.first()?)?.0.len(),
                spread_log2: equalize::spread(graph, &space, &reach)?,
            })
        };
        let spaces = equalize::spaces(graph).into_iter().filter(|space| space.members.iter().any(int8));
        let mut spaces: Vec<SpaceFacts> = spaces.filter_map(facts).collect();
        spaces.sort_by(|a, b| b.spread_log2.total_cmp(&a.spread_log2));
        Ok(spaces)
    }

    /// Hands calibration batches to `body`, in order, until it has seen so many samples.
    fn first_batches(
        &mut self,
        samples: usize,
        mut body: impl FnMut(&Tensor) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut seen = 0;
        if let Some(first) = self.first.as_ref().filter(|_| samples == EVIDENCE_SAMPLES) {
            return first.iter().try_for_each(body);
        }
        self.each_batch(|batch| {
            if seen >= samples {
                return Ok(());
            }
            seen += batch.shape().first().copied().unwrap_or(0);
            body(batch)
        })
    }

    fn chosen(&self) -> &Chosen {
        self.others.as_ref().unwrap_or(&self.prepared.inputs.data.calibration)
    }

    /// How many batches calibration has.
    fn batches(&self) -> usize {
        self.chosen().entries.len().div_ceil(self.prepared.resolved.manifest.calibration.batch_size)
    }

    /// Hands every calibration batch to `body`, in order.
    fn each_batch(&mut self, mut body: impl FnMut(&Tensor) -> Result<(), Failure>) -> Result<(), Failure> {
        if let Some(kept) = &self.kept {
            return kept.iter().try_for_each(|batch| {
                crate::base::interrupt::check()?;
                body(batch)
            });
        }
        let (mut kept, mut bytes) = (Vec::new(), 0);
        let (mut first, mut seen) = (Vec::new(), 0);
        let size = self.prepared.resolved.manifest.calibration.batch_size;
        let chosen = self.others.as_ref().unwrap_or(&self.prepared.inputs.data.calibration);
        batches::each_batch(self.prepared, chosen, size, self.around, |batch| {
            if seen < EVIDENCE_SAMPLES {
                first.push(batch.clone());
            }
            seen += batch.shape().first().copied().unwrap_or(0);
            bytes += batch.data().len() * size_of::<f32>();
            if self.keeps && bytes <= KEPT_BYTES {
                kept.push(batch.clone());
            }
            body(batch)
        })?;
        self.first = Some(first);
        self.kept = (self.keeps && bytes <= KEPT_BYTES).then_some(kept);
        Ok(())
    }
}

pub(crate) fn open(request: Request, graph: &Graph, form: Form<'_>) -> Result<Box<dyn Session>, Failure> {
    Ok(backend::open(request, &backend::encode(request.backend, graph, form)?)?)
}

fn integers(graph: &Graph, plan: &Plan, scheme: &Scheme, calibration: &Calibration) -> Result<Quantization, Failure> {
    parameters::quantize(graph, plan, scheme, calibration).map_err(|unobserved| {
        let next = "check the model and `dataset.preprocess`, or set `precision = \"fp32\"` for that layer";
        Diagnostic::error(Cause::Input, unobserved.to_string()).next(next).into()
    })
}
