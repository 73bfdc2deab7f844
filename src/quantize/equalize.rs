//! Cross-layer equalization: channels that are much wider than their neighbours are scaled down where
//! they are made and up again where they are read, so that one scale per tensor serves them all
//! (Nagel et al., *Data-free quantization through weight equalization and bias correction*, 2019).
//!
//! Here every factor is a power of two, so that the float network computes the same to the bit. Channels
//! are followed through whatever carries them unchanged in sign and proportion: rectifiers, pooling, sums
//! of a residual stream, and the gated side of squeeze-excite.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reach::ChannelReach;
use crate::graph::op::{Channels, Layer, Weights};
use crate::graph::pass::AppliedPatch;
use crate::graph::{Dim, Graph, NodeId, Op};
use crate::stats::sample;
use crate::tensor::Tensor;

/// Exponents beyond this would leave the range in which a float keeps all its digits.
const LARGEST_EXPONENT: i32 = 24;

/// Tensors whose channels must be scaled alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The nodes whose outputs they are, in execution order.
    pub members: Vec<NodeId>,
    /// Convolutions and linear layers that make the channels, and those that read them.
    pub producers: Vec<NodeId>,
    pub consumers: Vec<NodeId>,
}

/// Finds the spaces whose channels can be rescaled without a change of the network's function.
#[must_use]
pub fn spaces(graph: &Graph) -> Vec<Space> {
    let mut links = Links::new(graph.nodes.len());
    for (id, node) in graph.iter() {
        links.of_node(graph, id, &node.op);
    }
    graph.outputs.iter().for_each(|output| links.fix(*output));
    let mut found: BTreeMap<usize, Space> = BTreeMap::new();
    for (id, node) in graph.iter() {
        let space = found.entry(links.root(id.0)).or_insert_with(|| Space {
            members: Vec::new(),
            producers: Vec::new(),
            consumers: Vec::new(),
        });
        space.members.push(id);
        if node.op.weights().is_some() {
            space.producers.push(id);
        }
    }
    for (id, node) in graph.iter().filter(|(_, node)| node.op.weights().is_some()) {
        if let Some(space) = node.inputs.first().and_then(|input| found.get_mut(&links.root(input.0))) {
            space.consumers.push(id);
        }
    }
    let free = found
        .into_iter()
        .filter(|(root, space)| !links.fixed[*root] && !space.producers.is_empty() && !space.consumers.is_empty());
    free.map(|(_, space)| space).collect()
}

/// Which tensors belong together, and which may not be touched.
struct Links {
    parent: Vec<usize>,
    fixed: Vec<bool>,
}

impl Links {
    fn new(nodes: usize) -> Self {
        Self { parent: (0..nodes).collect(), fixed: vec![false; nodes] }
    }

    fn root(&self, mut node: usize) -> usize {
        while self.parent[node] != node {
            node = self.parent[node];
        }
        node
    }

    fn join(&mut self, a: NodeId, b: NodeId) {
        let (a, b) = (self.root(a.0), self.root(b.0));
        let (first, second) = (a.min(b), a.max(b));
        self.parent[second] = first;
        self.fixed[first] |= self.fixed[second];
    }

    fn fix(&mut self, node: NodeId) {
        let root = self.root(node.0);
        self.fixed[root] = true;
    }

    fn of_node(&mut self, graph: &Graph, id: NodeId, op: &Op) {
        let inputs = &graph.node(id).inputs;
        match op.facts().channels {
            Channels::Remade => {}
            Channels::ReadByPosition => inputs.iter().for_each(|&input| self.fix(input)),
            Channels::Kept => inputs.iter().for_each(|&input| self.join(input, id)),
            Channels::KeptWherePooled if inputs.iter().all(|input| is_pooled(graph, *input)) => {
                inputs.iter().for_each(|&input| self.join(input, id));
            }
            Channels::Gated => self.of_product(graph, id),
            Channels::KeptWherePooled | Channels::Fixed => {
                inputs.iter().for_each(|&input| self.fix(input));
                self.fix(id);
            }
        }
    }

    /// Of a product one side may scale: the one that is gated, image against one number per channel.
    fn of_product(&mut self, graph: &Graph, id: NodeId) {
        let inputs = &graph.node(id).inputs;
        let gates: Vec<NodeId> = inputs.iter().copied().filter(|input| is_pooled(graph, *input)).collect();
        match (gates.as_slice(), inputs.as_slice()) {
            ([gate], [a, b]) if gate == a || gate == b => {
                self.fix(*gate);
                self.join(if gate == a { *b } else { *a }, id);
            }
            _ => {
                inputs.iter().for_each(|&input| self.fix(input));
                self.fix(id);
            }
        }
    }
}

/// One number per channel.
fn is_pooled(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).shape.as_slice(), [_, _, Dim::Known(1), Dim::Known(1)])
}

/// Binary logarithms of the factors, one per channel, that would even out the channels of a space: what
/// its readers' weights make of a channel against what its activations reach. `None` of a channel that is
/// always zero or never read.
fn wanted(graph: &Graph, space: &Space, reach: &BTreeMap<NodeId, ChannelReach>) -> Option<Vec<Option<f64>>> {
    let channels =
        space.producers.first().and_then(|id| graph.node(*id).op.weights()?.weight.shape().first().copied())?;
    let activations = widest(space.members.iter().filter_map(|id| reach.get(id)), channels)?;
    let weights = space.consumers.iter().filter_map(|id| reading(&graph.node(*id).op));
    let weights: Vec<Vec<f32>> = weights.collect();
    let factor = |channel: usize| {
        let activation = f64::from(activations[channel]);
        // Readers with a scale of their own for every channel lose nothing by its size.
        let factor = if weights.is_empty() {
            1.0 / activation
        } else {
            let largest = weights.iter().filter_map(|reader| reader.get(channel)).fold(0.0_f32, |a, &b| a.max(b));
            (f64::from(largest) / activation).sqrt()
        };
        Some(factor.log2()).filter(|log| log.is_finite())
    };
    Some((0..channels).map(factor).collect())
}

/// How unequal the channels of a space are: the binary logarithm between the first and the last decile of the
/// factors that would even them out. A few channels that hardly ever speak make no tensor unequal.
#[must_use]
pub fn spread(graph: &Graph, space: &Space, reach: &BTreeMap<NodeId, ChannelReach>) -> Option<f64> {
    let known: Vec<f64> = wanted(graph, space, reach)?.into_iter().flatten().collect();
    Some(sample::quantile(&known, 0.9)? - sample::quantile(&known, 0.1)?)
}

/// Channels that reach farther than the median channel by [`OUTLYING`] binary orders of magnitude or more, and by how
/// many the farthest does. A single such channel takes that many bits from all the others, however large the tensor is.
#[must_use]
pub fn outlying(graph: &Graph, space: &Space, reach: &BTreeMap<NodeId, ChannelReach>) -> Option<(Vec<usize>, f64)> {
    let wanted = wanted(graph, space, reach)?;
    let known: Vec<f64> = wanted.iter().flatten().copied().collect();
    let median = sample::quantile(&known, 0.5)?;
    let beyond = |log: &Option<f64>| log.map_or(0.0, |log| median - log);
    let far = (0..wanted.len()).filter(|&channel| beyond(&wanted[channel]) >= OUTLYING).collect();
    Some((far, wanted.iter().map(beyond).fold(0.0, f64::max)))
}

/// Four of seven or eight bits.
pub const OUTLYING: f64 = 4.0;

/// The exponents of two, around zero, of the factors that would even out the channels of a space. `None` where the space has
/// no channels that calibration saw.
#[must_use]
pub fn exponents(graph: &Graph, space: &Space, reach: &BTreeMap<NodeId, ChannelReach>) -> Option<Vec<i32>> {
    let wanted = wanted(graph, space, reach)?;
    let known: Vec<f64> = wanted.iter().flatten().copied().collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "clamped first")]
    let rounded = |log: f64| log.round().clamp(-1e6, 1e6) as i32;
    // Rounded apart from each other: a factor common to all channels then changes no other digit.
    let shift = rounded(mean);
    let exponent =
        |log: &Option<f64>| log.map_or(0, |log| (rounded(log) - shift).clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT));
    Some(wanted.iter().map(exponent).collect())
}

/// The largest of each channel over several tensors, where all have as many channels.
fn widest<'a>(tensors: impl Iterator<Item = &'a ChannelReach>, channels: usize) -> Option<Vec<f32>> {
    let mut widest: Option<Vec<f32>> = None;
    for reach in tensors.filter(|reach| reach.0.len() == channels) {
        let so_far = widest.get_or_insert_with(|| vec![0.0; channels]);
        so_far.iter_mut().zip(&reach.0).for_each(|(a, b)| *a = a.max(*b));
    }
    widest
}

/// How large a reader's weights for each input channel are, in units of the largest weight of the output
/// channel that they are quantized with. `None` for a depthwise convolution.
fn reading(op: &Op) -> Option<Vec<f32>> {
    let weights = op.weights()?;
    if matches!(op, Op::Layer(Layer::Conv { geometry, .. }) if geometry.groups > 1) {
        return None;
    }
    let inputs = weights.weight.shape().get(1).copied()?;
    let mut largest = vec![0.0_f32; inputs];
    for row in weights.weight.f32_rows() {
        let whole = row.iter().fold(0.0_f32, |a, w| a.max(w.abs())).max(f32::MIN_POSITIVE);
        for (channel, taps) in row.chunks((row.len() / inputs).max(1)).enumerate() {
            let own = taps.iter().fold(0.0_f32, |a, w| a.max(w.abs())) / whole;
            largest[channel] = largest[channel].max(own);
        }
    }
    Some(largest)
}

/// The graph with every space evened out, and what was changed. `reach` holds what calibration saw of the
/// channels of [`watched`] tensors.
#[must_use]
pub fn equalize(graph: &Graph, reach: &BTreeMap<NodeId, ChannelReach>) -> (Graph, Vec<AppliedPatch>) {
    let mut graph = graph.clone();
    let mut applied = Vec::new();
    for space in spaces(&graph) {
        let Some(exponents) = exponents(&graph, &space, reach) else { continue };
        if exponents.iter().all(|&exponent| exponent == 0) {
            continue;
        }
        let factors: Vec<f32> = exponents.iter().map(|&exponent| 2.0_f32.powi(exponent)).collect();
        for &producer in &space.producers {
            rescale_outputs(&mut graph, producer, &factors);
        }
        for &consumer in &space.consumers {
            rescale_inputs(&mut graph, consumer, &factors);
        }
        let (low, high) = exponents.iter().fold((0, 0), |(low, high), &e| (low.min(e), high.max(e)));
        let moved = exponents.iter().filter(|&&exponent| exponent != 0).count();
        let first = graph.node(space.members[0]).name.clone();
        let reason = format!("{moved} of {} channels rescaled by 2^{low} to 2^{high}", exponents.len());
        applied.push(AppliedPatch { pass: "equalize".to_owned(), node: first, reason });
    }
    (graph, applied)
}

/// The tensors whose channels equalization needs to know.
#[must_use]
pub fn watched(graph: &Graph) -> Vec<NodeId> {
    let mut all: Vec<NodeId> = spaces(graph).into_iter().flat_map(|space| space.members).collect();
    all.sort_unstable();
    all
}

fn rescale_outputs(graph: &mut Graph, id: NodeId, factors: &[f32]) {
    edit(graph, id, |weights| {
        let rows = weights.weight.f32_rows().zip(factors);
        let values = rows.flat_map(|(row, factor)| row.iter().map(move |w| w * factor)).collect();
        let bias = weights.bias.as_ref().and_then(|bias| bias.as_f32());
        let bias = bias.map(|bias| bias.iter().zip(factors).map(|(b, factor)| b * factor).collect());
        (values, bias)
    });
}

fn rescale_inputs(graph: &mut Graph, id: NodeId, factors: &[f32]) {
    let depthwise = matches!(&graph.node(id).op, Op::Layer(Layer::Conv { geometry, .. }) if geometry.groups > 1);
    edit(graph, id, |weights| {
        let rows = weights.weight.f32_rows().enumerate();
        let values = rows.flat_map(|(out, row)| {
            let taps = if depthwise { row.len() } else { row.len() / factors.len() };
            row.iter().enumerate().map(move |(at, w)| {
                let channel = if depthwise { out } else { at / taps.max(1) };
                w / factors[channel]
            })
        });
        (values.collect(), weights.bias.as_ref().and_then(|bias| bias.as_f32()).map(<[f32]>::to_vec))
    });
}

/// Replaces the weights of a layer by what `f` makes of them.
pub(super) fn edit(graph: &mut Graph, id: NodeId, f: impl FnOnce(&Weights) -> (Vec<f32>, Option<Vec<f32>>)) {
    let Op::Layer(layer) = &mut graph.nodes[id.0].op else { return };
    let weights = layer.weights_mut();
    let (values, bias) = f(weights);
    if let Ok(weight) = Tensor::f32(weights.weight.shape().to_vec(), values) {
        *weights = Weights { weight: Arc::new(weight), bias: bias.map(|bias| Arc::new(Tensor::vector(bias))) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::op::{Binary, ConvGeometry, Unary};
    use crate::graph::{Dim, Node};

    const ONE: ConvGeometry = ConvGeometry { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };

    fn conv(weights: Vec<f32>, inputs: usize) -> Op {
        let outputs = weights.len() / inputs;
        let weight = Arc::new(Tensor::f32(vec![outputs, inputs, 1, 1], weights).unwrap());
        Op::Layer(Layer::Conv { weights: Weights { weight, bias: None }, geometry: ONE, relu: false })
    }

    /// Two convolutions into a sum, which a third reads after a rectifier.
    fn stream() -> Graph {
        let mut graph = Graph::default();
        let shape = vec![Dim::Batch, Dim::Known(2), Dim::Known(1), Dim::Known(1)];
        graph.nodes.push(Node { name: "x".into(), op: Op::Input, inputs: vec![], shape });
        let x = NodeId(0);
        let a = graph.push("a".into(), conv(vec![64.0, 0.0, 0.0, 1.0], 2), vec![x]).unwrap();
        let b = graph.push("b".into(), conv(vec![32.0, 0.0, 0.0, 0.5], 2), vec![x]).unwrap();
        let sum = graph.push("sum".into(), Op::Binary(Binary::Add { relu: false }), vec![a, b]).unwrap();
        let relu = graph.push("relu".into(), Op::Unary(Unary::Relu), vec![sum]).unwrap();
        let c = graph.push("c".into(), conv(vec![1.0 / 64.0, 1.0, 1.0 / 64.0, 1.0], 2), vec![relu]).unwrap();
        graph.push("out".into(), Op::Unary(Unary::HardSwish), vec![c]).unwrap();
        graph.outputs = vec![NodeId(6)];
        graph
    }

    fn seen(first: f32, second: f32) -> ChannelReach {
        ChannelReach(vec![first, second])
    }

    #[test]
    fn a_stream_is_followed_through_sums_and_rectifiers() {
        let found = spaces(&stream());
        assert_eq!(found.len(), 1, "the input, and what a nonlinear operator reads, are fixed: {found:?}");
        let names = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(names(&found[0].members), [1, 2, 3, 4]);
        assert_eq!((names(&found[0].producers), names(&found[0].consumers)), (vec![1, 2], vec![5]));
    }

    #[test]
    fn unequal_channels_become_equal_by_powers_of_two() {
        let graph = stream();
        let reach = BTreeMap::from([(NodeId(1), seen(64.0, 1.0)), (NodeId(3), seen(96.0, 1.5))]);
        // √(1/64 ÷ 96) against √(1 ÷ 1.5): six binary orders apart.
        let space = &spaces(&graph)[0];
        assert!((spread(&graph, space, &reach).unwrap() - 6.0 * 0.8).abs() < 0.1);
        let (even, applied) = equalize(&graph, &reach);
        assert_eq!(applied.len(), 1);
        let weights =
            |graph: &Graph, id: usize| graph.nodes[id].op.weights().unwrap().weight.as_f32().unwrap().to_vec();
        let ratio = |id: usize| weights(&even, id)[0] / weights(&even, id)[3];
        assert_eq!((ratio(1), ratio(2)), (1.0, 1.0));
        let read = weights(&even, 5);
        assert_eq!(read[0], read[1]);
    }

    #[test]
    fn a_factor_common_to_all_channels_changes_nothing_else() {
        let graph = stream();
        let exponents_at = |scale: f32| {
            let reach = BTreeMap::from([(NodeId(3), seen(96.0 * scale, 1.5 * scale))]);
            exponents(&graph, &spaces(&graph)[0], &reach).unwrap()
        };
        let apart = |e: Vec<i32>| e[1] - e[0];
        assert_eq!(apart(exponents_at(1.0)), apart(exponents_at(1024.0)));
        // A channel that never speaks is left alone.
        let silent = BTreeMap::from([(NodeId(3), seen(0.0, 1.0))]);
        assert_eq!(exponents(&graph, &spaces(&graph)[0], &silent).unwrap()[0], 0);
    }
}
