//! Carries quantization schemes out on the calibration subset, and measures what becomes of them there.

use std::collections::{BTreeMap, BTreeSet};

use super::calibrate::archive_bug;
use super::prepare::Prepared;
use super::{Surroundings, stream};
use crate::backend::{self, Request, Session};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::codec::torchscript::{self, Inputs};
use crate::dataset::Chosen;
use crate::graph::pass::AppliedPatch;
use crate::graph::quantization::Quantization;
use crate::graph::{Graph, NodeId};
use crate::manifest::{Step, Variant};
use crate::quantize::calibrate::{self as parameters, ChannelReach};
use crate::quantize::plan::ObserverSlot;
use crate::quantize::{Calibration, Calibrator, LayerRule, Plan, Scheme, bias, equalize};
use crate::record::format::{Evidence, Followed, Parts, SpaceFacts};
use crate::tensor::Tensor;

/// A scheme carried out.
pub(super) struct Attempt {
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
}

/// Preprocessed samples are kept for the next attempt up to so many bytes; beyond, each attempt reads them
/// anew.
const KEPT_BYTES: usize = 256 << 20;

/// So many samples show what each layer loses.
const EVIDENCE_SAMPLES: usize = 128;

pub(super) struct Workbench<'a> {
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
    /// Logits of the float network, once known.
    float_logits: Option<Vec<Tensor>>,
    /// What was observed already: of the evened-out graph or of the model's, by which observers.
    observed: Vec<(bool, Vec<ObserverSlot>, Calibration)>,
    /// By node of the model's graph, once known.
    reach: Option<BTreeMap<NodeId, ChannelReach>>,
}

impl<'a> Workbench<'a> {
    pub(super) fn new(prepared: &'a Prepared, around: &'a Surroundings<'a>, keeps: bool) -> Self {
        Self {
            prepared,
            around,
            others: None,
            rules: prepared.inputs.rules.clone(),
            keeps,
            kept: None,
            first: None,
            float_logits: None,
            observed: Vec::new(),
            reach: None,
        }
    }

    pub(super) const fn prepared(&self) -> &'a Prepared {
        self.prepared
    }

    /// From here on, attempts keep these nodes in float, besides those of the manifest.
    pub(super) fn keep_in_float(&mut self, nodes: &BTreeSet<NodeId>) {
        self.rules.clone_from(&self.prepared.inputs.rules);
        nodes.iter().for_each(|id| self.rules[id.0].float = true);
    }

    /// From here on, attempts are calibrated on these samples, or on the manifest's again.
    pub(super) fn calibrate_on(&mut self, others: Option<Chosen>) {
        if self.others.is_some() || others.is_some() {
            (self.kept, self.first, self.float_logits, self.reach) = (None, None, None, None);
            self.observed.clear();
            self.others = others;
        }
    }

    fn graph(&self) -> &'a Graph {
        &self.prepared.inputs.model.graph
    }

    /// Where nothing is quantized: the placement alone.
    pub(super) fn plan_alone(&self, scheme: &Scheme) -> Attempt {
        let plan = Plan::new(self.graph(), scheme, &self.prepared.inputs.rules);
        let calibration = Calibrator::new(&plan).finish();
        let (graph, reference) = (self.graph().clone(), self.graph().clone());
        let scheme = scheme.clone();
        Attempt { scheme, graph, reference, patches: Vec::new(), plan, calibration, quantization: None }
    }

    /// The steps of a scheme in their order, and the integers that come of them.
    pub(super) fn carry_out(&mut self, scheme: &Scheme) -> Result<Attempt, Failure> {
        let (graph, patches) = if scheme.has(Step::Equalize) {
            equalize::equalize(self.graph(), self.channel_reach()?)
        } else {
            (self.graph().clone(), Vec::new())
        };
        let plan = Plan::new(&graph, scheme, &self.rules);
        let calibration = self.observe(&graph, scheme.has(Step::Equalize), &plan)?;
        let quantization = Some(integers(&graph, &plan, scheme, &calibration)?);
        let (reference, scheme) = (graph.clone(), scheme.clone());
        let bias_correction = scheme.has(Step::BiasCorrection);
        let mut attempt = Attempt { scheme, graph, reference, patches, plan, calibration, quantization };
        if bias_correction {
            self.correct_biases(&mut attempt)?;
        }
        Ok(attempt)
    }

    /// What an attempt has observed need not be observed again.
    pub(super) fn remember(&mut self, attempt: &Attempt) {
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
            let mut session = open(Request::REFERENCE, graph, torchscript::Variant::Taps(&taps))?;
            self.each_batch(|input| {
                calibrator.observe(&session.run(input)?);
                Ok(())
            })?;
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
        let mut session = open(Request::REFERENCE, graph, torchscript::Variant::Taps(&watched))?;
        self.first_batches(samples, |input| {
            for (id, seen) in watched.iter().zip(session.run(input)?) {
                reach.entry(*id).or_default().observe(&seen);
            }
            Ok(())
        })?;
        Ok(reach)
    }

    /// How unequal the channels are that integers are given, the most unequal first.
    pub(super) fn spaces(&mut self, attempt: &Attempt) -> Result<Vec<SpaceFacts>, Failure> {
        let graph = &attempt.reference;
        let reach = self.reach_of(graph, EVIDENCE_SAMPLES)?;
        let int8 = |id: &NodeId| attempt.quantization.as_ref().is_some_and(|q| q.activations[id.0].is_some());
        let facts = |space: equalize::Space| {
            Some(SpaceFacts {
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

    /// The layer's own loss alone is taken out: what it inherits is its predecessors' to correct.
    fn correct_biases(&mut self, attempt: &mut Attempt) -> Result<(), Failure> {
        let compared = self.compare(attempt, Inputs::Clean, usize::MAX)?;
        let layers = compared.into_iter().filter(|(id, _)| attempt.graph.node(*id).op.weights().is_some());
        let lost: BTreeMap<NodeId, Vec<f64>> = layers.map(|(id, compared)| (id, compared.lost())).collect();
        attempt.patches.push(AppliedPatch {
            pass: "bias-correction".to_owned(),
            node: attempt.graph.node(attempt.graph.output).name.clone(),
            reason: format!("biases of {} integer layers moved by what their means lost", lost.len()),
        });
        attempt.graph = bias::corrected(&attempt.reference, &lost);
        Ok(())
    }

    /// What each node loses by itself and together with those before it, in the order of the graph.
    pub(super) fn evidence(&mut self, attempt: &Attempt) -> Result<Vec<Option<Evidence>>, Failure> {
        let clean = self.compare(attempt, Inputs::Clean, EVIDENCE_SAMPLES)?;
        let running = self.compare(attempt, Inputs::Running, EVIDENCE_SAMPLES)?;
        let of = |id: NodeId| {
            let (own, whole) = (clean.get(&id)?, running.get(&id)?);
            Some(Evidence { local_sqnr_db: own.sqnr_db(), cumulative_sqnr_db: whole.sqnr_db(), samples: own.images })
        };
        Ok(attempt.graph.ids().map(of).collect())
    }

    /// The quantized network beside the float one, node by node, with FBGEMM's kernels.
    fn compare(
        &mut self,
        attempt: &Attempt,
        inputs: Inputs,
        samples: usize,
    ) -> Result<BTreeMap<NodeId, Compared>, Failure> {
        let Some(quantization) = &attempt.quantization else { return Ok(BTreeMap::new()) };
        let nodes: Vec<NodeId> = attempt.graph.ids().filter(|&id| quantization.is_int8(id)).collect();
        let mut compared: BTreeMap<NodeId, Compared> = BTreeMap::new();
        if nodes.is_empty() {
            return Ok(compared);
        }
        let beside = torchscript::Variant::Beside { quantization, reference: &attempt.reference, inputs };
        let mut session = open(Request::REFERENCE, &attempt.graph, beside)?;
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
    pub(super) fn followed(&mut self, attempt: &Attempt, judge: &Variant) -> Result<Followed, Failure> {
        let Some(quantization) = &attempt.quantization else {
            return Err(Failure::bug("nothing was quantized, and nothing can be followed"));
        };
        let should = match self.float_logits.take() {
            Some(known) => known,
            None => self.logits(Request::REFERENCE, self.graph(), torchscript::Variant::Float, usize::MAX)?,
        };
        let int8 = torchscript::Variant::Int8(quantization);
        let is = self.logits(Request::from(judge), &attempt.graph, int8, usize::MAX)?;
        let followed = follow(&should, &is);
        self.float_logits = Some(should);
        Ok(followed)
    }

    /// The network with only a part of what quantization does to it, in turn.
    pub(super) fn parts(&mut self, attempt: &Attempt, judge: &Variant) -> Result<Option<Parts>, Failure> {
        use torchscript::Variant::{Float, Int8, Rounded};
        let Some(quantization) = &attempt.quantization else { return Ok(None) };
        let rounded = parameters::with_integer_weights(&attempt.graph, quantization);
        let should = self.logits(Request::REFERENCE, &attempt.reference, Float, EVIDENCE_SAMPLES)?;
        let mut follows = |request, graph: &Graph, variant: torchscript::Variant<'_>| -> Result<Followed, Failure> {
            Ok(follow(&should, &self.logits(request, graph, variant, EVIDENCE_SAMPLES)?))
        };
        Ok(Some(Parts {
            weights: follows(Request::REFERENCE, &rounded, Float)?,
            activations: follows(Request::REFERENCE, &attempt.reference, Rounded(quantization))?,
            both: follows(Request::REFERENCE, &rounded, Rounded(quantization))?,
            kernels: follows(Request::from(judge), &attempt.graph, Int8(quantization))?,
        }))
    }

    fn logits(
        &mut self,
        request: Request,
        graph: &Graph,
        variant: torchscript::Variant<'_>,
        samples: usize,
    ) -> Result<Vec<Tensor>, Failure> {
        let mut session = open(request, graph, variant)?;
        let mut all = Vec::new();
        self.first_batches(samples, |input| {
            all.extend(session.run(input)?);
            Ok(())
        })?;
        Ok(all)
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
        stream::each_batch(self.prepared, chosen, size, self.around, |batch| {
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

pub(super) fn open(
    request: Request,
    graph: &Graph,
    variant: torchscript::Variant<'_>,
) -> Result<Box<dyn Session>, Failure> {
    let archive = torchscript::write(graph, variant).map_err(|error| archive_bug(&error))?;
    Ok(backend::open(request, &archive)?)
}

fn integers(graph: &Graph, plan: &Plan, scheme: &Scheme, calibration: &Calibration) -> Result<Quantization, Failure> {
    parameters::quantize(graph, plan, scheme, calibration).map_err(|unobserved| {
        let next = "check the model and `dataset.preprocess`, or set `precision = \"fp32\"` for that layer";
        Diagnostic::error(Cause::Input, unobserved.to_string()).next(next).into()
    })
}

/// A node in both networks, over several batches.
#[derive(Debug, Default)]
struct Compared {
    signal: f64,
    noise: f64,
    /// Sums over images of each channel's mean difference, float minus integer.
    means: Vec<f64>,
    images: usize,
}

impl Compared {
    /// Takes in what [`torchscript::Variant::Beside`] tells of a batch.
    fn add(&mut self, told: &[f32], images: usize) {
        let [signal, noise, means @ ..] = told else { return };
        self.signal += f64::from(*signal);
        self.noise += f64::from(*noise);
        self.means.resize(means.len(), 0.0);
        self.means.iter_mut().zip(means).for_each(|(sum, mean)| *sum += f64::from(*mean) * images as f64);
        self.images += images;
    }

    fn lost(&self) -> Vec<f64> {
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

fn follow(should: &[Tensor], is: &[Tensor]) -> Followed {
    let (mut signal, mut noise, mut divergence, mut agreeing, mut samples) = (0.0, 0.0, 0.0, 0, 0_u32);
    for (should, is) in should.iter().zip(is) {
        for (should, is) in should.f32_rows().zip(is.f32_rows()) {
            samples += 1;
            agreeing += usize::from(largest(should) == largest(is));
            divergence += kullback_leibler(should, is);
            for (&a, &b) in should.iter().zip(is) {
                signal += f64::from(a).powi(2);
                noise += (f64::from(a) - f64::from(b)).powi(2);
            }
        }
    }
    let divergence = divergence / f64::from(samples.max(1));
    Followed { divergence, sqnr_db: decibels(signal, noise), agreeing, samples: samples as usize }
}

/// `Σ p·ln(p / q)` of the softmax of both rows.
pub(super) fn kullback_leibler(should: &[f32], is: &[f32]) -> f64 {
    let logs = |row: &[f32]| -> Vec<f64> {
        let largest = row.iter().fold(f64::NEG_INFINITY, |a, &x| a.max(f64::from(x)));
        let total: f64 = row.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
        row.iter().map(|&x| f64::from(x) - largest - total.ln()).collect()
    };
    logs(should).into_iter().zip(logs(is)).map(|(p, q)| p.exp() * (p - q)).sum()
}

fn largest(logits: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (class, &logit) in logits.iter().enumerate() {
        if best.is_none_or(|(_, known)| logit > known) {
            best = Some((class, logit));
        }
    }
    best.map(|(class, _)| class)
}
