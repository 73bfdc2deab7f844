//! One function per ONNX operator: node and operands in, graph node out.

use std::sync::Arc;

use super::attributes::Attributes;
use super::error::ImportError;
use super::fold::{Int, Ints, index, transpose};
use super::import::{Import, Operand, label};
use super::proto::NodeProto;
use crate::graph::op::{ConvGeometry, Normalization, PoolGeometry, ReshapeDim, Weights};
use crate::graph::{Dim, NodeId, Op};
use crate::tensor::Tensor;

/// What can be wrong with one node, before its name is put to it.
enum Trouble {
    Form(String),
    Unsupported,
    Import(ImportError),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Form(reason)
    }
}

impl From<&str> for Trouble {
    fn from(reason: &str) -> Self {
        Self::Form(reason.to_owned())
    }
}

impl From<ImportError> for Trouble {
    fn from(error: ImportError) -> Self {
        Self::Import(error)
    }
}

/// Lowers one ONNX node into graph nodes; the result has one operand per output it fills.
pub(super) fn lower(
    import: &mut Import,
    node: &NodeProto,
    operands: &[Option<Operand>],
) -> Result<Vec<Operand>, ImportError> {
    let opset = import.opset;
    let mut lowering = Lowering { import, node, operands, attributes: Attributes::of(node) };
    lowering.dispatch().map_err(|trouble| match trouble {
        Trouble::Import(error) => error,
        Trouble::Form(reason) => ImportError::Form { node: label(node), operator: node.op_type.clone(), opset, reason },
        Trouble::Unsupported => {
            let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
            ImportError::Unsupported { node: label(node), operator: format!("{domain}{}", node.op_type), opset }
        }
    })
}

struct Lowering<'a> {
    import: &'a mut Import,
    node: &'a NodeProto,
    operands: &'a [Option<Operand>],
    attributes: Attributes<'a>,
}

type Lowered = Result<Vec<Operand>, Trouble>;

impl Lowering<'_> {
    fn dispatch(&mut self) -> Lowered {
        if !matches!(self.node.domain.as_str(), "" | "ai.onnx") {
            return Err(Trouble::Unsupported);
        }
        match self.node.op_type.as_str() {
            "Conv" => self.conv(),
            "BatchNormalization" => self.batch_norm(),
            "Gemm" => self.gemm(),
            "MatMul" => self.matmul(),
            "Add" => self.add(),
            "Mul" => self.binary(Op::Mul { relu: false }),
            "Relu" => self.unary(Op::Relu),
            "Clip" => self.clip(),
            "HardSwish" => self.unary(Op::HardSwish),
            "HardSigmoid" => self.hard_sigmoid(),
            "Sigmoid" => self.unary(Op::Sigmoid),
            "GlobalAveragePool" => self.unary(Op::GlobalAvgPool),
            "ReduceMean" => self.reduce_mean(),
            "AveragePool" => self.average_pool(),
            "MaxPool" => self.max_pool(),
            "Flatten" => self.flatten(),
            "Reshape" => self.reshape(),
            "Transpose" => self.transpose(),
            "Concat" => self.concat(),
            "Slice" => self.slice(),
            "Split" => self.split(),
            "Pad" => self.pad(),
            "Softmax" => self.softmax(),
            "Identity" => self.unary(Op::Identity),
            "Dropout" => self.dropout(),
            _ => Err(Trouble::Unsupported),
        }
    }

    // Operands, by what the operator needs them to be.

    fn operand(&self, position: usize) -> Result<&Operand, Trouble> {
        self.optional(position).ok_or_else(|| format!("input {position} is missing").into())
    }

    fn optional(&self, position: usize) -> Option<&Operand> {
        self.operands.get(position).and_then(Option::as_ref)
    }

    /// The operand as something that runs; a float constant becomes a constant node.
    fn running(&mut self, position: usize) -> Result<NodeId, Trouble> {
        match self.operand(position)?.clone() {
            Operand::Node(id) => Ok(id),
            Operand::Float { tensor, .. } => {
                match self.import.push(self.node, None, Op::Constant(tensor), Vec::new())? {
                    Operand::Node(id) => Ok(id),
                    _ => Err("a constant did not become a node".into()),
                }
            }
            Operand::Ints(_) => Err(format!("input {position} is an integer tensor").into()),
        }
    }

    fn tensor(&self, position: usize) -> Result<Arc<Tensor>, Trouble> {
        match self.operand(position)? {
            Operand::Float { tensor, .. } => Ok(Arc::clone(tensor)),
            _ => Err(format!("input {position} must be a constant").into()),
        }
    }

    fn optional_tensor(&self, position: usize) -> Result<Option<Arc<Tensor>>, Trouble> {
        self.optional(position).map(|_| self.tensor(position)).transpose()
    }

    fn ints(&self, position: usize) -> Result<&Ints, Trouble> {
        match self.operand(position)? {
            Operand::Ints(ints) => Ok(ints),
            _ => Err(format!("input {position} must be a constant integer tensor").into()),
        }
    }

    fn numbers(&self, position: usize) -> Result<Vec<i64>, Trouble> {
        self.ints(position)?.numbers().ok_or_else(|| format!("input {position} depends on the batch size").into())
    }

    /// A number given as an attribute in old opsets and as an input in new ones.
    fn numbers_or_attribute(&self, attribute: &str, position: usize) -> Result<Option<Vec<i64>>, Trouble> {
        match self.attributes.ints(attribute) {
            Some(values) => Ok(Some(values.to_vec())),
            None => self.optional(position).map(|_| self.numbers(position)).transpose(),
        }
    }

    fn rank(&self, id: NodeId) -> usize {
        self.import.graph.node(id).shape.len()
    }

    fn weight_name(&self) -> Option<String> {
        self.operands.iter().flatten().find_map(|operand| match operand {
            Operand::Float { name, .. } if name.ends_with(".weight") => Some(name.clone()),
            _ => None,
        })
    }

    fn emit(&mut self, op: Op, inputs: Vec<NodeId>) -> Lowered {
        let weight = self.weight_name();
        Ok(vec![self.import.push(self.node, weight.as_deref(), op, inputs)?])
    }

    fn unary(&mut self, op: Op) -> Lowered {
        let input = self.running(0)?;
        self.emit(op, vec![input])
    }

    fn binary(&mut self, op: Op) -> Lowered {
        let inputs = vec![self.running(0)?, self.running(1)?];
        self.emit(op, inputs)
    }

    // Layers with weights.

    fn conv(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        let weights = Weights { weight: self.tensor(1)?, bias: self.optional_tensor(2)? };
        if weights.weight.shape().len() != 4 {
            return Err("only two-dimensional convolutions are supported".into());
        }
        let amounts @ [left, right, top, bottom] = self.attributes.padding()?;
        let mut padding = [top, left];
        if left != right || top != bottom {
            input = self.explicit_pad(input, amounts, 0.0)?;
            padding = [0, 0];
        }
        let geometry = ConvGeometry {
            stride: self.attributes.pair("strides", [1, 1])?,
            padding,
            dilation: self.attributes.pair("dilations", [1, 1])?,
            groups: usize::try_from(self.attributes.int("group").unwrap_or(1)).map_err(|_| "negative group count")?,
        };
        self.emit(Op::Conv { weights, geometry, relu: false }, vec![input])
    }

    fn explicit_pad(&mut self, input: NodeId, amounts: [usize; 4], value: f32) -> Result<NodeId, Trouble> {
        match self.import.push(self.node, None, Op::Pad { amounts, value }, vec![input])? {
            Operand::Node(id) => Ok(id),
            _ => Err("padding did not become a node".into()),
        }
    }

    fn batch_norm(&mut self) -> Lowered {
        if self.attributes.flag("training_mode") {
            return Err("it is in training mode; call `model.eval()` before exporting".into());
        }
        let norm = Normalization {
            gamma: self.tensor(1)?,
            beta: self.tensor(2)?,
            mean: self.tensor(3)?,
            variance: self.tensor(4)?,
            epsilon: self.attributes.float("epsilon", 1e-5),
        };
        let channels = norm.gamma.shape().to_vec();
        if channels.len() != 1 || [&norm.beta, &norm.mean, &norm.variance].iter().any(|t| t.shape() != channels) {
            return Err("its four parameters differ in shape".into());
        }
        self.unary(Op::BatchNorm(norm))
    }

    fn gemm(&mut self) -> Lowered {
        let scaled = [self.attributes.float("alpha", 1.0), self.attributes.float("beta", 1.0)] != [1.0, 1.0];
        if scaled || self.attributes.flag("transA") {
            return Err("only alpha = beta = 1 without transA is supported".into());
        }
        let stored = self.tensor(1)?;
        let weight = if self.attributes.flag("transB") { stored } else { Arc::new(transpose(&stored)?) };
        let bias = self.optional_tensor(2)?;
        if bias.as_ref().is_some_and(|bias| bias.shape() != &weight.shape()[..1]) {
            return Err("its bias is not one number per output".into());
        }
        self.unary(Op::Linear { weights: Weights { weight, bias }, relu: false })
    }

    fn matmul(&mut self) -> Lowered {
        let weight = Arc::new(transpose(&*self.tensor(1)?)?);
        self.unary(Op::Linear { weights: Weights { weight, bias: None }, relu: false })
    }

    /// A sum; a bias vector added to a linear layer without one becomes its bias.
    fn add(&mut self) -> Lowered {
        for (activation, constant) in [(0, 1), (1, 0)] {
            let (Ok(Operand::Node(id)), Ok(bias)) = (self.operand(activation), self.tensor(constant)) else { continue };
            let id = *id;
            let is_last = id.0 + 1 == self.import.graph.nodes.len();
            let Op::Linear { weights, relu: false } = &mut self.import.graph.nodes[id.0].op else { continue };
            // Only the node just appended can have no other reader yet.
            if is_last && weights.bias.is_none() && bias.shape() == &weights.weight.shape()[..1] {
                weights.bias = Some(bias);
                return Ok(vec![Operand::Node(id)]);
            }
        }
        self.binary(Op::Add { relu: false })
    }

    // Activations.

    fn clip(&mut self) -> Lowered {
        let bound = |position: usize, attribute: &str, default: f32| match self.optional(position) {
            None => Ok(self.attributes.float(attribute, default)),
            Some(_) => match self.tensor(position)?.as_f32() {
                Some([value]) => Ok(*value),
                _ => Err(Trouble::from("its bounds are not single numbers")),
            },
        };
        let (min, max) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
        self.unary(Op::Clip { min, max })
    }

    fn hard_sigmoid(&mut self) -> Lowered {
        let (alpha, beta) = (self.attributes.float("alpha", 0.2), self.attributes.float("beta", 0.5));
        if (alpha - 1.0 / 6.0).abs() > 1e-6 || (beta - 0.5).abs() > 1e-6 {
            return Err(format!("alpha = {alpha}, beta = {beta}; only PyTorch's 1/6 and 1/2 are supported").into());
        }
        self.unary(Op::HardSigmoid)
    }

    fn softmax(&mut self) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let default = if self.import.opset < 13 { 1 } else { -1 };
        let axis = axis_of(self.attributes.int("axis").unwrap_or(default), rank)?;
        if self.import.opset < 13 && axis + 1 != rank {
            return Err("before opset 13 it normalizes over several axes at once; export with opset 13 or later".into());
        }
        self.emit(Op::Softmax { axis }, vec![input])
    }

    fn dropout(&mut self) -> Lowered {
        self.unary(Op::Dropout)
    }

    // Pooling.

    fn pool_geometry(&self) -> Result<(PoolGeometry, [usize; 4]), Trouble> {
        let kernel = self.attributes.pair("kernel_shape", [0, 0])?;
        let amounts @ [left, _, top, _] = self.attributes.padding()?;
        let geometry = PoolGeometry {
            kernel,
            stride: self.attributes.pair("strides", [1, 1])?,
            padding: [top, left],
            dilation: self.attributes.pair("dilations", [1, 1])?,
            ceil_mode: self.attributes.flag("ceil_mode"),
        };
        Ok((geometry, amounts))
    }

    fn max_pool(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        let (mut geometry, amounts @ [left, right, top, bottom]) = self.pool_geometry()?;
        if left != right || top != bottom {
            input = self.explicit_pad(input, amounts, f32::NEG_INFINITY)?;
            geometry.padding = [0, 0];
        }
        self.emit(Op::MaxPool(geometry), vec![input])
    }

    fn average_pool(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        let (mut geometry, amounts @ [left, right, top, bottom]) = self.pool_geometry()?;
        let count_include_pad = self.attributes.flag("count_include_pad");
        if left != right || top != bottom {
            if !count_include_pad {
                return Err("uneven padding that is not counted is not supported".into());
            }
            input = self.explicit_pad(input, amounts, 0.0)?;
            geometry.padding = [0, 0];
        }
        if geometry.dilation != [1, 1] {
            return Err("a dilated average is not supported".into());
        }
        self.emit(Op::AvgPool { geometry, count_include_pad }, vec![input])
    }

    fn reduce_mean(&mut self) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let raw = self.numbers_or_attribute("axes", 1)?.ok_or("it averages over every axis, the batch included")?;
        let mut axes = raw.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        if rank != 4 || axes != [2, 3] {
            return Err(
                format!("axes {axes:?} of {rank} dimensions; only height and width of an image are supported").into()
            );
        }
        let keep = self.attributes.int("keepdims").unwrap_or(1) != 0;
        self.emit(if keep { Op::GlobalAvgPool } else { Op::SpatialMean }, vec![input])
    }

    // Moving data.

    fn flatten(&mut self) -> Lowered {
        let input = self.running(0)?;
        let axis = axis_of(self.attributes.int("axis").unwrap_or(1), self.rank(input))?;
        self.emit(Op::Flatten { axis }, vec![input])
    }

    fn reshape(&mut self) -> Lowered {
        let input = self.running(0)?;
        let target = self.ints(1)?.values.clone();
        let shape = self.import.graph.node(input).shape.clone();
        let zero_copies = !self.attributes.flag("allowzero");
        let mut dims = Vec::with_capacity(target.len());
        for (position, int) in target.iter().enumerate() {
            dims.push(match *int {
                Int::Batch => ReshapeDim::Batch,
                Int::Known(-1) => ReshapeDim::Rest,
                Int::Known(0) if zero_copies => match shape.get(position) {
                    Some(Dim::Batch) => ReshapeDim::Batch,
                    Some(Dim::Known(size)) => ReshapeDim::Known(*size),
                    None => return Err("it copies a dimension that is not there".into()),
                },
                Int::Known(size) => ReshapeDim::Known(usize::try_from(size).map_err(|_| "negative size")?),
            });
        }
        open_the_batch(&mut dims, &shape);
        if dims.len() == 2 && dims[0] == ReshapeDim::Batch && shape.first() == Some(&Dim::Batch) {
            return self.emit(Op::Flatten { axis: 1 }, vec![input]);
        }
        self.emit(Op::Reshape(dims), vec![input])
    }

    fn transpose(&mut self) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let order = match self.attributes.ints("perm") {
            Some(perm) => perm.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
            None => (0..rank).rev().collect(),
        };
        self.emit(Op::Transpose(order), vec![input])
    }

    fn concat(&mut self) -> Lowered {
        let inputs = (0..self.operands.len()).map(|i| self.running(i)).collect::<Result<Vec<_>, _>>()?;
        let first = *inputs.first().ok_or("it joins nothing")?;
        let axis = axis_of(self.attributes.int("axis").unwrap_or(1), self.rank(first))?;
        self.emit(Op::Concat { axis }, inputs)
    }

    fn slice(&mut self) -> Lowered {
        let mut current = self.running(0)?;
        let starts = self.numbers_or_attribute("starts", 1)?.ok_or("it names no starts")?;
        let ends = self.numbers_or_attribute("ends", 2)?.ok_or("it names no ends")?;
        let rank = self.rank(current);
        let axes = self.numbers_or_attribute("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.numbers_or_attribute("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err("starts, ends, axes and steps differ in length".into());
        }
        for i in 0..starts.len() {
            let axis = axis_of(axes[i], rank)?;
            let size = self.import.graph.node(current).shape[axis].known().ok_or("it slices the batch")?;
            let step =
                usize::try_from(steps[i]).ok().filter(|&step| step > 0).ok_or("a step below 1 is not supported")?;
            let op = Op::Slice { axis, start: index(starts[i], size), end: index(ends[i], size), step };
            current = self.chained(op, current)?;
        }
        Ok(vec![Operand::Node(current)])
    }

    fn chained(&mut self, op: Op, input: NodeId) -> Result<NodeId, Trouble> {
        match self.emit(op, vec![input])?.as_slice() {
            [Operand::Node(id)] => Ok(*id),
            _ => Err("it did not become one node".into()),
        }
    }

    fn split(&mut self) -> Lowered {
        let input = self.running(0)?;
        let axis = axis_of(self.attributes.int("axis").unwrap_or(0), self.rank(input))?;
        let size = self.import.graph.node(input).shape[axis].known().ok_or("it splits the batch")?;
        let parts = match self.numbers_or_attribute("split", 1)? {
            Some(sizes) => {
                sizes.iter().map(|&s| usize::try_from(s).map_err(|_| "negative size")).collect::<Result<_, _>>()?
            }
            None => vec![size.div_ceil(self.node.output.len().max(1)); self.node.output.len()],
        };
        let mut start = 0;
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            let end = (start + part).min(size);
            results.push(Operand::Node(self.chained(Op::Slice { axis, start, end, step: 1 }, input)?));
            start = end;
        }
        Ok(results)
    }

    fn pad(&mut self) -> Lowered {
        if !matches!(self.attributes.text("mode").as_deref(), None | Some("" | "constant")) {
            return Err("only constant padding is supported".into());
        }
        let input = self.running(0)?;
        let raw = self.numbers_or_attribute("pads", 1)?.ok_or("it names no pads")?;
        let value = match self.optional(2) {
            Some(_) => self.tensor(2)?.as_f32().and_then(|v| v.first().copied()).unwrap_or(0.0),
            None => self.attributes.float("value", 0.0),
        };
        let sizes: Vec<usize> = raw.iter().filter_map(|&p| usize::try_from(p).ok()).collect();
        match *sizes.as_slice() {
            [0, 0, top, left, 0, 0, bottom, right] => {
                self.emit(Op::Pad { amounts: [left, right, top, bottom], value }, vec![input])
            }
            _ => Err("only non-negative padding of an image's height and width is supported".into()),
        }
    }
}

/// An ONNX axis, which may count from the end, as an index.
fn axis_of(raw: i64, rank: usize) -> Result<usize, Trouble> {
    let len = i64::try_from(rank).unwrap_or(i64::MAX);
    if (-len..len).contains(&raw) {
        Ok(index(raw, rank))
    } else {
        Err(format!("axis {raw} of {rank} dimensions").into())
    }
}

/// Where the target does not name the batch, the dimension that must be it does: a leading `-1`
/// whose remaining dimensions hold exactly one image.
fn open_the_batch(dims: &mut [ReshapeDim], shape: &[Dim]) {
    let per_image: usize = shape.iter().filter_map(Dim::known).product();
    let named: usize = dims.iter().filter_map(|d| if let ReshapeDim::Known(n) = d { Some(*n) } else { None }).product();
    if shape.first() == Some(&Dim::Batch)
        && !dims.contains(&ReshapeDim::Batch)
        && dims.first() == Some(&ReshapeDim::Rest)
        && named == per_image
    {
        dims[0] = ReshapeDim::Batch;
    }
}
