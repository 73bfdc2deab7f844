//! Inference-time batch normalization after a convolution is a change of its weights.
//!
//! The arithmetic keeps PyTorch's order of operations (`torch.nn.utils.fusion`), in `f32`, so that
//! the folded weights equal its folded weights to the bit.

use std::sync::Arc;

use super::Patch;
use crate::graph::op::{BatchNorm, Layer, Normalize, Weights};
use crate::graph::{Graph, NodeId, Op};
use crate::tensor::Tensor;

pub(super) fn find(graph: &Graph, users: &[Vec<NodeId>]) -> Option<Patch> {
    graph.iter().find_map(|(id, node)| {
        let (Op::Normalize(Normalize::Batch(norm)), &[source]) = (&node.op, node.inputs.as_slice()) else {
            return None;
        };
        let producer = graph.node(source);
        let Op::Layer(Layer::Conv { weights, geometry, relu: false }) = &producer.op else { return None };
        if users[source.0].len() != 1 || graph.gives(source) {
            return None;
        }
        let folded = Op::Layer(Layer::Conv { weights: fold(weights, norm)?, geometry: *geometry, relu: false });
        Some(Patch {
            set: vec![(source, folded, producer.inputs.clone())],
            redirect: vec![(id, source)],
            at: source,
            reason: format!("`{}` scales and shifts nothing but this output", node.name),
        })
    })
}

fn fold(weights: &Weights, norm: &BatchNorm) -> Option<Weights> {
    let [gamma, beta, mean, variance] =
        [&norm.gamma, &norm.beta, &norm.mean, &norm.variance].map(|tensor| tensor.as_f32());
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    let inverse_std: Vec<f32> = variance.iter().map(|v| 1.0 / (v + norm.epsilon).sqrt()).collect();
    let old_bias = match &weights.bias {
        Some(bias) => bias.as_f32()?.to_vec(),
        None => vec![0.0; mean.len()],
    };

    let mut scaled = Vec::with_capacity(weights.weight.data().len());
    for (channel, row) in weights.weight.f32_rows().enumerate() {
        let factor = gamma[channel] * inverse_std[channel];
        scaled.extend(row.iter().map(|w| w * factor));
    }
    let bias = (0..mean.len()).map(|c| (old_bias[c] - mean[c]) * inverse_std[c] * gamma[c] + beta[c]).collect();
    Some(Weights {
        weight: Arc::new(Tensor::f32(weights.weight.shape().to_vec(), scaled).ok()?),
        bias: Some(Arc::new(Tensor::vector(bias))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(values: &[f32]) -> Arc<Tensor> {
        Arc::new(Tensor::vector(values.to_vec()))
    }

    #[test]
    fn folding_scales_each_output_channel_and_moves_the_bias() {
        let weight = Tensor::f32(vec![2, 1, 1, 1], vec![1.0, 2.0]).unwrap();
        let weights = Weights { weight: Arc::new(weight), bias: None };
        let norm = BatchNorm {
            gamma: vector(&[2.0, 1.0]),
            beta: vector(&[0.5, 0.0]),
            mean: vector(&[1.0, 3.0]),
            variance: vector(&[4.0, 1.0]),
            epsilon: 0.0,
        };
        let folded = fold(&weights, &norm).unwrap();
        assert_eq!(folded.weight.as_f32().unwrap(), [1.0, 2.0]);
        assert_eq!(folded.bias.unwrap().as_f32().unwrap(), [-0.5, -3.0]);
    }
}
