//! Each operator of the graph as ONNX has it.

use super::{Writer, function, value};
use crate::codec::onnx::proto::AttributeProto;
use crate::graph::function::Reduction;
use crate::graph::op::{ConvGeometry, Normalization, PoolGeometry, ReshapeDim, Weights};
use crate::graph::{Dim, NodeId, Op};

/// `AttributeProto.AttributeType`.
mod attribute_type {
    pub(super) const FLOAT: i32 = 1;
    pub(super) const INT: i32 = 2;
    pub(super) const INTS: i32 = 7;
}

impl Writer<'_> {
    /// The node that computes `op`, given these tensors.
    pub(super) fn operator(&mut self, id: NodeId, op: &Op, inputs: Vec<String>) {
        match op {
            Op::Input | Op::Constant(_) => {}
            Op::Conv { weights, geometry, relu } => self.conv(id, weights, geometry, *relu, inputs),
            Op::Linear { weights, relu } => self.linear(id, weights, *relu, inputs),
            Op::BatchNorm(norm) => self.batch_norm(id, norm, inputs),
            Op::Add { relu } => self.rectified(id, "Add", *relu, inputs, Vec::new()),
            Op::Mul { relu } => self.rectified(id, "Mul", *relu, inputs, Vec::new()),
            Op::Clip { min, max } => self.clip(id, *min, *max, inputs),
            Op::Reshape(target) => self.reshape(id, target, inputs),
            Op::Slice { axis, start, end, step } => self.slice(id, [*start, *end, *axis, *step], inputs),
            // Engines differ in what a window beyond the padding holds, so the padding reaches as far as it does.
            Op::MaxPool(geometry) if geometry.ceil_mode && geometry.padding != [0, 0] => {
                let (_, attributes) = plain(&Op::MaxPool(PoolGeometry { ceil_mode: false, ..*geometry }));
                let ends = self.ends(id, geometry);
                let pads = Self::ints("pads", &[geometry.padding, ends].concat());
                let attributes = attributes.into_iter().map(|own| if own.name == "pads" { pads.clone() } else { own });
                self.last(id, "MaxPool", inputs, attributes.collect());
            }
            Op::Pad { amounts, value } => self.pad(id, *amounts, *value, inputs),
            Op::SpatialMean => self.reduce(id, Reduction::Mean, &[2, 3], false, inputs),
            Op::Unary(function) => self.unary(id, *function, inputs),
            Op::Reduce { how, axes, keep } => self.reduce(id, *how, axes, *keep, inputs),
            Op::Standardize(own) => self.standardize(id, own, inputs),
            Op::Expand(_) => self.expand(id, inputs),
            other => {
                let (operator, attributes) = plain(other);
                self.last(id, operator, inputs, attributes);
            }
        }
    }

    /// The operator that gives a node's outcome.
    pub(super) fn last(&mut self, id: NodeId, operator: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) {
        self.push(operator, inputs, value(self.graph, id), attributes);
        self.named(id, None);
    }

    /// The same, with a rectifier after it where there is one.
    fn rectified(
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

    fn conv(&mut self, id: NodeId, weights: &Weights, geometry: &ConvGeometry, relu: bool, mut inputs: Vec<String>) {
        inputs.extend(self.weights(id, weights));
        let ConvGeometry { stride, padding, dilation, groups } = geometry;
        let attributes = vec![
            Self::int("group", *groups),
            Self::ints("kernel_shape", &weights.weight.shape()[2..]),
            Self::ints("strides", stride),
            Self::ints("pads", &[*padding, *padding].concat()),
            Self::ints("dilations", dilation),
        ];
        self.rectified(id, "Conv", relu, inputs, attributes);
    }

    /// `Gemm` for rows of features; a product and a sum for anything of more dimensions.
    fn linear(&mut self, id: NodeId, weights: &Weights, relu: bool, mut inputs: Vec<String>) {
        let mut own = self.weights(id, weights);
        if self.graph.node(self.graph.node(id).inputs[0]).shape.len() == 2 {
            inputs.append(&mut own);
            return self.rectified(id, "Gemm", relu, inputs, vec![Self::int("transB", 1)]);
        }
        let name = value(self.graph, id);
        let matrix = format!("{name}::matrix");
        self.push("Transpose", vec![own.remove(0)], matrix.clone(), vec![Self::ints("perm", &[1, 0])]);
        inputs.push(matrix);
        if own.is_empty() {
            return self.rectified(id, "MatMul", relu, inputs, Vec::new());
        }
        let product = format!("{name}::product");
        self.push("MatMul", inputs, product.clone(), Vec::new());
        self.named(id, Some("product"));
        self.rectified(id, "Add", relu, vec![product, own.remove(0)], Vec::new());
    }

    /// The padding at the end that the last window of a pooling reaches.
    fn ends(&self, id: NodeId, geometry: &PoolGeometry) -> [usize; 2] {
        let node = self.graph.node(id);
        let length =
            |of: NodeId, axis: usize| self.graph.node(of).shape.get(axis + 2).and_then(Dim::known).unwrap_or(0);
        [0, 1].map(|axis| {
            let reach = geometry.dilation[axis] * (geometry.kernel[axis] - 1) + 1;
            let last = length(id, axis).saturating_sub(1) * geometry.stride[axis] + reach;
            last.saturating_sub(length(node.inputs[0], axis) + geometry.padding[axis])
        })
    }

    fn batch_norm(&mut self, id: NodeId, norm: &Normalization, mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        let parts = [(&norm.gamma, "weight"), (&norm.beta, "bias"), (&norm.mean, "mean"), (&norm.variance, "variance")];
        inputs.extend(parts.map(|(tensor, part)| self.initializer(format!("{name}::{part}"), tensor)));
        self.last(id, "BatchNormalization", inputs, vec![Self::float("epsilon", norm.epsilon)]);
    }

    fn clip(&mut self, id: NodeId, min: f32, max: f32, mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        for (bound, part, unbounded) in [(min, "min", f32::NEG_INFINITY), (max, "max", f32::INFINITY)] {
            let given = (bound != unbounded).then(|| self.scalar(format!("{name}::{part}"), bound));
            inputs.push(given.unwrap_or_default());
        }
        self.last(id, "Clip", inputs, Vec::new());
    }

    fn reshape(&mut self, id: NodeId, target: &[ReshapeDim], mut inputs: Vec<String>) {
        let node = self.graph.node(id);
        // 0 copies what stands at the same place, which must be the batch; otherwise it is what is left over.
        let copied = target.first() == Some(&ReshapeDim::Batch)
            && self.graph.node(node.inputs[0]).shape.first() == Some(&Dim::Batch);
        let known = |at: usize| node.shape.get(at).and_then(Dim::known).map_or(-1, |length| length as i64);
        let length = |(at, dim): (usize, &ReshapeDim)| match dim {
            ReshapeDim::Batch if at == 0 && copied => 0,
            ReshapeDim::Batch => -1,
            ReshapeDim::Rest if copied => -1,
            ReshapeDim::Rest => known(at),
            ReshapeDim::Known(length) => *length as i64,
        };
        let target: Vec<i64> = target.iter().enumerate().map(length).collect();
        inputs.push(self.integers(format!("{}::shape", value(self.graph, id)), &target));
        self.last(id, "Reshape", inputs, Vec::new());
    }

    /// `[start, end, axis, step]`.
    fn slice(&mut self, id: NodeId, numbers: [usize; 4], mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        let parts = numbers.into_iter().zip(["start", "end", "axis", "step"]);
        let each = parts.map(|(number, part)| self.integers(format!("{name}::{part}"), &[number as i64]));
        inputs.extend(each.collect::<Vec<_>>());
        self.last(id, "Slice", inputs, Vec::new());
    }

    fn pad(&mut self, id: NodeId, [left, right, top, bottom]: [usize; 4], filled: f32, mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        let pads = [0, 0, top, left, 0, 0, bottom, right].map(|amount| amount as i64);
        inputs.push(self.integers(format!("{name}::pads"), &pads));
        inputs.push(self.scalar(format!("{name}::value"), filled));
        self.last(id, "Pad", inputs, Vec::new());
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
}

/// Operators whose attributes are all that they need beside their inputs.
fn plain(op: &Op) -> (&'static str, Vec<AttributeProto>) {
    let window = |geometry: &PoolGeometry| {
        vec![
            Writer::ints("kernel_shape", &geometry.kernel),
            Writer::ints("strides", &geometry.stride),
            Writer::ints("pads", &[geometry.padding, geometry.padding].concat()),
            Writer::int("ceil_mode", usize::from(geometry.ceil_mode)),
        ]
    };
    match op {
        Op::Relu => ("Relu", Vec::new()),
        Op::HardSwish => ("HardSwish", Vec::new()),
        Op::HardSigmoid => ("HardSigmoid", vec![Writer::float("alpha", 1.0 / 6.0), Writer::float("beta", 0.5)]),
        Op::Sigmoid => ("Sigmoid", Vec::new()),
        Op::GlobalAvgPool => ("GlobalAveragePool", Vec::new()),
        Op::AvgPool { geometry, count_include_pad } => {
            // Without padding there is nothing to count but, for some engines, what a last window lacks.
            let lacking = geometry.ceil_mode && geometry.padding == [0, 0];
            let counted = *count_include_pad && !lacking;
            let counted = Writer::int("count_include_pad", usize::from(counted));
            ("AveragePool", window(geometry).into_iter().chain([counted]).collect())
        }
        Op::MaxPool(geometry) => {
            let dilation = Writer::ints("dilations", &geometry.dilation);
            ("MaxPool", window(geometry).into_iter().chain([dilation]).collect())
        }
        Op::Flatten { axis } => ("Flatten", vec![Writer::int("axis", *axis)]),
        Op::Transpose(order) => ("Transpose", vec![Writer::ints("perm", order)]),
        Op::Concat { axis } => ("Concat", vec![Writer::int("axis", *axis)]),
        Op::Softmax { axis } => ("Softmax", vec![Writer::int("axis", *axis)]),
        Op::LogSoftmax { axis } => ("LogSoftmax", vec![Writer::int("axis", *axis)]),
        Op::Binary(function) => (function::binary(*function), Vec::new()),
        Op::MatMul => ("MatMul", Vec::new()),
        _ => ("Identity", Vec::new()),
    }
}
