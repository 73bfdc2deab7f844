//! Walks an ONNX graph in its stored (topological) order and lowers it node by node.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attributes::size;
use super::constant::{self, kind};
use super::error::ImportError;
use super::fold;
use super::integers::Ints;
use super::name::Names;
use super::operator;
use super::proto::{Dimension, GraphProto, NodeProto, ValueInfo};
use crate::graph::quantization::QParams;
use crate::graph::{Dim, Graph, Node, NodeId, Op, Shape, pass};
use crate::tensor::{Data, Tensor};

/// A gigabyte of floats for one image: no network for images comes near it.
const MOST_VALUES: usize = 1 << 28;

/// What a value name stands for while importing.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// Computed when the network runs.
    Node(NodeId),
    /// A float constant, with the name it is stored under.
    Float { name: String, tensor: Arc<Tensor> },
    /// A shape or index computation, known now but for the batch size.
    Ints(Ints),
    /// Integers that stand for real numbers.
    Quantized(Arc<Tensor>),
}

/// The state of an import.
pub(super) struct Import {
    pub(super) graph: Graph,
    pub(super) opset: i64,
    /// The batch size the file was exported with, where it names one.
    pub(super) declared_batch: Option<usize>,
    /// Parameters of the nodes whose outcome is quantized.
    pub(super) activations: BTreeMap<NodeId, QParams>,
    names: Names,
    values: BTreeMap<String, Operand>,
}

/// What a file may ask for and give.
pub(super) enum Interface {
    /// One batch of images in, one tensor out.
    Images,
    /// One tensor of any fixed shape beside what is given; one of the outputs.
    Function { given: BTreeMap<String, Tensor>, output: usize },
}

/// The graph, and the parameters of what is quantized in it.
pub(super) fn graph(
    proto: &GraphProto,
    opset: i64,
    interface: &Interface,
) -> Result<(Graph, BTreeMap<NodeId, QParams>), ImportError> {
    let mut import = Import {
        graph: Graph::default(),
        opset,
        declared_batch: None,
        activations: BTreeMap::new(),
        names: Names::default(),
        values: BTreeMap::new(),
    };
    import.read_initializers(proto)?;
    if let Interface::Function { given, .. } = interface {
        for (name, tensor) in given {
            import.values.insert(name.clone(), constant_operand(name, tensor.clone())?);
        }
    }
    import.read_input(proto, interface)?;
    for node in &proto.node {
        import.read_node(node)?;
    }
    let output = match (interface, proto.output.as_slice()) {
        (Interface::Images, [output]) => Some(output),
        (Interface::Images, _) => None,
        (Interface::Function { output, .. }, outputs) => outputs.get(*output),
    };
    import.finish(output.ok_or(ImportError::Interface { what: "output", found: proto.output.len() })?)
}

impl Import {
    fn read_initializers(&mut self, proto: &GraphProto) -> Result<(), ImportError> {
        for stored in &proto.initializer {
            let operand = constant_operand(&stored.name, constant::read(stored)?)?;
            self.values.insert(stored.name.clone(), operand);
        }
        Ok(())
    }

    fn read_input(&mut self, proto: &GraphProto, interface: &Interface) -> Result<(), ImportError> {
        let inputs: Vec<_> = proto.input.iter().filter(|input| !self.values.contains_key(&input.name)).collect();
        let &[input] = inputs.as_slice() else {
            return Err(ImportError::Interface { what: "input", found: inputs.len() });
        };
        let shape = match interface {
            Interface::Images => image_shape(input),
            Interface::Function { .. } => fixed_shape(input).map(|shape| (None, shape)),
        };
        let (batch, shape) = shape.ok_or_else(|| ImportError::Input { name: input.name.clone() })?;
        self.declared_batch = batch;
        let name = self.names.unique(input.name.clone());
        self.graph.nodes.push(Node { name, op: Op::Input, inputs: Vec::new(), shape });
        self.values.insert(input.name.clone(), Operand::Node(NodeId(0)));
        Ok(())
    }

    fn read_node(&mut self, node: &NodeProto) -> Result<(), ImportError> {
        let operands = self.operands(node)?;
        let results = match fold::fold(self, node, &operands)? {
            Some(folded) => vec![folded],
            None => operator::lower(self, node, &operands)?,
        };
        // Optional outputs beyond the results (dropout's mask, training statistics) are never read
        // at inference; a reader of one is reported as dangling.
        for (name, operand) in node.output.iter().zip(results).filter(|(name, _)| !name.is_empty()) {
            self.values.insert(name.clone(), operand);
        }
        Ok(())
    }

    fn operands(&self, node: &NodeProto) -> Result<Vec<Option<Operand>>, ImportError> {
        let find = |name: &String| {
            let missing = || ImportError::Dangling { node: label(node), value: name.clone() };
            self.values.get(name).cloned().ok_or_else(missing)
        };
        node.input.iter().map(|name| if name.is_empty() { Ok(None) } else { find(name).map(Some) }).collect()
    }

    /// Appends a node for `source`, named after its module.
    pub(super) fn push(
        &mut self,
        source: &NodeProto,
        weight: Option<&str>,
        op: Op,
        inputs: Vec<NodeId>,
    ) -> Result<Operand, ImportError> {
        let name = self.names.for_node(source, weight, op.is_module(), op.torch_name());
        let pushed = self.graph.push(name, op, inputs);
        let id = pushed.map_err(|error| ImportError::Shape { node: label(source), source: error })?;
        let values = self.graph.node(id).shape.iter().filter_map(Dim::known).fold(1, usize::saturating_mul);
        if values > MOST_VALUES {
            let (node, operator) = (label(source), source.op_type.clone());
            let reason = format!("its outcome has {values} values for one image, more than {MOST_VALUES}");
            return Err(ImportError::Form { node, operator, opset: self.opset, reason });
        }
        Ok(Operand::Node(id))
    }

    fn finish(mut self, output: &ValueInfo) -> Result<(Graph, BTreeMap<NodeId, QParams>), ImportError> {
        match self.values.get(&output.name) {
            Some(Operand::Node(id)) => self.graph.output = *id,
            _ => return Err(ImportError::Dangling { node: "graph output".into(), value: output.name.clone() }),
        }
        let names: BTreeMap<String, QParams> =
            self.activations.iter().map(|(id, parameters)| (self.graph.node(*id).name.clone(), *parameters)).collect();
        pass::drop_unreachable(&mut self.graph);
        let still = |(id, node): (NodeId, &Node)| Some((id, *names.get(&node.name)?));
        let activations = self.graph.iter().filter_map(still).collect();
        Ok((self.graph, activations))
    }
}

/// A constant as an operand: floats stay tensors, integers become foldable lists.
pub(super) fn constant_operand(name: &str, tensor: Tensor) -> Result<Operand, ImportError> {
    if let Some(ints) = Ints::of_tensor(&tensor) {
        return Ok(Operand::Ints(ints));
    }
    match tensor.data() {
        Data::F32(_) => Ok(Operand::Float { name: name.to_owned(), tensor: Arc::new(tensor) }),
        Data::I8(_) | Data::U8(_) | Data::I64(_) => Ok(Operand::Quantized(Arc::new(tensor))),
        Data::F64(_) | Data::F16(_) | Data::BF16(_) => Err(ImportError::Tensor {
            name: name.to_owned(),
            reason: "an integer tensor of this size or type cannot be read".into(),
        }),
    }
}

/// How messages call a node: its name, or what it produces where it has none.
pub(super) fn label(node: &NodeProto) -> String {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output.clone(),
        (name, _) => name.to_owned(),
    }
}

/// The declared batch size, if any, and the shape: four dimensions, the last three known. Whatever
/// the file says of the batch, it stays open.
fn image_shape(input: &ValueInfo) -> Option<(Option<usize>, Shape)> {
    let tensor = input.r#type.as_ref()?.tensor_type.as_ref()?;
    let dims = &tensor.shape.as_ref()?.dim;
    let positive = |dim: &Dimension| size(dim.dim_value).filter(|&size| size > 0);
    match dims.as_slice() {
        [n, c, h, w] if tensor.elem_type == 1 => {
            let [c, h, w] = [positive(c)?, positive(h)?, positive(w)?].map(Dim::Known);
            Some((positive(n), vec![Dim::Batch, c, h, w]))
        }
        _ => None,
    }
}

/// The shape of a float tensor, all of it known.
fn fixed_shape(input: &ValueInfo) -> Option<Shape> {
    let tensor = input.r#type.as_ref()?.tensor_type.as_ref().filter(|tensor| tensor.elem_type == kind::FLOAT)?;
    tensor.shape.as_ref()?.dim.iter().map(|dim| size(dim.dim_value).map(Dim::Known)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::codec::onnx::proto::{AttributeProto, ShapeProto, TensorType, TypeProto};

    /// A file with one operator on one float vector, all of its inputs.
    pub(in crate::codec::onnx) fn one_node(operator: &str, opset: i64) -> Result<Graph, ImportError> {
        let dim = vec![Dimension { dim_value: 4, dim_param: String::new() }];
        let tensor_type = Some(TensorType { elem_type: kind::FLOAT, shape: Some(ShapeProto { dim }) });
        let value =
            |name: &str| ValueInfo { name: name.into(), r#type: Some(TypeProto { tensor_type: tensor_type.clone() }) };
        let node = NodeProto {
            input: vec!["x".into()],
            output: vec!["y".into()],
            op_type: operator.into(),
            ..NodeProto::default()
        };
        let proto =
            GraphProto { node: vec![node], input: vec![value("x")], output: vec![value("y")], ..GraphProto::default() };
        if !crate::codec::onnx::OPSETS.contains(&opset) {
            return Err(ImportError::Opset { opset });
        }
        graph(&proto, opset, &Interface::Function { given: BTreeMap::new(), output: 0 }).map(|(graph, _)| graph)
    }

    #[test]
    fn whole_numbers_that_become_real_are_divided_as_such() {
        let node = |operator: &str, inputs: &[&str], output: &str, attribute: Option<AttributeProto>| NodeProto {
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            op_type: operator.into(),
            attribute: attribute.into_iter().collect(),
            ..NodeProto::default()
        };
        let (to, eight) = ("to".to_owned(), "value_float".to_owned());
        let to = AttributeProto { name: to, i: i64::from(kind::FLOAT), ..AttributeProto::default() };
        let eight = AttributeProto { name: eight, f: 8.0, ..AttributeProto::default() };
        let dim = vec![Dimension { dim_value: 4, dim_param: String::new() }];
        let tensor_type = Some(TensorType { elem_type: kind::FLOAT, shape: Some(ShapeProto { dim }) });
        let value =
            |name: &str| ValueInfo { name: name.into(), r#type: Some(TypeProto { tensor_type: tensor_type.clone() }) };
        let proto = GraphProto {
            node: vec![
                node("Shape", &["x"], "length", None),
                node("Cast", &["length"], "real", Some(to)),
                node("Constant", &[], "eight", Some(eight)),
                node("Div", &["real", "eight"], "half", None),
                node("Mul", &["x", "half"], "y", None),
            ],
            input: vec![value("x")],
            output: vec![value("y")],
            ..GraphProto::default()
        };
        let interface = Interface::Function { given: BTreeMap::new(), output: 0 };
        let (graph, _) = graph(&proto, 17, &interface).unwrap();
        let four = |node: &Node| matches!(&node.op, Op::Constant(tensor) if tensor.as_f32() == Some(&[4.0]));
        assert!(graph.nodes.iter().any(four) && graph.nodes.iter().any(|node| node.op.torch_name() == "div"));
    }
}
