//! The network's part of a record.

use std::collections::BTreeMap;

use crate::graph::op::Unary;
use crate::graph::quantization::{FloatReason, Placement, Quantization};
use crate::graph::{Graph, NodeId, Op};
use crate::manifest::Choice as _;
use crate::pipeline::calibrate::Calibrated;
use crate::pipeline::quantize::Quantized;
use crate::quantize::observer::{Observed, ObserverKind};
use crate::quantize::{bias, weights};
use crate::record::format::{Layer, Network, ObservedFacts, QuantizationFacts, WeightFacts};
use crate::workbench::{Attempt, Prepared};

pub(super) fn network(prepared: &Prepared, calibrated: &Calibrated) -> Network {
    let attempt = &calibrated.attempt;
    let mut int8_modules = BTreeMap::new();
    let mut float_operators = BTreeMap::new();
    if attempt.quantization.is_some() {
        for (node, placement) in attempt.graph.nodes.iter().zip(&attempt.plan.placement) {
            let kind = node.op.torch_name().to_owned();
            match placement {
                // Pooling keeps its class; PyTorch counts only modules it swaps for INT8 ones.
                Placement::Int8 if swapped(&node.op) => *int8_modules.entry(kind).or_default() += 1,
                Placement::Float(FloatReason::NotComputed) | Placement::Int8 => {}
                Placement::Float(_) => *float_operators.entry(kind).or_default() += 1,
            }
        }
    }
    Network {
        fp32_modules: prepared.inputs.model.fp32_modules.clone(),
        int8_modules,
        float_operators,
        patches: [&prepared.inputs.model.patches[..], &attempt.patches].concat(),
        layers: attempt.graph.ids().map(|id| layer(calibrated, id)).collect(),
    }
}

/// Whether PyTorch replaces the module by one from `torch.ao.nn.quantized`.
const fn swapped(op: &Op) -> bool {
    matches!(op, Op::Layer(_) | Op::Unary(Unary::HardSwish | Unary::Sigmoid))
}

fn layer(calibrated: &Calibrated, id: NodeId) -> Layer {
    let Calibrated { attempt, evidence, looks, .. } = calibrated;
    let Attempt { graph, plan, calibration, quantization, .. } = attempt;
    let node = graph.node(id);
    let slot = plan.observer_of[id.0];
    let observed =
        slot.and_then(|slot| calibration.observed[slot].map(|seen| observed_facts(plan.observers[slot].kind, &seen)));
    let weight = node.op.weights().map(|float| WeightFacts {
        shape: float.weight.shape().to_vec(),
        sqnr_db: quantization
            .as_ref()
            .and_then(|q| q.weights.get(&id))
            .and_then(|int| weights::sqnr_db(&float.weight, int)),
        bias_log2: quantization.as_ref().and_then(|q| bias::log2(graph, q, id)),
    });
    Layer {
        name: node.name.clone(),
        operator: node.op.torch_name().to_owned(),
        float_because: match plan.placement[id.0] {
            Placement::Int8 => None,
            Placement::Float(reason) => Some(reason),
        },
        output: quantization.as_ref().and_then(|q| q.activations[id.0]),
        evidence: evidence.get(id.0).cloned().flatten(),
        usage: looks.usage.get(id.0).cloned().flatten(),
        kernel: quantization.as_ref().filter(|q| q.is_int8(id)).map(|q| q.kernels[id.0]),
        bend_levels: quantization.as_ref().and_then(|q| bend_levels(graph, q, id)),
        observed,
        weight,
    }
}

/// Both are straight below −3 and above 3.
fn bend_levels(graph: &Graph, quantization: &Quantization, id: NodeId) -> Option<f64> {
    const BEND: f64 = 6.0;
    let node = graph.node(id);
    let bends = matches!(node.op, Op::Unary(Unary::HardSwish | Unary::HardSigmoid)) && quantization.is_int8(id);
    let input = quantization.activations[node.inputs.first().filter(|_| bends)?.0]?;
    Some(BEND / input.scale)
}

fn observed_facts(kind: ObserverKind, seen: &Observed) -> ObservedFacts {
    let Observed { min, max, low, high, values, not_finite, settled } = *seen;
    ObservedFacts { observer: kind.word().to_owned(), min, max, low, high, values, not_finite, settled }
}

pub(super) fn quantization(prepared: &Prepared, calibrated: &Calibrated, quantized: &Quantized) -> QuantizationFacts {
    let Calibrated { attempt, trials, spaces, parts, .. } = calibrated;
    let Attempt { scheme, plan, calibration, quantization, .. } = attempt;
    let watching =
        |slot: &crate::quantize::plan::ObserverSlot| slot.kind != ObserverKind::Fixed && !slot.members.is_empty();
    let dead = |observed: &Option<Observed>| observed.is_none_or(|seen| seen.min >= seen.max);
    let dead_observers = plan
        .observers
        .iter()
        .zip(&calibration.observed)
        .filter(|(slot, observed)| quantization.is_some() && watching(slot) && dead(observed))
        .filter_map(|(slot, _)| slot.members.first())
        .map(|id| prepared.inputs.model.graph.node(*id).name.clone());
    let excepted = |id: &NodeId| prepared.inputs.rules[id.0] != crate::quantize::LayerRule::default();
    QuantizationFacts {
        recipe: prepared.manifest().quantize.recipe.word().to_owned(),
        description: scheme.describe(),
        observer: Some(scheme.observer.word().to_owned()),
        steps: scheme.steps.clone(),
        trials: trials.clone(),
        spaces: spaces.clone(),
        parts: parts.clone(),
        exchange: quantized.exchange.clone(),
        rounding: attempt.rounding.clone(),
        calibration_batches: calibration.batches,
        observers: plan.observers.iter().filter(|slot| watching(slot)).count(),
        dead_observers: dead_observers.collect(),
        overridden: prepared
            .inputs
            .model
            .graph
            .ids()
            .filter(excepted)
            .map(|id| prepared.inputs.model.graph.node(id).name.clone())
            .collect(),
    }
}
