//! A graph as TorchScript source and the list of tensors its state holds.
//!
//! Each node becomes one assignment: `v7` is node 7 in float, `q7` the same as an integer tensor.
//! Conversions between the two are written where a reader first needs them.

mod beside;
mod fused;
mod gate;
mod operator;
mod short;
mod state;

use std::fmt::Write as _;

use state::State;

use self::operator::layer::Packing;
use self::operator::{binary, layer, layout, normalize, pool, unary};
use super::{Program, Short, Variant};
use crate::codec::form::{Form, Inputs};
use crate::graph::op::{Binary, Layer, Weights};
use crate::graph::quantization::{IntWeight, Kernel, QParams, Quantization};
use crate::graph::{Graph, NodeId, Op};
use crate::tensor::{Data, Tensor};

/// The name of the emitted class.
pub(super) const CLASS: &str = "Network";

/// `torch.quint8` as TorchScript's number for it.
const QUINT8: u32 = 13;

/// Code and tensors of a module.
pub(super) struct Module {
    pub(super) code: String,
    pub(super) tensors: Vec<Tensor>,
}

pub(super) fn emit(graph: &Graph, variant: Variant<'_>) -> Module {
    let (state, forward) = Emitter::new(graph, variant, State::new(), "").method("forward");
    state.module(&forward)
}

/// One network for batches of fewer images than `below`, and one for all others.
pub(super) fn emit_by_batch(few: Program<'_>, many: Program<'_>, below: usize) -> Module {
    let program_outputs = many.graph.outputs.len();
    let method = |program: Program<'_>, state: State, name: &str| {
        let variant = Form::Int8(program.quantization).into();
        Emitter::new(program.graph, variant, state, &format!("{name}_")).method(name)
    };
    let (state, few) = method(few, State::new(), "few");
    let (state, many) = method(many, state, "many");
    let given = if program_outputs > 1 { "List[Tensor]" } else { "Tensor" };
    let forward = format!(
        "  def forward(self: __torch__.{CLASS},\n    x: Tensor) -> {given}:\n    is_few = torch.lt(torch.size(x, 0), {below})\n    \
         if is_few:\n      y = (self).few(x, )\n    else:\n      y = (self).many(x, )\n    return y\n"
    );
    state.module(&(few + &many + &forward))
}

struct Emitter<'a> {
    graph: &'a Graph,
    variant: Variant<'a>,
    state: State,
    /// Of every attribute's name.
    prefix: String,
    forward: String,
    has_float: Vec<bool>,
    has_int: Vec<bool>,
    has_bytes: Vec<bool>,
    users: Vec<Vec<NodeId>>,
}

impl<'a> Emitter<'a> {
    fn new(graph: &'a Graph, variant: Variant<'a>, state: State, prefix: &str) -> Self {
        let none = vec![false; graph.nodes.len()];
        Self {
            graph,
            variant,
            state,
            prefix: prefix.to_owned(),
            forward: String::new(),
            has_float: none.clone(),
            has_int: none.clone(),
            has_bytes: none,
            users: graph.users(),
        }
    }

    fn body(&mut self) {
        let last = self.last();
        if let Variant::Form(Form::Beside { reference, nodes, inputs, .. }) = self.variant {
            self.reference(reference, last);
            if inputs == Inputs::Clean {
                return nodes.iter().for_each(|&id| self.clean_node(id));
            }
        }
        for (id, node) in self.graph.iter().take_while(|(id, _)| *id <= last) {
            // What is there already was written together with the convolution before it.
            let is_written = self.has_float[id.0];
            if node.op == Op::Input {
                self.input(id);
            } else if !is_written && self.int8(id) {
                self.int8_node(id);
            } else if !is_written {
                self.float_node(id);
            }
            self.round(id);
        }
    }

    /// What the network is given, in the arithmetic that it computes in.
    fn input(&mut self, id: NodeId) {
        self.has_float[id.0] = true;
        if let Variant::Short(short) = self.variant {
            let _ = writeln!(self.forward, "    x = {}", short::to("x", short.number()));
        }
    }

    /// The last node that is asked for.
    fn last(&self) -> NodeId {
        match self.variant {
            Variant::Form(form) => form.last(self.graph),
            Variant::FusedFloat | Variant::Short(_) => Form::Float.last(self.graph),
        }
    }

    /// In a network that is rounded, the node's output as its integers would have it.
    fn round(&mut self, id: NodeId) {
        let Variant::Form(Form::Rounded(quantization)) = self.variant else { return };
        if let Some(QParams { scale, zero_point }) = quantization.activations[id.0] {
            let own = self.float(id);
            let _ = writeln!(
                self.forward,
                "    {own} = torch.fake_quantize_per_tensor_affine({own}, {scale:?}, {zero_point}, 0, 255)"
            );
        }
    }

    fn quantization(&self) -> Option<&'a Quantization> {
        match self.variant {
            Variant::Form(
                Form::Int8(quantization) | Form::Int8Taps(quantization, _) | Form::Beside { quantization, .. },
            ) => Some(quantization),
            Variant::Form(Form::Float | Form::Taps(_) | Form::Rounded(_)) | Variant::FusedFloat | Variant::Short(_) => {
                None
            }
        }
    }

    fn int8(&self, id: NodeId) -> bool {
        self.quantization().is_some_and(|quantization| quantization.is_int8(id))
    }

    /// Nodes whose integers are looked at compute as the engine does.
    fn kernel(&self, id: NodeId) -> Kernel {
        let kernel = self.quantization().map_or(Kernel::Engine, |quantization| quantization.kernels[id.0]);
        let looked_at = !matches!(self.variant, Variant::Form(Form::Int8(_)));
        if kernel == Kernel::Bytes && looked_at { Kernel::Engine } else { kernel }
    }

    fn qparams(&self, id: NodeId) -> QParams {
        let Some(quantization) = self.quantization() else { unreachable!("only an INT8 module has parameters") };
        quantization.activations[id.0].expect("the plan gives every integer tensor parameters")
    }

    // State.

    /// Adds a tensor attribute; returns the expression that reads it.
    fn tensor(&mut self, name: &str, tensor: Tensor) -> String {
        let stored = if let Some(short) = self.short() { short.rounded(tensor) } else { tensor };
        self.state.tensor(name, stored)
    }

    fn attribute_name(&self, id: NodeId, part: &str) -> String {
        let name = &self.graph.node(id).name;
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("{}n{}_{plain}_{part}", self.prefix, id.0)
    }

    fn float_weights(&mut self, id: NodeId, weights: &Weights, side: &str) -> (String, String) {
        let weight = self.part(id, side, "weight", &weights.weight);
        let bias = weights.bias.as_ref().map(|bias| self.part(id, side, "bias", bias));
        (weight, bias.unwrap_or_else(|| "None".into()))
    }

    /// Adds a tensor attribute that is made of others when the archive is loaded, and is no part of the state.
    fn derived(&mut self, id: NodeId, part: &str, expression: &str) -> String {
        let name = self.attribute_name(id, part);
        let _ = writeln!(self.state.attributes, "  {name} : Tensor");
        let _ = writeln!(self.state.setstate, "    self.{name} = {expression}");
        format!("self.{name}")
    }

    /// Adds the engine's packed form of a layer's integer weights, built when the archive is loaded.
    fn packed(&mut self, id: NodeId, own: &Layer, int: &IntWeight) -> String {
        let Packing { class, prefix, geometry } = layer::packing(own);
        let weights = own.weights();
        let name = self.attribute_name(id, "packed");
        let slot = self.state.tensors.len();
        let channels = int.scales.len();
        self.state.tensors.push(int.values.clone());
        self.state.tensors.extend(Tensor::new(vec![channels], Data::F64(int.scales.clone())));
        let bias = match &weights.bias {
            Some(bias) => {
                self.state.tensors.push((**bias).clone());
                format!("(state)[{}]", slot + 2)
            }
            None => "None".into(),
        };
        let _ = writeln!(self.state.attributes, "  {name} : __torch__.torch.classes.quantized.{class}PackedParamsBase");
        let _ = writeln!(
            self.state.setstate,
            "    w{slot} = torch._make_per_channel_quantized_tensor((state)[{slot}], (state)[{}], torch.zeros([{channels}], dtype=4), 0)\n    self.{name} = ops.quantized.{prefix}_prepack(w{slot}, {bias}{geometry})",
            slot + 1,
        );
        let _ = writeln!(self.state.getstate, "    w{slot}, b{slot} = ops.quantized.{prefix}_unpack(self.{name})");
        self.state.saved.push(format!("torch.int_repr(w{slot})"));
        self.state.saved.push(format!("torch.q_per_channel_scales(w{slot})"));
        if weights.bias.is_some() {
            self.state.saved.push(format!("unchecked_cast(Tensor, b{slot})"));
        }
        format!("self.{name}")
    }

    // Values.

    /// The node's output in float, converted on first use.
    fn float(&mut self, id: NodeId) -> String {
        if !self.has_float[id.0] {
            self.has_float[id.0] = true;
            let _ = writeln!(self.forward, "    v{0} = torch.dequantize(q{0})", id.0);
        }
        if matches!(self.graph.node(id).op, Op::Input) { "x".into() } else { format!("v{}", id.0) }
    }

    /// The node's output as integers, converted on first use.
    fn int(&mut self, id: NodeId) -> String {
        if !self.has_int[id.0] {
            self.has_int[id.0] = true;
            let QParams { scale, zero_point } = self.qparams(id);
            let float = self.float(id);
            let _ = writeln!(
                self.forward,
                "    q{} = torch.quantize_per_tensor({float}, {scale:?}, {zero_point}, {QUINT8})",
                id.0
            );
        }
        format!("q{}", id.0)
    }

    fn float_node(&mut self, id: NodeId) {
        if let Op::Layer(Layer::Conv { weights, geometry, .. }) = &self.graph.node(id).op
            && self.fuses_float(id)
        {
            return self.fused_float(id, weights, geometry);
        }
        let inputs: Vec<String> = self.graph.node(id).inputs.iter().map(|&input| self.float(input)).collect();
        let call = match self.fast_mean(id, &inputs) {
            Some(call) => call,
            None => self.float_call(self.graph, id, &inputs, ""),
        };
        self.has_float[id.0] = true;
        let _ = writeln!(self.forward, "    v{} = {call}", id.0);
    }

    /// A node in float, its attributes named after the `side` it is on.
    fn float_call(&mut self, graph: &Graph, id: NodeId, inputs: &[String], side: &str) -> String {
        let node = graph.node(id);
        match &node.op {
            Op::Input => unreachable!("the input is what the network is given"),
            Op::Constant(tensor) => self.part(id, side, "value", tensor),
            Op::Layer(own) => {
                let (weight, bias) = self.float_weights(id, own.weights(), side);
                layer::float(own, &inputs[0], &weight, &bias)
            }
            Op::Normalize(own) => {
                normalize::float(own, &node.shape, &inputs[0], |part, tensor| self.part(id, side, part, tensor))
            }
            Op::Unary(own) => unary::float(self.short().map_or(*own, |short| short.within_bounds(*own)), &inputs[0]),
            Op::Binary(own) => binary::float(*own, inputs),
            Op::Pool(own) => pool::float(own, &inputs[0]),
            Op::Layout(own) => {
                let own = self.short().map_or_else(|| own.clone(), |short| short.within_padding(own.clone()));
                layout::float(&own, &node.shape, inputs)
            }
        }
    }

    /// A tensor of a node as an attribute, named after the `side` that the node is on.
    fn part(&mut self, id: NodeId, side: &str, part: &str, tensor: &Tensor) -> String {
        let name = format!("{side}{}", self.attribute_name(id, part));
        self.tensor(&name, tensor.clone())
    }

    const fn short(&self) -> Option<Short> {
        if let Variant::Short(short) = self.variant { Some(short) } else { None }
    }

    fn int8_node(&mut self, id: NodeId) {
        match self.kernel(id) {
            Kernel::Fused => return self.fused_int8(id),
            Kernel::Bytes => return self.fused_bytes(id),
            Kernel::Engine => {}
        }
        let inputs: Vec<String> = self.graph.node(id).inputs.iter().map(|&input| self.int(input)).collect();
        let call = self.int8_call(id, &inputs);
        self.has_int[id.0] = true;
        let _ = writeln!(self.forward, "    q{} = {call}", id.0);
    }

    fn int8_call(&mut self, id: NodeId, inputs: &[String]) -> String {
        let node = self.graph.node(id);
        let q = self.qparams(id);
        match &node.op {
            Op::Layer(own) => {
                let Some(int) = self.quantization().and_then(|quantization| quantization.weights.get(&id)) else {
                    unreachable!("an integer layer has integer weights")
                };
                let packed = self.packed(id, own, int);
                layer::int8(own, &inputs[0], &packed, q)
            }
            Op::Unary(own) => unary::int8(*own, &inputs[0], q),
            Op::Binary(own @ Binary::Mul { .. }) => binary::int8(*own, &self.spread(node, inputs), q),
            Op::Binary(own) => binary::int8(*own, inputs, q),
            Op::Pool(own) => pool::int8(own, &inputs[0]),
            Op::Layout(own) => layout::int8(own, &node.shape, inputs, q),
            Op::Input | Op::Constant(_) | Op::Normalize(_) => {
                unreachable!("the plan puts no `{}` among integers", node.op.torch_name())
            }
        }
    }

    /// An output, in single precision whatever the network computes in.
    fn answer(&mut self, output: NodeId) -> String {
        let value = self.float(output);
        if self.short().is_some() { short::to(&value, operator::FLOAT32) } else { value }
    }

    /// The network as a method of this name.
    fn method(mut self, name: &str) -> (State, String) {
        self.body();
        let (result, kind) = match self.variant {
            Variant::Form(Form::Taps(taps)) => {
                let values: Vec<String> = taps.iter().map(|&tap| self.float(tap)).collect();
                (format!("[{}]", values.join(", ")), "List[Tensor]")
            }
            Variant::Form(Form::Int8Taps(_, taps)) => {
                let integers: Vec<String> = taps.iter().map(|&tap| self.int(tap)).collect();
                let values: Vec<String> = integers.iter().map(|q| format!("torch.dequantize({q})")).collect();
                (format!("[{}]", values.join(", ")), "List[Tensor]")
            }
            Variant::Form(Form::Beside { nodes, .. }) => {
                let values: Vec<String> = nodes.iter().map(|&id| self.comparison(id)).collect();
                (format!("[{}]", values.join(", ")), "List[Tensor]")
            }
            Variant::Form(Form::Float | Form::Rounded(_) | Form::Int8(_)) | Variant::FusedFloat | Variant::Short(_) => {
                let outputs = self.graph.outputs.clone();
                let values: Vec<String> = outputs.into_iter().map(|output| self.answer(output)).collect();
                match values.as_slice() {
                    [only] => (only.clone(), "Tensor"),
                    several => (format!("[{}]", several.join(", ")), "List[Tensor]"),
                }
            }
        };
        let forward = self.forward;
        let method =
            format!("  def {name}(self: __torch__.{CLASS},\n    x: Tensor) -> {kind}:\n{forward}    return {result}\n");
        (self.state, method)
    }
}
