//! Which form of each convolution is the fastest, measured on the layer by itself.
//!
//! A layer with its activation becomes a network of its own, in the forms that it can have amid floats. What they
//! are given is what the float network gives the layer, at the batch size that tuning is for; each takes its turn.

use serde::{Deserialize, Serialize};

use super::race::race;

use crate::backend::{Request, Session};
use crate::base::explain::Failure;
use crate::base::interrupt;
use crate::codec;
use crate::graph::op::Layer;
use crate::graph::quantization::{Kernel, Placement, lone_activation};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::manifest::{Backend, LayerKernel, LayerOverride, LayerPrecision, MemoryFormat, Step, Variant};
use crate::quantize::calibrate as parameters;
use crate::quantize::{Calibrator, LayerRule, Plan, Scheme};
use crate::tensor::Tensor;
use crate::workbench::{Attempt, open};

/// How a convolution and its activation are computed amid floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// In FP32, in one call of oneDNN.
    Float,
    /// On integers, in one call of oneDNN that gives float.
    Fused,
    /// On integers by the variant's engine, whose integers are made float again.
    Engine,
}

impl Form {
    const ALL: [Self; 3] = [Self::Float, Self::Fused, Self::Engine];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Fused => "fused",
            Self::Engine => "engine",
        }
    }

    const fn rule(self) -> LayerRule {
        let (precision, kernel) = match self {
            Self::Float => (LayerPrecision::Fp32, None),
            Self::Fused => (LayerPrecision::Int8, Some(LayerKernel::Fused)),
            Self::Engine => (LayerPrecision::Int8, Some(LayerKernel::Engine)),
        };
        LayerRule { precision: Some(precision), observer: None, kernel }
    }

    /// The same as a manifest says it.
    pub(super) fn exception(self, layer: &str) -> LayerOverride {
        let LayerRule { precision, kernel, .. } = self.rule();
        LayerOverride { r#match: layer.to_owned(), precision, observer: None, kernel }
    }
}

/// What a convolution took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raced {
    pub layer: String,
    /// How the scheme has it.
    pub usual: Form,
    /// Lower quartiles of the passes: float, fused, engine.
    pub milliseconds: [f64; 3],
}

/// Seconds for each layer, all forms together.
const SECONDS: f64 = 0.1;

/// Forms this close to the fastest, a fraction, are as fast.
const AS_FAST: f64 = 0.05;

impl Raced {
    /// Of the forms that are as fast as the fastest float, which loses nothing, then what the scheme has, then the
    /// fastest.
    pub(super) fn taken(&self) -> Form {
        let fastest = self.milliseconds.iter().copied().fold(f64::INFINITY, f64::min);
        let is_fast = |form: Form| self.milliseconds[form as usize] <= fastest * (1.0 + AS_FAST);
        let order = [Form::Float, self.usual].into_iter().chain(Form::ALL);
        order.into_iter().find(|form| is_fast(*form)).unwrap_or(self.usual)
    }

    /// Where that is not what the scheme has.
    pub(super) fn exception(&self) -> Option<(String, Form)> {
        let taken = self.taken();
        (taken != self.usual).then(|| (self.layer.clone(), taken))
    }
}

/// Races the forms of each convolution that can be fused and gives floats, on what the float network makes of
/// `images`; but for those that `rules` decide.
pub(super) fn race_all(
    attempt: &Attempt,
    rules: &[LayerRule],
    judge: &Variant,
    images: &Tensor,
) -> Result<Vec<Raced>, Failure> {
    let Some(quantization) = &attempt.quantization else { return Ok(Vec::new()) };
    let graph = &attempt.graph;
    let users = graph.users();
    let mut all = Vec::new();
    for (id, node) in graph.iter().filter(|(_, node)| matches!(node.op, Op::Layer(Layer::Conv { .. }))) {
        interrupt::check()?;
        let activation = lone_activation(graph, &users, id);
        let is_activated = activation.is_some() || matches!(node.op, Op::Layer(Layer::Conv { relu: true, .. }));
        let decided = rules[id.0].precision.is_some() || rules[id.0].kernel.is_some();
        let gives_floats = users[activation.unwrap_or(id).0].iter().all(|&reader| !quantization.is_int8(reader));
        if !is_activated || decided || !gives_floats {
            continue;
        }
        let usual = match (quantization.placement[id.0], quantization.kernels[id.0]) {
            (Placement::Float(_), _) => Form::Float,
            (Placement::Int8, Kernel::Fused) => Form::Fused,
            (Placement::Int8, Kernel::Engine | Kernel::Bytes) => Form::Engine,
        };
        let given = given(graph, node.inputs[0], images)?;
        let layer = alone(graph, id, activation);
        let open = |form| session(&layer, form, judge, &given);
        let (mut float, mut fused, mut engine) = (open(Form::Float)?, open(Form::Fused)?, open(Form::Engine)?);
        let runners = [&mut float, &mut fused, &mut engine];
        all.push(Raced { layer: node.name.clone(), usual, milliseconds: race(runners, &given, SECONDS)? });
    }
    Ok(all)
}

/// What the float network gives the readers of a node.
fn given(graph: &Graph, id: NodeId, images: &Tensor) -> Result<Tensor, Failure> {
    if graph.node(id).op == Op::Input {
        return Ok(images.clone());
    }
    let mut session = open(Request::float(Backend::Torch), graph, codec::Form::Taps(&[id]))?;
    let output = session.run(images)?.into_iter().next();
    output.ok_or_else(|| Failure::bug("a network that was asked for a tensor gave none"))
}

/// A convolution, and its activation, as a network.
fn alone(graph: &Graph, id: NodeId, activation: Option<NodeId>) -> Graph {
    let node = |id: NodeId, inputs: Vec<NodeId>| Node { inputs, ..graph.node(id).clone() };
    let shape = graph.node(graph.node(id).inputs[0]).shape.clone();
    let input = Node { name: "input".into(), op: Op::Input, inputs: Vec::new(), shape };
    let mut nodes = vec![input, node(id, vec![NodeId(0)])];
    nodes.extend(activation.map(|id| node(id, vec![NodeId(1)])));
    Graph { outputs: vec![NodeId(nodes.len() - 1)], nodes }
}

/// The layer in one form, calibrated on what it is given.
fn session(layer: &Graph, form: Form, judge: &Variant, given: &Tensor) -> Result<Box<dyn Session>, Failure> {
    // The activation is float in each form.
    let scheme = Scheme { steps: vec![Step::ProductsOnly], ..Scheme::fx() };
    let mut rules = vec![LayerRule::default(); layer.nodes.len()];
    rules[1] = form.rule();
    let plan = Plan::new(layer, &scheme, &rules);
    let mut calibrator = Calibrator::new(&plan);
    let taps = plan.taps();
    if !taps.is_empty() {
        let mut session = open(Request::float(Backend::Torch), layer, codec::Form::Taps(&taps))?;
        session.watch(given, &mut |taps| calibrator.observe(taps))?;
    }
    let quantization = parameters::quantize(layer, &plan, &scheme, &calibrator.finish())
        .map_err(|unobserved| Failure::bug(unobserved.to_string()))?;
    // As a fused layer before it would leave its tensors.
    let request = Request { memory_format: MemoryFormat::ChannelsLast, ..Request::from(judge) };
    open(request, layer, codec::Form::Int8(&quantization))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_is_taken_where_it_is_as_fast_and_the_usual_unless_another_is_faster() {
        let taken = |usual, milliseconds| Raced { layer: "a".into(), usual, milliseconds }.taken();
        assert_eq!(taken(Form::Fused, [1.04, 1.0, 2.0]), Form::Float);
        assert_eq!(taken(Form::Engine, [2.0, 1.0, 1.04]), Form::Engine);
        assert_eq!(taken(Form::Engine, [2.0, 1.0, 1.2]), Form::Fused);
        assert_eq!(taken(Form::Float, [1.0, 0.9, 1.2]), Form::Fused);
    }

    #[test]
    fn only_what_differs_is_an_exception() {
        let raced = |usual| Raced { layer: "a".into(), usual, milliseconds: [2.0, 1.0, 3.0] };
        assert_eq!(raced(Form::Fused).exception(), None);
        assert_eq!(raced(Form::Float).exception(), Some(("a".into(), Form::Fused)));
    }
}
