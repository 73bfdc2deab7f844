//! A quantized network beside a float one of the same nodes, compared node by node.

use std::fmt::Write as _;

use super::operator::onednn;
use super::{Emitter, QUINT8};
use crate::graph::quantization::{Kernel, QParams};
use crate::graph::{Graph, NodeId, Op};

impl Emitter<'_> {
    /// The float network that the other is compared with: `f7` is its node 7.
    pub(super) fn reference(&mut self, graph: &Graph, last: NodeId) {
        for (id, node) in graph.iter().take_while(|(id, _)| *id <= last) {
            let inputs: Vec<String> = node.inputs.iter().map(|input| format!("f{}", input.0)).collect();
            let call =
                if node.op == Op::Input { "x".to_owned() } else { self.float_call(graph, id, &inputs, "reference_") };
            let _ = writeln!(self.forward, "    f{} = {call}", id.0);
        }
    }

    /// An integer node on the float network's tensors.
    pub(super) fn clean_node(&mut self, id: NodeId) {
        let mut inputs = Vec::new();
        for (place, &input) in self.graph.node(id).inputs.iter().enumerate() {
            let QParams { scale, zero_point } = self.qparams(input);
            let name = format!("c{}_{place}", id.0);
            let _ = writeln!(
                self.forward,
                "    {name} = torch.quantize_per_tensor(f{}, {scale:?}, {zero_point}, {QUINT8})",
                input.0
            );
            inputs.push(name);
        }
        let call = match self.kernel(id) {
            Kernel::Engine | Kernel::Bytes => format!("torch.dequantize({})", self.int8_call(id, &inputs)),
            Kernel::Fused => {
                let own = onednn::Activation::of(&self.graph.node(id).op);
                self.fused_call(id, &format!("torch.int_repr({})", inputs[0]), None, own)
            }
        };
        let _ = writeln!(self.forward, "    v{} = {call}", id.0);
        self.has_float[id.0] = true;
    }

    /// What [`Form::Beside`](crate::codec::Form::Beside) tells of a node.
    pub(super) fn comparison(&mut self, id: NodeId) -> String {
        let own = self.float(id);
        let n = id.0;
        let node = self.graph.node(id);
        // Features come last, channels second.
        let channel = if let Op::Layer(own) = &node.op { own.channel_axis(node.shape.len()) } else { 1 };
        let dims: Vec<usize> = (0..node.shape.len()).filter(|dim| *dim != channel).collect();
        let _ = writeln!(self.forward, "    d{n} = torch.sub(f{n}, {own})");
        let square = |x: &str| format!("torch.reshape(torch.sum(torch.mul({x}, {x})), [1])");
        format!(
            "torch.cat([{}, {}, torch.mean(d{n}, {dims:?})], 0)",
            square(&format!("f{n}")),
            square(&format!("d{n}"))
        )
    }
}
