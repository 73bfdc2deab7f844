//! A graph as an ONNX file. In the quantized form every integer tensor is written as QuantizeLinear and
//! DequantizeLinear around float operators, which is what inference engines take for INT8 (QDQ).

mod beside;

use prost::Message as _;

use super::constant::kind;
use super::operator;
use super::proto::{
    Dimension, GraphProto, ModelProto, OperatorSetId, ShapeProto, StringEntry, TensorType, TypeProto, ValueInfo,
};
use super::writer::{Rounding, Writer, value};
use crate::codec::form::Form;
use crate::graph::quantization::Quantization;
use crate::graph::{Dim, Graph, NodeId, Op, Shape};

/// What files are written in unless an operator came later. HardSwish came with 14; ONNX Runtime from 1.12 and
/// OpenVINO from 2022.1 on read it.
pub const WRITTEN_OPSET: i64 = 17;

/// The format version of protobuf messages that goes with it, and with everything later.
const IR_VERSION: i64 = 8;
const LATER_IR_VERSION: i64 = 11;

/// The bytes of an ONNX file; they depend on the graph and the form alone. A quantized network has explicit
/// quantization (QDQ).
#[must_use]
pub fn write(graph: &Graph, form: Form<'_>) -> Vec<u8> {
    let last = form.last(graph);
    let opset = operator::newest(graph).max(WRITTEN_OPSET);
    let whole = |rounding, outputs: &[NodeId]| {
        let mut writer = writer(graph, rounding, opset);
        nodes(&mut writer, last);
        interface(&mut writer, outputs);
        writer.proto
    };
    let proto = match form {
        Form::Float => whole(Rounding::Not, &graph.outputs),
        Form::Taps(nodes) => whole(Rounding::Not, nodes),
        Form::Int8(quantization) => whole(Rounding::Qdq(quantization), &graph.outputs),
        Form::Int8Taps(quantization, nodes) => whole(Rounding::Qdq(quantization), nodes),
        Form::Rounded(quantization) => whole(Rounding::InFloat(quantization), &graph.outputs),
        Form::Beside { quantization, reference, nodes, inputs } => {
            let writer = writer(graph, Rounding::Qdq(quantization), opset);
            beside::written(writer, reference, nodes, inputs)
        }
    };
    file(proto, opset)
}

/// The quantized network with ranges around zero, as TensorRT takes it; by node, how many levels its range is spread
/// over.
#[must_use]
pub fn write_symmetric(graph: &Graph, quantization: &Quantization, levels: &[usize]) -> Vec<u8> {
    let opset = operator::newest(graph).max(WRITTEN_OPSET);
    let mut writer = writer(graph, Rounding::Symmetric(quantization, levels), opset);
    nodes(&mut writer, Form::Float.last(graph));
    interface(&mut writer, &graph.outputs);
    file(writer.proto, opset)
}

fn writer<'a>(graph: &'a Graph, rounding: Rounding<'a>, opset: i64) -> Writer<'a> {
    let proto = GraphProto { name: "network".into(), ..GraphProto::default() };
    Writer { graph, rounding, users: graph.users(), opset, proto }
}

fn file(graph: GraphProto, opset: i64) -> Vec<u8> {
    let opset_import = vec![OperatorSetId { domain: String::new(), version: opset }];
    let model = ModelProto {
        ir_version: if opset > WRITTEN_OPSET { LATER_IR_VERSION } else { IR_VERSION },
        producer_name: "requant".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import,
        metadata_props: Vec::new(),
        functions: Vec::new(),
    };
    model.encode_to_vec()
}

/// A file of [`write()`] with properties that say what it came of; `None` where it is no ONNX file.
#[must_use]
pub fn stamp(bytes: &[u8], properties: &[(&str, &str)]) -> Option<Vec<u8>> {
    let mut model = ModelProto::decode(bytes).ok()?;
    let entry = |(key, value): &(&str, &str)| StringEntry { key: (*key).into(), value: (*value).into() };
    model.metadata_props.extend(properties.iter().map(entry));
    Some(model.encode_to_vec())
}

/// Writes the nodes up to `last`.
fn nodes(writer: &mut Writer<'_>, last: NodeId) {
    for id in writer.graph.ids().take_while(|id| *id <= last) {
        let node = writer.graph.node(id);
        if let Op::Constant(tensor) = &node.op {
            writer.initializer(value(writer.graph, id), tensor);
        }
        let inputs = node.inputs.iter().map(|&input| writer.read(id, input)).collect();
        operator::write(writer, id, &node.op, inputs);
        writer.quantize(id);
    }
}

fn interface(writer: &mut Writer<'_>, outputs: &[NodeId]) {
    input(writer);
    for (place, &id) in outputs.iter().enumerate() {
        let (given, node) = (writer.given(id), writer.graph.node(id));
        let is_new = writer.proto.output.iter().all(|other| other.name != given);
        let is_computed = (!matches!(node.op, Op::Input | Op::Constant(_)) || given != node.name) && is_new;
        // What no node computes is no output of a file, nor is a tensor twice.
        let name = if is_computed { given.clone() } else { format!("{given}::handed_on::{place}") };
        if !is_computed {
            writer.push("Identity", vec![given], name.clone(), Vec::new());
        }
        writer.proto.output.push(described(name, &node.shape));
    }
}

fn input(writer: &mut Writer<'_>) {
    let input = writer.graph.iter().find(|(_, node)| node.op == Op::Input);
    let input = input.map(|(id, node)| described(value(writer.graph, id), &node.shape));
    writer.proto.input.extend(input);
}

fn described(name: String, shape: &Shape) -> ValueInfo {
    let dimension = |dim: &Dim| match dim {
        Dim::Batch => Dimension { dim_value: 0, dim_param: "batch".into() },
        Dim::Known(length) => Dimension { dim_value: *length as i64, dim_param: String::new() },
    };
    let shape = Some(ShapeProto { dim: shape.iter().map(dimension).collect() });
    let tensor_type = Some(TensorType { elem_type: kind::FLOAT, shape });
    ValueInfo { name, r#type: Some(TypeProto { tensor_type }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::onnx;
    use crate::codec::onnx::ImportError;

    /// A network that adds a dequantized constant to its image.
    fn adding(scales: &[f32], zero_points: &[u8]) -> Vec<u8> {
        let mut graph = Graph::default();
        let shape = vec![Dim::Batch, Dim::Known(1), Dim::Known(2), Dim::Known(2)];
        let input = crate::graph::Node { name: "x".into(), op: Op::Input, inputs: Vec::new(), shape: shape.clone() };
        graph.nodes.push(input);
        let mut writer = writer(&graph, Rounding::Not, WRITTEN_OPSET);
        let integers = writer.raw("q".into(), &[2], kind::UINT8, vec![3, 5]);
        let scale = writer.floats("s".into(), scales.to_vec());
        let zeros = writer.raw("z".into(), &[zero_points.len()], kind::UINT8, zero_points.to_vec());
        writer.push("DequantizeLinear", vec![integers, scale, zeros], "c".into(), Vec::new());
        writer.push("Add", vec!["x".into(), "c".into()], "y".into(), Vec::new());
        writer.proto.input.push(described("x".into(), &shape));
        writer.proto.output.push(described("y".into(), &shape));
        let opset_import = vec![OperatorSetId { domain: String::new(), version: WRITTEN_OPSET }];
        ModelProto { graph: Some(writer.proto), opset_import, ..ModelProto::default() }.encode_to_vec()
    }

    #[test]
    fn integers_of_a_file_stand_for_real_numbers() {
        let graph = onnx::read(&adding(&[0.5], &[1])).unwrap().graph;
        let constant = graph.nodes.iter().find_map(|node| match &node.op {
            Op::Constant(tensor) => tensor.as_f32().map(<[f32]>::to_vec),
            _ => None,
        });
        assert_eq!(constant, Some(vec![1.0, 2.0]));
    }

    #[test]
    fn scales_that_stand_for_nothing_are_refused() {
        for (scales, zeros) in
            [(&[][..], &[][..]), (&[0.0], &[0]), (&[f32::NAN], &[0]), (&[-1.0], &[0]), (&[1.0], &[0, 0])]
        {
            let refused = onnx::read(&adding(scales, zeros)).unwrap_err();
            assert!(matches!(refused, ImportError::Form { .. }), "{scales:?} {refused}");
        }
    }

    #[test]
    fn what_it_came_of_is_stamped_on_a_file_and_changes_nothing_else() {
        let bytes = adding(&[0.5], &[1]);
        let stamped = stamp(&bytes, &[("requant.run", "r")]).unwrap();
        assert!(stamped.len() > bytes.len() && stamped.starts_with(&bytes));
        assert!(stamp(b"no protobuf", &[]).is_none());
    }
}
