//! Which nodes compute in integers and which tensors are observed together: the placement rules of
//! `torch.ao.quantization` FX with the native backend configuration.

use serde::{Deserialize, Serialize};

use super::observer::ObserverKind;
use super::scheme::Scheme;
use crate::graph::op::{Binary, Integers, Layer};
use crate::graph::quantization::{FloatReason, Kernel, Placement, lone_activation};
use crate::graph::{Dim, Graph, Node, NodeId, Op};
use crate::manifest::{LayerKernel, LayerPrecision, Step};

/// What the manifest says about one node, after its patterns were matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LayerRule {
    pub precision: Option<LayerPrecision>,
    pub observer: Option<ObserverKind>,
    pub kernel: Option<LayerKernel>,
}

/// One observer and the tensors it watches, in execution order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObserverSlot {
    pub kind: ObserverKind,
    /// Integers that its tensors may take.
    pub levels: usize,
    pub members: Vec<NodeId>,
}

/// Where integers will flow and what must be observed for it.
#[derive(Debug, Clone)]
pub struct Plan {
    pub placement: Vec<Placement>,
    pub kernels: Vec<Kernel>,
    pub observers: Vec<ObserverSlot>,
    levels: usize,
    /// For each node, the observer of its output.
    pub observer_of: Vec<Option<usize>>,
}

impl Plan {
    /// Plans a whole graph; `rules` has one entry per node.
    #[must_use]
    pub fn new(graph: &Graph, scheme: &Scheme, rules: &[LayerRule]) -> Self {
        let placement = place(graph, scheme, rules);
        let kernels = kernels(graph, scheme, rules, &placement);
        let observer_of = vec![None; graph.nodes.len()];
        let levels = scheme.levels();
        let mut plan = Self { placement, kernels, observers: Vec::new(), levels, observer_of };
        for (id, node) in graph.iter() {
            if plan.placement[id.0] == Placement::Int8 {
                for &input in &node.inputs {
                    plan.watch(input, || rules[input.0].observer.unwrap_or(scheme.observer));
                }
                if plan.kernels[id.0] != Kernel::Fused {
                    plan.watch_output(graph, id, rules[id.0].observer.unwrap_or(scheme.observer));
                }
            }
        }
        plan.order_members();
        plan
    }

    /// Where nothing is to be quantized.
    #[must_use]
    pub fn in_float(graph: &Graph) -> Self {
        let place = |node: &Node| match node.op.facts().integers {
            Integers::NotComputed => Placement::Float(FloatReason::NotComputed),
            Integers::Computes
            | Integers::FixedRange
            | Integers::KeepsParameters
            | Integers::SharesParameters
            | Integers::NoForm => Placement::Float(FloatReason::NotAsked),
        };
        Self {
            placement: graph.nodes.iter().map(place).collect(),
            kernels: vec![Kernel::Engine; graph.nodes.len()],
            observers: Vec::new(),
            levels: 0,
            observer_of: vec![None; graph.nodes.len()],
        }
    }

    /// The nodes whose outputs calibration must hand out, in execution order.
    #[must_use]
    pub fn taps(&self) -> Vec<NodeId> {
        let mut taps: Vec<NodeId> = self
            .observers
            .iter()
            .filter(|slot| slot.kind != ObserverKind::Fixed)
            .flat_map(|slot| slot.members.iter().copied())
            .collect();
        taps.sort_unstable();
        taps
    }

    /// How many integers the observed range of a node's output is spread over.
    #[must_use]
    pub fn levels_of(&self, id: NodeId) -> usize {
        let slot = self.observer_of[id.0].map(|slot| &self.observers[slot]);
        slot.filter(|slot| slot.kind != ObserverKind::Fixed).map_or(256, |slot| slot.levels)
    }

    fn watch(&mut self, id: NodeId, observer: impl FnOnce() -> ObserverKind) -> usize {
        if let Some(slot) = self.observer_of[id.0] {
            return slot;
        }
        self.observers.push(ObserverSlot { kind: observer(), levels: self.levels, members: vec![id] });
        self.observer_of[id.0] = Some(self.observers.len() - 1);
        self.observers.len() - 1
    }

    fn watch_output(&mut self, graph: &Graph, id: NodeId, own: ObserverKind) {
        let inputs = &graph.node(id).inputs;
        match (graph.node(id).op.facts().integers, inputs.first()) {
            (Integers::FixedRange, _) => {
                self.watch(id, || ObserverKind::Fixed);
            }
            (Integers::KeepsParameters, Some(input)) => {
                let slot = self.watch(*input, || own);
                self.join(id, slot);
            }
            (Integers::SharesParameters, Some(first)) => {
                let slot = self.watch(*first, || own);
                inputs.iter().for_each(|&input| self.merge(input, slot));
                self.join(id, slot);
            }
            (Integers::Computes | Integers::NoForm | Integers::NotComputed, _)
            | (Integers::KeepsParameters | Integers::SharesParameters, None) => {
                self.watch(id, || own);
            }
        }
    }

    fn join(&mut self, id: NodeId, slot: usize) {
        self.observer_of[id.0] = Some(slot);
        self.observers[slot].members.push(id);
    }

    /// Everything that shares an observer with `id` moves to `slot`; the emptied slot stays unused.
    fn merge(&mut self, id: NodeId, slot: usize) {
        let Some(old) = self.observer_of[id.0].filter(|&old| old != slot) else { return };
        for member in std::mem::take(&mut self.observers[old].members) {
            self.join(member, slot);
        }
    }

    fn order_members(&mut self) {
        self.observers.iter_mut().for_each(|slot| slot.members.sort_unstable());
    }
}

/// Images of so few channels leave a convolution little to multiply.
const FEW_CHANNELS: usize = 4;

/// Dense products of more than a few channels: where integers save time, and where the errors of many
/// roundings average out.
/// Depthwise convolutions are faster in FP32 on x86 (docs/performance.md).
fn is_product(op: &Op) -> bool {
    let Op::Layer(layer) = op else { return false };
    let from_few = matches!(layer, Layer::Conv { .. }) && layer.dense_inputs() <= Some(FEW_CHANNELS);
    layer.dense_inputs().is_some() && !from_few
}

/// Where convolutions are fused, those with an activation whose outcome is only needed in float, and those that only
/// such convolutions read. Any other stays with the engine, which takes integers as they are.
fn kernels(graph: &Graph, scheme: &Scheme, rules: &[LayerRule], placement: &[Placement]) -> Vec<Kernel> {
    let users = graph.users();
    let in_float = |id: NodeId| placement[id.0] != Placement::Int8;
    let activated = |id: NodeId| {
        let Op::Layer(Layer::Conv { relu, .. }) = graph.node(id).op else { return false };
        relu || lone_activation(graph, &users, id).is_some()
    };
    let may_fuse =
        |id: NodeId| rules[id.0].kernel.map_or(scheme.has(Step::Fuse), |kernel| kernel == LayerKernel::Fused);
    let fused =
        |id: NodeId| may_fuse(id) && !in_float(id) && activated(id) && users[id.0].iter().all(|&user| in_float(user));
    let is_read_by_fused = |id: NodeId| {
        let dense =
            matches!(graph.node(id).op, Op::Layer(Layer::Conv { relu: false, .. })) && is_product(&graph.node(id).op);
        dense && !graph.gives(id) && !users[id.0].is_empty() && users[id.0].iter().all(|&user| fused(user))
    };
    let kernel = |id| match () {
        () if fused(id) => Kernel::Fused,
        () if may_fuse(id) && !in_float(id) && is_read_by_fused(id) => Kernel::Bytes,
        () => Kernel::Engine,
    };
    graph.ids().map(kernel).collect()
}

/// The convolutions that read the image.
fn reads_image(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    matches!(node.op, Op::Layer(Layer::Conv { .. }))
        && node.inputs.iter().all(|input| graph.node(*input).op == Op::Input)
}

/// From so many values of an image on, a convolution's own work outweighs what a call of oneDNN costs beside one
/// of FBGEMM (docs/performance.md).
const MANY_VALUES: usize = 32_768;

/// Depthwise convolutions over many pixels, for which integer kernels are slower than float ones.
fn is_large_depthwise(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let values = |id: NodeId| graph.node(id).shape.iter().filter_map(Dim::known).product::<usize>();
    matches!(&node.op, Op::Layer(Layer::Conv { weights, geometry, .. })
        if geometry.groups > 1 && weights.weight.shape().get(1) == Some(&1))
        && values(id).max(values(node.inputs[0])) >= MANY_VALUES
}

/// The nodes that a scheme keeps in float.
fn kept_in_float(graph: &Graph, scheme: &Scheme) -> Vec<NodeId> {
    let users = graph.users();
    let alone = |id: &NodeId| {
        scheme.has(Step::FloatStem) && reads_image(graph, *id)
            || scheme.has(Step::Fuse) && is_large_depthwise(graph, *id)
    };
    let with_activation = |id: NodeId| std::iter::once(id).chain(lone_activation(graph, &users, id));
    graph.ids().filter(alone).flat_map(with_activation).collect()
}

/// The nodes that no image reaches.
fn constants(graph: &Graph) -> Vec<bool> {
    let mut constant = vec![false; graph.nodes.len()];
    for (id, node) in graph.iter() {
        let all = !node.inputs.is_empty() && node.inputs.iter().all(|input| constant[input.0]);
        constant[id.0] = all || matches!(node.op, Op::Constant(_));
    }
    constant
}

fn place(graph: &Graph, scheme: &Scheme, rules: &[LayerRule]) -> Vec<Placement> {
    let products_only = scheme.has(Step::ProductsOnly);
    let kept = kept_in_float(graph, scheme);

    // Dequantizing two tensors, adding and rounding them again takes four calls for what one does alike.
    let adds_integers = |op: &Op| scheme.has(Step::Fuse) && matches!(op, Op::Binary(Binary::Add { .. }));
    let constant = constants(graph);
    let mut placement: Vec<Placement> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        let on_integers = |input: &NodeId| placement[input.0] == Placement::Int8;
        let constant_operand = node.inputs.iter().any(|input| constant[input.0]);
        let rule = rules[id.0].precision;
        placement.push(match node.op.facts().integers {
            Integers::NotComputed => Placement::Float(FloatReason::NotComputed),
            Integers::NoForm => Placement::Float(FloatReason::NoKernel),
            _ if rule == Some(LayerPrecision::Fp32) => Placement::Float(FloatReason::Manifest),
            Integers::Computes | Integers::FixedRange
                if products_only
                    && rule.is_none()
                    && !is_product(&node.op)
                    && !(adds_integers(&node.op) && node.inputs.iter().all(on_integers)) =>
            {
                Placement::Float(FloatReason::Recipe)
            }
            _ if rule.is_none() && kept.contains(&id) => Placement::Float(FloatReason::Recipe),
            _ if constant_operand => Placement::Float(FloatReason::NoKernel),
            Integers::Computes => Placement::Int8,
            Integers::FixedRange | Integers::KeepsParameters | Integers::SharesParameters => {
                if node.inputs.iter().all(on_integers) {
                    Placement::Int8
                } else {
                    Placement::Float(FloatReason::FloatInput)
                }
            }
        });
    }
    placement
}
