//! Functions of real numbers as ONNX has them.

use super::{LISTED_AXES, Writer, value};
use crate::codec::onnx::functions;
use crate::codec::onnx::proto::AttributeProto;
use crate::graph::function::{Binary, Reduction, Standardize, Together, Unary};
use crate::graph::{Dim, Graph, Node, NodeId, Op};
use crate::tensor::Tensor;

impl Writer<'_> {
    pub(super) fn unary(&mut self, id: NodeId, function: Unary, mut inputs: Vec<String>) {
        let float = |name: &str, value: f32| vec![Self::float(name, value)];
        let (operator, attributes) = match function {
            Unary::Square => {
                inputs.push(inputs[0].clone());
                ("Mul", Vec::new())
            }
            Unary::Elu { alpha, scale: 1.0 } => ("Elu", float("alpha", alpha)),
            Unary::Elu { alpha, scale } => ("Selu", vec![Self::float("alpha", alpha), Self::float("gamma", scale)]),
            Unary::Celu { alpha } => ("Celu", float("alpha", alpha)),
            Unary::LeakyRelu { slope } => ("LeakyRelu", float("alpha", slope)),
            Unary::Threshold { limit } => ("ThresholdedRelu", float("alpha", limit)),
            Unary::Gelu { tanh } => ("Gelu", vec![Self::text("approximate", if tanh { "tanh" } else { "none" })]),
            plain => (functions::operator(plain).unwrap_or("Identity"), Vec::new()),
        };
        self.last(id, operator, inputs, attributes);
    }

    pub(super) fn reduce(&mut self, id: NodeId, how: Reduction, axes: &[usize], keep: bool, mut inputs: Vec<String>) {
        let operator = match how {
            Reduction::Sum => "ReduceSum",
            Reduction::Mean => "ReduceMean",
            Reduction::Max => "ReduceMax",
            Reduction::Min => "ReduceMin",
            Reduction::Prod => "ReduceProd",
            Reduction::LogSumExp => "ReduceLogSumExp",
        };
        let mut attributes = vec![Self::int("keepdims", usize::from(keep))];
        if how == Reduction::Sum || self.opset >= LISTED_AXES {
            let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
            inputs.push(self.integers(format!("{}::axes", value(self.graph, id)), &axes));
        } else {
            attributes.push(Self::ints("axes", axes));
        }
        self.last(id, operator, inputs, attributes);
    }

    pub(super) fn standardize(&mut self, id: NodeId, own: &Standardize, mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        let shape = &self.graph.node(id).shape;
        let from = |axis: usize| shape[axis..].iter().filter_map(Dim::known).collect::<Vec<usize>>();
        let epsilon = Self::float("epsilon", own.epsilon);
        let axis = |axis: usize| vec![Self::int("axis", axis), epsilon.clone()];
        let (operator, attributes, wanted) = match own.together {
            Together::Layer { axis: first } => ("LayerNormalization", axis(first), from(first)),
            Together::Rms { axis: first } => ("RMSNormalization", axis(first), from(first)),
            Together::Groups(groups) if shape[1].known() == Some(groups) => {
                ("InstanceNormalization", vec![epsilon], vec![groups])
            }
            Together::Groups(groups) => {
                let channels = shape[1].known().unwrap_or(groups);
                ("GroupNormalization", vec![Self::int("num_groups", groups), epsilon], vec![channels])
            }
        };
        // ONNX has neither without a weight, and images' statistics not without a bias.
        let all = |value: f32| Tensor::f32(wanted.clone(), vec![value; wanted.iter().product()]).ok();
        let weight = own.weight.as_deref().cloned().or_else(|| all(1.0));
        let bias = own.bias.as_deref().cloned().or_else(|| match own.together {
            Together::Groups(_) => all(0.0),
            Together::Layer { .. } | Together::Rms { .. } => None,
        });
        for (tensor, part) in [(weight, "weight"), (bias, "bias")] {
            inputs.extend(tensor.map(|tensor| self.initializer(format!("{name}::{part}"), &tensor)));
        }
        self.last(id, operator, inputs, attributes);
    }

    /// A length of 1 leaves what is there.
    pub(super) fn expand(&mut self, id: NodeId, mut inputs: Vec<String>) {
        let size = |dim: &Dim| dim.known().map_or(1, |size| size as i64);
        let target: Vec<i64> = self.graph.node(id).shape.iter().map(size).collect();
        inputs.push(self.integers(format!("{}::shape", value(self.graph, id)), &target));
        self.last(id, "Expand", inputs, Vec::new());
    }

    fn text(name: &str, value: &str) -> AttributeProto {
        const STRING: i32 = 3;
        AttributeProto { name: name.into(), s: value.as_bytes().to_vec(), r#type: STRING, ..AttributeProto::default() }
    }
}

pub(super) const fn binary(function: Binary) -> &'static str {
    match function {
        Binary::Sub => "Sub",
        Binary::Div => "Div",
        Binary::Pow => "Pow",
        Binary::Maximum => "Max",
        Binary::Minimum => "Min",
    }
}

/// The opset that a graph needs, where that is more than most engines read.
pub(super) fn newest(graph: &Graph) -> i64 {
    let needed = |node: &Node| match &node.op {
        Op::Unary(Unary::Mish) => 18,
        Op::Unary(Unary::Gelu { .. }) => 20,
        Op::Standardize(Standardize { together: Together::Groups(groups), .. })
            if node.shape.get(1).and_then(Dim::known) != Some(*groups) =>
        {
            21
        }
        Op::Standardize(Standardize { together: Together::Rms { .. }, .. }) => 23,
        _ => 0,
    };
    graph.nodes.iter().map(needed).max().unwrap_or(0)
}
