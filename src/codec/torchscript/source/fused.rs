//! Convolutions with the activation after them as one call of oneDNN.

use std::fmt::Write as _;

use super::Emitter;
use super::operator::{channels_last, layer, onednn, pool};
use crate::codec::form::Form;
use crate::codec::torchscript::Variant;
use crate::graph::op::{ConvGeometry, Layer, Pool, Weights};
use crate::graph::quantization::{FloatReason, IntWeight, Kernel, Placement, QParams, Quantization, lone_activation};
use crate::graph::{Dim, NodeId, Op};
use crate::tensor::{Data, Tensor};

/// The most pixels of an image whose convolution of single pixels is a linear layer over them. With more, or with more
/// than there are channels to sum over, computing takes longer than preparing the call does, and oneDNN's convolutions
/// compute faster.
const FEW_PIXELS: usize = 49;

/// A convolution of single pixels as a linear layer, which oneDNN prepares in half the time. What is small and one
/// image PyTorch convolves without oneDNN, and that is faster still; the number is PyTorch's own.
pub(super) const BY_PIXEL: &str = "  def by_pixel(self: __torch__.Network,
    x: Tensor,
    weight: Tensor,
    ordered: Tensor,
    bias: Optional[Tensor]) -> Tensor:
    images = torch.contiguous(x, memory_format=2)
    is_one = torch.eq(torch.size(x, 0), 1)
    if is_one:
      is_small = torch.le(torch.numel(x), 20480)
    else:
      is_small = False
    if is_small:
      y = torch.conv2d(images, weight, bias, [1, 1], [0, 0], [1, 1], 1)
    else:
      pixels = torch.permute(images, [0, 2, 3, 1])
      sums = ops.mkldnn._linear_pointwise(pixels, ordered, bias, \"none\", annotate(List[Optional[number]], []), \"\")
      y = torch.permute(sums, [0, 3, 1, 2])
    return y
";

impl Emitter<'_> {
    /// The node's output as plain bytes, which oneDNN's operators take.
    fn bytes(&mut self, id: NodeId) -> String {
        if !self.has_bytes[id.0] {
            self.has_bytes[id.0] = true;
            let int = self.int(id);
            let _ = writeln!(self.forward, "    b{} = torch.int_repr({int})", id.0);
        }
        format!("b{}", id.0)
    }

    /// The shape of the node's input for one image: oneDNN chooses an order of weights by it.
    fn one_image(&self, id: NodeId) -> Vec<usize> {
        self.graph.node(self.graph.node(id).inputs[0]).shape.iter().map(|dim| dim.known().unwrap_or(1)).collect()
    }

    fn has_few_pixels(&self, id: NodeId, weights: &Weights) -> bool {
        let most = FEW_PIXELS.min(weights.weight.shape()[1]);
        let shape = &self.graph.node(id).shape;
        matches!(shape.as_slice(), [_, _, Dim::Known(height), Dim::Known(width)] if height * width <= most)
    }

    /// The node whose output the call for a convolution gives, where its activation can be part of the call.
    /// Where nodes are compared one by one, each is a call of its own.
    fn last_of_call(&self, id: NodeId) -> NodeId {
        if !matches!(self.variant, Variant::Form(Form::Int8(_)) | Variant::FusedFloat) {
            return id;
        }
        let in_float = |id: &NodeId| !self.int8(*id);
        let known = |id: &NodeId| onednn::Activation::of(&self.graph.node(*id).op).is_some();
        lone_activation(self.graph, &self.users, id).filter(in_float).filter(known).unwrap_or(id)
    }

    /// Whether a convolution in float is oneDNN's: in a network that is all fused, and where something was chosen
    /// to stay in float amid integers.
    pub(super) fn fuses_float(&self, id: NodeId) -> bool {
        let chosen = |placement| matches!(placement, Placement::Float(FloatReason::Recipe | FloatReason::Manifest));
        matches!(self.variant, Variant::FusedFloat)
            || self.quantization().is_some_and(|quantization| chosen(quantization.placement[id.0]))
    }

    /// The mean over an image in a network of fused calls, whose images lie pixel after pixel.
    pub(super) fn fast_mean(&self, id: NodeId, inputs: &[String]) -> Option<String> {
        let fused = |quantization: &Quantization| quantization.kernels.contains(&Kernel::Fused);
        let fuses = matches!(self.variant, Variant::FusedFloat) || self.quantization().is_some_and(fused);
        let node = self.graph.node(id);
        if node.op != Op::Pool(Pool::GlobalAverage) || !fuses {
            return None;
        }
        match self.graph.node(node.inputs[0]).shape.as_slice() {
            [_, _, Dim::Known(height), Dim::Known(width)] => Some(pool::whole_mean(&inputs[0], [*height, *width])),
            _ => None,
        }
    }

    /// A convolution in float, in the layout that integers need. Its weights are brought into the order of its
    /// kernel when the archive is loaded; for single pixels, where what oneDNN orders for one image's convolution
    /// is slow for many, that is a linear layer's or PyTorch's own.
    pub(super) fn fused_float(&mut self, id: NodeId, weights: &Weights, g: &ConvGeometry) {
        let input = self.float(self.graph.node(id).inputs[0]);
        let (weight, bias) = self.float_weights(id, weights, "");
        let last = self.last_of_call(id);
        let activation = onednn::Activation::of(&self.graph.node(last).op);
        let call = match (&weights.weight.shape()[2..], g) {
            ([1, 1], ConvGeometry { stride: [1, 1], padding: [0, 0], groups: 1, .. })
                if self.has_few_pixels(id, weights) =>
            {
                let ordered = self.derived(id, "ordered", &onednn::ordered_linear(&weight));
                self.state.by_pixel = true;
                onednn::activated(activation, format!("(self).by_pixel({input}, {weight}, {ordered}, {bias}, )"))
            }
            ([1, 1], _) => {
                let ordered = self.derived(id, "ordered", &channels_last(&weight));
                onednn::activated(activation, layer::conv(&channels_last(&input), &ordered, &bias, g))
            }
            _ => {
                let ordered = self.derived(id, "ordered", &onednn::ordered_weight(&weight, g, &self.one_image(id)));
                onednn::fused_float(&input, &ordered, &bias, g, activation)
            }
        };
        self.has_float[last.0] = true;
        let _ = writeln!(self.forward, "    v{} = {call}", last.0);
    }

    /// A convolution of integers that gives float.
    pub(super) fn fused_int8(&mut self, id: NodeId) {
        let input = self.bytes(self.graph.node(id).inputs[0]);
        let last = self.last_of_call(id);
        let call = self.fused_call(id, &input, None, onednn::Activation::of(&self.graph.node(last).op));
        self.has_float[last.0] = true;
        let _ = writeln!(self.forward, "    v{} = {call}", last.0);
    }

    /// A convolution of integers that gives integers to convolutions like it.
    pub(super) fn fused_bytes(&mut self, id: NodeId) {
        let input = self.bytes(self.graph.node(id).inputs[0]);
        let call = self.fused_call(id, &input, Some(self.qparams(id)), None);
        self.has_bytes[id.0] = true;
        let _ = writeln!(self.forward, "    b{} = {call}", id.0);
    }

    /// Adds the layer's integer weights; returns the call.
    pub(super) fn fused_call(
        &mut self,
        id: NodeId,
        bytes: &str,
        output: Option<QParams>,
        activation: Option<onednn::Activation>,
    ) -> String {
        let node = self.graph.node(id);
        let (Op::Layer(Layer::Conv { weights, geometry, .. }), Some(int)) =
            (&node.op, self.quantization().and_then(|quantization| quantization.weights.get(&id)))
        else {
            unreachable!("the plan fuses convolutions with integer weights alone")
        };
        let input = self.qparams(node.inputs[0]);
        let (integers, scales) = self.integers(id, int);
        let zeros = self.derived(id, "zeros", &format!("torch.zeros([{}], dtype=4)", int.scales.len()));
        let packed = self.derived(
            id,
            "packed",
            &onednn::packed_weight(&integers, &scales, input, geometry, &self.one_image(id)),
        );
        let bias_name = self.attribute_name(id, "bias");
        let bias =
            weights.bias.as_ref().map_or_else(|| "None".into(), |bias| self.tensor(&bias_name, (**bias).clone()));
        onednn::fused_int8(bytes, input, output, &[&packed, &scales, &zeros, &bias], geometry, activation)
    }

    /// The integers of a weight and, for each output channel, their scale in `f32`.
    fn integers(&mut self, id: NodeId, int: &IntWeight) -> (String, String) {
        let name = self.attribute_name(id, "integers");
        let integers = self.tensor(&name, int.values.clone());
        #[expect(clippy::cast_possible_truncation, reason = "scales were f32")]
        let scales: Vec<f32> = int.scales.iter().map(|&scale| scale as f32).collect();
        let name = self.attribute_name(id, "scales");
        let scales = Tensor::new(vec![scales.len()], Data::F32(scales)).map(|scales| self.tensor(&name, scales));
        (integers, scales.unwrap_or_else(|_| unreachable!("a list has the shape of its length")))
    }
}
