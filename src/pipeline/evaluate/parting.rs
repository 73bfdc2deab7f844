//! Where two engines part on one quantized network: the integers of every layer, side by side.

use crate::backend::{self, BackendError, Request};
use crate::codec::Form;
use crate::graph::NodeId;
use crate::graph::quantization::{Kernel, Quantization};
use crate::manifest::Variant;
use crate::record::format::Parting;
use crate::tensor::Tensor;
use crate::workbench::Attempt;

/// So many samples are enough to see a layer that computes otherwise.
const SAMPLES: usize = 32;

/// Ties that are rounded otherwise change fewer values than this, a fraction, and none by more than one level.
const ROUNDING: f64 = 0.01;

/// The first layer whose integers differ by more than rounding, if there is one and both engines can show theirs.
pub(super) fn first(attempt: &Attempt, [one, other]: [&Variant; 2], samples: &Tensor) -> Option<Parting> {
    let quantization = attempt.quantization.as_ref()?;
    let nodes: Vec<NodeId> = attempt.graph.ids().filter(|&id| gives_integers(quantization, id)).collect();
    let samples = samples.rows(0, SAMPLES);
    let shown = |variant: &Variant| show(attempt, quantization, &nodes, variant, &samples).ok();
    let (one, other) = (shown(one)?, shown(other)?);
    nodes.iter().zip(one.iter().zip(&other)).find_map(|(&id, (a, b))| {
        let scale = quantization.activations[id.0]?.scale;
        let (differing, most) = apart(a.as_f32()?, b.as_f32()?, scale);
        let node = attempt.graph.node(id);
        // Activations are steep where their scale is finer than their input's: there a level becomes several.
        let beyond = differing > ROUNDING || most > 1 && node.op.weights().is_some();
        beyond.then(|| Parting { layer: node.name.clone(), operator: node.op.torch_name().into(), differing, most })
    })
}

fn gives_integers(quantization: &Quantization, id: NodeId) -> bool {
    quantization.is_int8(id) && quantization.kernels[id.0] != Kernel::Fused && quantization.activations[id.0].is_some()
}

/// The outcomes of some nodes as a variant's engine computes them.
fn show(
    attempt: &Attempt,
    quantization: &Quantization,
    nodes: &[NodeId],
    variant: &Variant,
    samples: &Tensor,
) -> Result<Vec<Tensor>, BackendError> {
    let artefact = backend::encode(variant.backend, &attempt.graph, Form::Int8Taps(quantization, nodes))?;
    backend::open(Request::from(variant), &artefact)?.run(samples)
}

/// The fraction of values that differ, and by how many levels at most.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a distance of two bytes, saturated")]
fn apart(a: &[f32], b: &[f32], scale: f64) -> (f64, usize) {
    let levels = |(a, b): (&f32, &f32)| (f64::from((a - b).abs()) / scale).round() as usize;
    let apart = a.iter().zip(b).map(levels);
    let (count, most) =
        apart.fold((0_usize, 0), |(count, most), levels| (count + usize::from(levels > 0), most.max(levels)));
    (count as f64 / a.len().max(1) as f64, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_in_levels() {
        assert_eq!(apart(&[0.0, 0.5, 1.0, 1.5], &[0.0, 0.5, 1.5, 0.0], 0.5), (0.5, 3));
        assert_eq!(apart(&[0.1], &[0.100_01], 0.5), (0.0, 0));
    }
}
