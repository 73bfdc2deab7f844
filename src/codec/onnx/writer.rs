//! What an ONNX file is put together from: nodes, their attributes, and stored tensors.

mod quantized;

pub(super) use quantized::rounded;

use super::constant::kind;
use super::name::OWN;
use super::proto::{AttributeProto, GraphProto, NodeProto, StringEntry, TensorProto};
use crate::graph::quantization::Quantization;
use crate::graph::{Graph, NodeId};
use crate::tensor::{Data, Tensor};

/// From here on every reduction is given its axes as a tensor.
pub(super) const LISTED_AXES: i64 = 18;

/// How values are rounded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rounding<'a> {
    Not,
    /// With explicit quantization, 8-bit weights and 32-bit biases.
    Qdq(&'a Quantization),
    /// As TensorRT takes it: activations of the same ranges made symmetric around zero, so that they have no zero
    /// point, and biases in float. By node, how many levels the range is spread over.
    Symmetric(&'a Quantization, &'a [usize]),
    /// Activations alone, by arithmetic on real numbers that no engine takes for integers.
    InFloat(&'a Quantization),
}

pub(super) struct Writer<'a> {
    pub(super) graph: &'a Graph,
    pub(super) rounding: Rounding<'a>,
    pub(super) users: Vec<Vec<NodeId>>,
    pub(super) opset: i64,
    pub(super) proto: GraphProto,
}

impl<'a> Writer<'a> {
    /// The quantization whose integers the network computes with.
    pub(super) const fn integers_of(&self) -> Option<&'a Quantization> {
        match self.rounding {
            Rounding::Not | Rounding::InFloat(_) => None,
            Rounding::Qdq(quantization) | Rounding::Symmetric(quantization, _) => Some(quantization),
        }
    }

    /// Adds an ONNX operator.
    pub(super) fn push(&mut self, operator: &str, inputs: Vec<String>, output: String, attribute: Vec<AttributeProto>) {
        let name = output.clone();
        let op_type = operator.to_owned();
        let output = vec![output];
        self.proto.node.push(NodeProto { input: inputs, output, name, op_type, attribute, ..NodeProto::default() });
    }

    /// Names what was pushed last after a node of the graph, or after a part of one, which no node's name ends with.
    pub(super) fn named(&mut self, id: NodeId, part: Option<&str>) {
        let name = &self.graph.node(id).name;
        let value = part.map_or_else(|| name.clone(), |part| format!("{name} ({part})"));
        let entry = StringEntry { key: OWN.into(), value };
        self.proto.node.last_mut().into_iter().for_each(|node| node.metadata_props.push(entry.clone()));
    }

    pub(super) fn initializer(&mut self, name: String, tensor: &Tensor) -> String {
        let data_type = match tensor.data() {
            Data::F32(_) => kind::FLOAT,
            Data::F64(_) => kind::DOUBLE,
            Data::F16(_) => kind::FLOAT16,
            Data::BF16(_) => kind::BFLOAT16,
            Data::I8(_) => kind::INT8,
            Data::U8(_) => kind::UINT8,
            Data::I64(_) => kind::INT64,
        };
        self.raw(name, tensor.shape(), data_type, tensor.data().to_le_bytes())
    }

    pub(super) fn raw(&mut self, name: String, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = shape.iter().map(|&length| length as i64).collect();
        let stored = TensorProto { dims, data_type, name: name.clone(), raw_data, ..TensorProto::default() };
        self.proto.initializer.push(stored);
        name
    }

    pub(super) fn scalar(&mut self, name: String, value: f32) -> String {
        self.raw(name, &[], kind::FLOAT, value.to_le_bytes().to_vec())
    }

    pub(super) fn floats(&mut self, name: String, values: Vec<f32>) -> String {
        self.initializer(name, &Tensor::vector(values))
    }

    pub(super) fn integers(&mut self, name: String, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.raw(name, &[values.len()], kind::INT64, bytes)
    }

    /// The operator that gives a node's outcome.
    pub(super) fn last(&mut self, id: NodeId, operator: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) {
        self.push(operator, inputs, value(self.graph, id), attributes);
        self.named(id, None);
    }

    /// The same, with a rectifier after it where there is one.
    pub(super) fn rectified(
        &mut self,
        id: NodeId,
        operator: &str,
        relu: bool,
        inputs: Vec<String>,
        attributes: Vec<AttributeProto>,
    ) {
        if !relu {
            return self.last(id, operator, inputs, attributes);
        }
        let before = format!("{}::before_relu", value(self.graph, id));
        self.push(operator, inputs, before.clone(), attributes);
        self.named(id, None);
        self.push("Relu", vec![before], value(self.graph, id), Vec::new());
        self.named(id, Some("relu"));
    }
}

/// `AttributeProto.AttributeType`.
mod attribute_type {
    pub(super) const FLOAT: i32 = 1;
    pub(super) const INT: i32 = 2;
    pub(super) const STRING: i32 = 3;
    pub(super) const INTS: i32 = 7;
}

pub(super) fn int(name: &str, value: usize) -> AttributeProto {
    AttributeProto { name: name.into(), i: value as i64, r#type: attribute_type::INT, ..AttributeProto::default() }
}

pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.into(), ints, r#type: attribute_type::INTS, ..AttributeProto::default() }
}

pub(super) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: attribute_type::FLOAT, ..AttributeProto::default() }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        s: value.as_bytes().to_vec(),
        r#type: attribute_type::STRING,
        ..AttributeProto::default()
    }
}

/// The name of a node's outcome in real numbers, before any rounding. Names of what belongs to a node are put
/// together with `::`, which module paths do not have.
pub(super) fn value(graph: &Graph, id: NodeId) -> String {
    graph.node(id).name.clone()
}
