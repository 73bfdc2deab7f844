//! Walks an ONNX graph in its stored (topological) order and lowers it node by node.

use std::collections::{BTreeMap, BTreeSet};

use super::attributes::size;
use super::constant::{self, Kind};
use super::error::{ImportError, InputTrouble};
use super::evaluate;
use super::external::External;
use super::images;
use super::network::{Import, Operand, constant_operand, label};
use super::operator;
use super::proto::{GraphProto, NodeProto, ValueInfo};
use super::{Pixels, Stored};
use crate::graph::op::Layout;
use crate::graph::quantization::QParams;
use crate::graph::{Dim, Graph, Node, NodeId, Op, ReshapeDim, Shape, pass};

/// What was read.
pub(super) struct Read {
    pub(super) graph: Graph,
    /// Parameters of the nodes whose outcome the file quantizes.
    pub(super) activations: BTreeMap<NodeId, QParams>,
    pub(super) pixels: Pixels,
    pub(super) widened: Vec<&'static str>,
    /// The names of the outputs, in order.
    pub(super) outputs: Vec<String>,
}

/// What is wanted of a network's outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The classes' scores: the only output, or the tensor that is named.
    Scores(Option<String>),
    /// Every output, or the tensor that is named.
    Tensors(Option<String>),
}

impl Default for Wanted {
    fn default() -> Self {
        Self::Scores(None)
    }
}

/// What a file may ask for and give.
pub(super) enum Interface {
    /// One batch of images in.
    Images(Wanted),
    /// One tensor of any fixed shape beside what is given; one of the outputs.
    Function { given: BTreeMap<String, Stored>, output: usize },
}

/// The graph of what the output needs.
pub(super) fn graph(
    proto: &GraphProto,
    opset: i64,
    interface: &Interface,
    external: &External<'_>,
) -> Result<Read, ImportError> {
    let mut import = Import::new(opset);
    if !proto.sparse_initializer.is_empty() {
        return Err(ImportError::NotOnnx { reason: "it holds sparse tensors, which are not read".into() });
    }
    import.read_initializers(proto, external)?;
    if let Interface::Function { given, .. } = interface {
        for (name, Stored { kind, tensor }) in given {
            import.define(name, constant_operand(name, *kind, tensor.clone()))?;
        }
    }
    import.read_input(proto, interface)?;
    let outputs = output_names(proto, interface)?;
    let mut needed = needed(proto, &outputs)?;
    // Unless an output is named everything is read: what no output needs is no more to be trusted than the rest.
    if !matches!(interface, Interface::Images(Wanted::Scores(Some(_)) | Wanted::Tensors(Some(_)))) {
        needed.fill(true);
    }
    for node in proto.node.iter().zip(needed).filter_map(|(node, needed)| needed.then_some(node)) {
        import.read_node(node)?;
    }
    import.finish(&outputs, interface)
}

/// The tensors that are asked for.
fn output_names<'a>(proto: &'a GraphProto, interface: &'a Interface) -> Result<Vec<&'a str>, ImportError> {
    let names = || proto.output.iter().map(|output| output.name.clone()).collect();
    match (interface, proto.output.as_slice()) {
        (Interface::Images(Wanted::Scores(Some(name)) | Wanted::Tensors(Some(name))), _) => {
            let made = proto.node.iter().any(|node| node.output.contains(name));
            if made { Ok(vec![name]) } else { Err(ImportError::NoOutput { name: name.clone(), names: names() }) }
        }
        (Interface::Images(Wanted::Scores(None)), [output]) => Ok(vec![&output.name]),
        (Interface::Images(Wanted::Scores(None)), _) | (Interface::Images(Wanted::Tensors(None)), []) => {
            Err(ImportError::Outputs { names: names() })
        }
        (Interface::Images(Wanted::Tensors(None)), outputs) => {
            let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
            let twice = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
            twice.map_or(Ok(()), |(_, name)| Err(ImportError::Twice { value: (*name).to_owned() }))?;
            Ok(names)
        }
        (Interface::Function { output, .. }, outputs) => outputs
            .get(*output)
            .map(|output| vec![output.name.as_str()])
            .ok_or_else(|| ImportError::Outputs { names: names() }),
    }
}

/// For each node, whether an output needs it. Where an output is named, what it does not need is not looked at.
fn needed(proto: &GraphProto, outputs: &[&str]) -> Result<Vec<bool>, ImportError> {
    let mut wanted: BTreeSet<&str> = outputs.iter().copied().collect();
    let mut needed = vec![false; proto.node.len()];
    for (node, needed) in proto.node.iter().zip(&mut needed).rev() {
        let given: BTreeSet<&str> = node.output.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        if given.len() < node.output.iter().filter(|name| !name.is_empty()).count() {
            return Err(ImportError::Twice { value: label(node) });
        }
        if given.iter().any(|name| wanted.contains(name)) {
            *needed = true;
            wanted.extend(node.input.iter().map(String::as_str));
        }
    }
    Ok(needed)
}

impl Import {
    fn read_initializers(&mut self, proto: &GraphProto, external: &External<'_>) -> Result<(), ImportError> {
        for stored in &proto.initializer {
            let (kind, tensor) = constant::read(stored, external)?;
            self.may_make = self.may_make.saturating_add(tensor.data().len().saturating_mul(4));
            self.define(&stored.name, constant_operand(&stored.name, kind, tensor))?;
        }
        Ok(())
    }

    fn read_input(&mut self, proto: &GraphProto, interface: &Interface) -> Result<(), ImportError> {
        let inputs: Vec<_> = proto.input.iter().filter(|input| !self.values.contains_key(&input.name)).collect();
        let &[input] = inputs.as_slice() else {
            return Err(ImportError::Inputs { names: inputs.iter().map(|input| input.name.clone()).collect() });
        };
        match interface {
            Interface::Images(_) => self.read_images(input),
            Interface::Function { .. } => {
                let shape = fixed_shape(input)?;
                let name = self.names.unique(input.name.clone());
                self.graph.nodes.push(Node { name, op: Op::Input, inputs: Vec::new(), shape });
                self.define(&input.name, Operand::Node(NodeId(0)))
            }
        }
    }

    /// The input is always channels first here; a network that takes them last begins with a transposition.
    fn read_images(&mut self, input: &ValueInfo) -> Result<(), ImportError> {
        let images = images::of(input)?;
        self.declared_batch = images.batch;
        self.pixels = images.pixels;
        if images.kind.is_real() && images.kind != Kind::F32 {
            self.widened.insert(images.kind.name());
        }
        let name = self.names.unique(input.name.clone());
        self.graph.nodes.push(Node { name, op: Op::Input, inputs: Vec::new(), shape: images.shape });
        let mut first = NodeId(0);
        if images.pixels.channels_last {
            let name = self.names.unique(format!("{}.channels_last", input.name));
            let pushed = self.graph.push(name, Op::Layout(Layout::Transpose(vec![0, 2, 3, 1])), vec![first]);
            first = pushed.map_err(|source| ImportError::Shape { node: input.name.clone(), source })?;
        }
        if images.pixels.bytes {
            self.whole.extend([NodeId(0), first]);
        }
        self.define(&input.name, Operand::Node(first))
    }

    fn read_node(&mut self, node: &NodeProto) -> Result<(), ImportError> {
        if !matches!(node.domain.as_str(), "" | "ai.onnx") || !operator::reads(&node.op_type, self.opset) {
            let operator = full_name(node);
            return Err(ImportError::Unsupported { node: label(node), operator, opset: self.opset });
        }
        let operands = self.operands(node)?;
        let results = if let Some(folded) = evaluate::fold(self, node, &operands)? {
            folded
        } else {
            let results = operator::lower(self, node, &operands)?;
            self.follow_bytes(node, &operands, &results)?;
            results
        };
        // Optional outputs beyond the results (dropout's mask, training statistics) are never read
        // at inference; a reader of one is reported as dangling.
        for (name, operand) in node.output.iter().zip(results).filter(|(name, _)| !name.is_empty()) {
            self.define(name, operand)?;
        }
        Ok(())
    }

    /// Whole numbers stay whole where they are only moved, and may not be computed with before they are converted:
    /// integers divide and overflow in another way than real numbers.
    fn follow_bytes(
        &mut self,
        node: &NodeProto,
        operands: &[Option<Operand>],
        results: &[Operand],
    ) -> Result<(), ImportError> {
        let whole = |operand: &Operand| matches!(operand, Operand::Node(id) if self.whole.contains(id));
        if !operands.iter().flatten().any(whole) {
            return Ok(());
        }
        match node.op_type.as_str() {
            "Cast" | "CastLike" => Ok(()),
            "Identity" | "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Slice" | "Split" => {
                self.whole.extend(results.iter().filter_map(|result| match result {
                    Operand::Node(id) => Some(*id),
                    Operand::Float { .. } | Operand::Value(_) | Operand::Quantized(_) => None,
                }));
                Ok(())
            }
            operator => Err(ImportError::Form {
                node: label(node),
                operator: operator.to_owned(),
                opset: self.opset,
                reason: "it computes with the input's uint8 pixels as integers".into(),
                next: Some("convert the pixels first: `x.float()` in PyTorch, `tf.cast(x, tf.float32)` in TensorFlow"),
            }),
        }
    }

    fn operands(&self, node: &NodeProto) -> Result<Vec<Option<Operand>>, ImportError> {
        let find = |name: &String| {
            let missing = || ImportError::Dangling { node: label(node), value: name.clone() };
            self.values.get(name).cloned().ok_or_else(missing)
        };
        node.input.iter().map(|name| if name.is_empty() { Ok(None) } else { find(name).map(Some) }).collect()
    }

    fn finish(mut self, outputs: &[&str], interface: &Interface) -> Result<Read, ImportError> {
        for &output in outputs {
            self.graph.outputs.push(match self.values.get(output) {
                Some(Operand::Node(id)) => *id,
                Some(_) => return Err(ImportError::Fixed { name: output.to_owned() }),
                None => return Err(ImportError::Dangling { node: "graph output".into(), value: output.to_owned() }),
            });
        }
        match (interface, outputs) {
            (Interface::Images(Wanted::Scores(_)), [output]) => self.flatten_scores(output)?,
            (Interface::Images(_) | Interface::Function { .. }, _) => {}
        }
        let names: BTreeMap<String, QParams> =
            self.activations.iter().map(|(id, parameters)| (self.graph.node(*id).name.clone(), *parameters)).collect();
        pass::drop_unreachable(&mut self.graph);
        let still = |(id, node): (NodeId, &Node)| Some((id, *names.get(&node.name)?));
        let activations = self.graph.iter().filter_map(still).collect();
        let widened = self.widened.into_iter().collect();
        let outputs = outputs.iter().map(|&name| name.to_owned()).collect();
        Ok(Read { graph: self.graph, activations, pixels: self.pixels, widened, outputs })
    }

    /// `[batch, classes, 1, 1]` is one score per class, as a network without its last flattening gives them; `[batch]` is
    /// one score of two classes, squeezed.
    fn flatten_scores(&mut self, output: &str) -> Result<(), ImportError> {
        let shape = &self.graph.node(self.graph.output()).shape;
        if *shape == [Dim::Batch] {
            let name = self.names.unique(format!("{output}.column"));
            let column = Op::Layout(Layout::Reshape(vec![ReshapeDim::Batch, ReshapeDim::Known(1)]));
            let pushed = self.graph.push(name, column, vec![self.graph.output()]);
            self.graph.outputs = vec![pushed.map_err(|source| ImportError::Shape { node: output.to_owned(), source })?];
            return Ok(());
        }
        let long = |dim: &&Dim| **dim != Dim::Known(1);
        let scores = matches!(shape.split_first(), Some((Dim::Batch, rest)) if rest.iter().filter(long).count() <= 1);
        if scores && shape.len() > 2 && shape.iter().skip(1).all(|dim| dim.known().is_some()) {
            let name = self.names.unique(format!("{output}.flatten"));
            let pushed = self.graph.push(name, Op::Layout(Layout::Flatten { axis: 1 }), vec![self.graph.output()]);
            self.graph.outputs = vec![pushed.map_err(|source| ImportError::Shape { node: output.to_owned(), source })?];
        }
        Ok(())
    }
}

/// An operator's name, with its domain where that is not ONNX's own.
pub(super) fn full_name(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

/// The shape of a float tensor, all of it known.
fn fixed_shape(input: &ValueInfo) -> Result<Shape, ImportError> {
    let tensor = images::tensor_of(input)?;
    if Kind::of(tensor.elem_type) != Some(Kind::F32) {
        return Err(images::refused(input, InputTrouble::Type));
    }
    let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice()).unwrap_or_default();
    let known = dims.iter().map(|dim| size(dim.dim_value).map(Dim::Known)).collect::<Option<_>>();
    known.ok_or_else(|| images::refused(input, InputTrouble::Unknown))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::codec::onnx::constant::kind;
    use crate::codec::onnx::proto::{AttributeProto, Dimension, ShapeProto, TensorType, TypeProto};

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
        let interface = Interface::Function { given: BTreeMap::new(), output: 0 };
        graph(&proto, opset, &interface, &External::new(None)).map(|read| read.graph)
    }

    /// A network of one number for each image, and what becomes of its output.
    fn squeezed(keep: i64) -> Graph {
        let dims = [("batch", 0), ("", 1), ("", 2), ("", 2)];
        let dim = dims.map(|(name, size)| Dimension { dim_value: size, dim_param: name.into() }).to_vec();
        let tensor_type = Some(TensorType { elem_type: kind::FLOAT, shape: Some(ShapeProto { dim }) });
        let value =
            |name: &str| ValueInfo { name: name.into(), r#type: Some(TypeProto { tensor_type: tensor_type.clone() }) };
        let axes = AttributeProto { name: "axes".into(), ints: vec![1, 2, 3], r#type: 7, ..AttributeProto::default() };
        let keep = AttributeProto { name: "keepdims".into(), i: keep, r#type: 2, ..AttributeProto::default() };
        let node = |operator: &str, input: &str, output: &str, attribute: Vec<AttributeProto>| NodeProto {
            input: vec![input.into()],
            output: vec![output.into()],
            op_type: operator.into(),
            attribute,
            ..NodeProto::default()
        };
        let nodes = vec![node("ReduceMean", "x", "m", vec![axes, keep]), node("Sigmoid", "m", "y", Vec::new())];
        let proto =
            GraphProto { node: nodes, input: vec![value("x")], output: vec![value("y")], ..GraphProto::default() };
        graph(&proto, 17, &Interface::Images(Wanted::Scores(None)), &External::new(None)).unwrap().graph
    }

    #[test]
    fn one_score_for_each_image_is_a_column() {
        for keep in [0, 1] {
            let graph = squeezed(keep);
            assert_eq!(graph.node(graph.output()).shape, [Dim::Batch, Dim::Known(1)], "{keep}");
            assert!(graph.nodes.iter().any(|node| node.op == Op::Unary(crate::graph::op::Unary::Sigmoid)));
        }
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
        let graph = graph(&proto, 17, &interface, &External::new(None)).unwrap().graph;
        let half = |node: &Node| matches!(&node.op, Op::Constant(tensor) if tensor.as_f32() == Some(&[0.5]));
        assert!(graph.nodes.iter().any(half));
    }
}
