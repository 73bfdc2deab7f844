//! A quantized network beside a float one of the same nodes, compared node by node.

use super::{described, input, nodes, operator};
use crate::codec::form::Inputs;
use crate::codec::onnx::proto::GraphProto;
use crate::codec::onnx::writer::{LISTED_AXES, Rounding, Writer, int, ints, rounded};
use crate::graph::{Dim, Graph, NodeId, Op};

/// The file that compares `compared` of the writer's graph with the same of `reference`.
pub(super) fn written(mut writer: Writer<'_>, reference: &Graph, compared: &[NodeId], inputs: Inputs) -> GraphProto {
    let last = compared.iter().max().copied().unwrap_or(reference.output());
    let reference = renamed(reference);
    let mut float = Writer {
        graph: &reference,
        rounding: Rounding::Not,
        users: reference.users(),
        opset: writer.opset,
        proto: std::mem::take(&mut writer.proto),
    };
    nodes(&mut float, last);
    writer.proto = float.proto;
    match inputs {
        Inputs::Running => nodes(&mut writer, last),
        Inputs::Clean => compared.iter().for_each(|&id| clean_node(&mut writer, &reference, id)),
    }
    input(&mut writer);
    for &id in compared {
        compare(&mut writer, &reference.node(id).name, id);
    }
    writer.proto
}

/// The same graph; names of what it computes are its own.
fn renamed(reference: &Graph) -> Graph {
    let mut reference = reference.clone();
    for node in reference.nodes.iter_mut().filter(|node| node.op != Op::Input) {
        node.name.insert_str(0, "reference::");
    }
    reference
}

/// An integer node on the float network's tensors.
fn clean_node(writer: &mut Writer<'_>, reference: &Graph, id: NodeId) {
    let node = writer.graph.node(id);
    let mut inputs = Vec::new();
    for (place, &input) in node.inputs.iter().enumerate() {
        let own = format!("{}::clean::{place}", node.name);
        let parameters = writer.integers_of().and_then(|quantization| quantization.activations[input.0]);
        let parameters = parameters.expect("the plan gives every integer tensor parameters");
        writer.round(input, &reference.node(input).name, &own, parameters);
        inputs.push(rounded(&own));
    }
    operator::write(writer, id, &node.op, inputs);
    writer.quantize(id);
}

/// What [`Form::Beside`](crate::codec::Form::Beside) hands out of a node.
fn compare(writer: &mut Writer<'_>, float: &str, id: NodeId) {
    let node = writer.graph.node(id);
    let (own, name, shape) = (writer.given(id), node.name.clone(), node.shape.clone());
    // Features come last, channels second.
    let channel = if let Op::Layer(own) = &node.op { own.channel_axis(shape.len()) } else { 1 };
    let others: Vec<usize> = (0..shape.len()).filter(|axis| *axis != channel).collect();
    let named = |part: &str| format!("{name}::beside::{part}");
    writer.push("Sub", vec![float.to_owned(), own], named("difference"), Vec::new());
    let one = writer.integers(named("one"), &[1]);
    for (part, of) in [("signal", float.to_owned()), ("noise", named("difference"))] {
        let sum = named(&format!("{part}::sum"));
        writer.push("ReduceSumSquare", vec![of], sum.clone(), vec![int("keepdims", 0)]);
        writer.push("Reshape", vec![sum, one.clone()], named(part), Vec::new());
    }
    let mut means = vec![named("difference")];
    let mut attributes = vec![int("keepdims", 0)];
    if writer.opset >= LISTED_AXES {
        let axes: Vec<i64> = others.iter().map(|&axis| axis as i64).collect();
        means.push(writer.integers(named("axes"), &axes));
    } else {
        attributes.push(ints("axes", &others));
    }
    writer.push("ReduceMean", means, named("means"), attributes);
    let parts = ["signal", "noise", "means"].map(named).to_vec();
    writer.push("Concat", parts, named("all"), vec![int("axis", 0)]);
    let length = shape.get(channel).and_then(Dim::known).map(|channels| Dim::Known(channels + 2));
    writer.proto.output.push(described(named("all"), &length.into_iter().collect()));
}
