//! Convolutions and linear layers.

use std::sync::Arc;

use super::lowering::{Lowered, Lowering, Row, Trouble, integers};
use crate::codec::onnx::attributes::Window;
use crate::codec::onnx::network::Operand;
use crate::codec::onnx::writer::{Writer, int, ints, value};
use crate::graph::op::{Binary, ConvGeometry, Layer, Layout, Weights};
use crate::graph::{NodeId, Op};
use crate::tensor::Tensor;

#[expect(clippy::redundant_closure_for_method_calls, reason = "the path of a method is for one lifetime, not for each")]
pub(super) const ROWS: &[Row] = &[
    integers("Conv", 7, |node| node.conv()),
    integers("Gemm", 7, |node| node.gemm()),
    integers("MatMul", 7, |node| node.matmul()),
];

impl Lowering<'_> {
    fn conv(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        let weights = Weights { weight: self.tensor(1)?, bias: self.optional_tensor(2)? };
        if weights.weight.shape().len() != 4 {
            return Err("only two-dimensional convolutions are supported".into());
        }
        let said = self.attributes.ints("kernel_shape")?;
        let kernel: Vec<i64> = weights.weight.shape()[2..].iter().map(|&size| size as i64).collect();
        if said.is_some_and(|said| said != kernel) {
            return Err(format!("its `kernel_shape` is not that of its weight, {kernel:?}").into());
        }
        let window = Window {
            kernel: [weights.weight.shape()[2], weights.weight.shape()[3]],
            stride: self.attributes.pair("strides", [1, 1])?,
            dilation: self.attributes.pair("dilations", [1, 1])?,
        };
        let amounts @ [left, right, top, bottom] = self.attributes.padding(self.image_size(input)?, &window)?;
        let mut padding = [top, left];
        if left != right || top != bottom {
            input = self.explicit_pad(input, amounts, 0.0)?;
            padding = [0, 0];
        }
        let groups = usize::try_from(self.attributes.int("group")?.unwrap_or(1)).map_err(|_| "negative group count")?;
        let geometry = ConvGeometry { stride: window.stride, padding, dilation: window.dilation, groups };
        self.emit(Op::Layer(Layer::Conv { weights, geometry, relu: false }), vec![input])
    }

    fn gemm(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        if self.attributes.flag("transA")? {
            input = self.step(Op::Layout(Layout::Transpose(vec![1, 0])), vec![input])?;
        }
        let stored = scaled(&self.tensor(1)?, self.attributes.float("alpha", 1.0)?);
        self.import.allow(stored.data().len())?;
        let weight = if self.attributes.flag("transB")? { stored } else { Arc::new(transpose(&stored)?) };
        let beta = self.attributes.float("beta", 1.0)?;
        let addend = self.optional_tensor(2)?.map(|addend| scaled(&addend, beta));
        let outputs = weight.shape().first().copied().unwrap_or(0);
        let bias = addend.as_ref().and_then(|addend| per_output(addend, outputs));
        let rest = addend.filter(|_| bias.is_none());
        let linear = Op::Layer(Layer::Linear { weights: Weights { weight, bias }, relu: false });
        let Some(rest) = rest else { return self.emit(linear, vec![input]) };
        let (product, rest) = (self.step(linear, vec![input])?, self.step(Op::Constant(rest), Vec::new())?);
        self.emit(Op::Binary(Binary::Add { relu: false }), vec![product, rest])
    }

    fn matmul(&mut self) -> Lowered {
        match self.operand(1)? {
            Operand::Float { tensor, .. } if tensor.shape().len() == 2 => {
                let weight = Arc::new(transpose(tensor)?);
                self.import.allow(weight.data().len())?;
                self.unary(Op::Layer(Layer::Linear { weights: Weights { weight, bias: None }, relu: false }))
            }
            _ => self.binary(Op::Binary(Binary::MatMul)),
        }
    }
}

impl Writer<'_> {
    pub(super) fn layer(&mut self, id: NodeId, own: &Layer, inputs: Vec<String>) {
        match own {
            Layer::Conv { weights, geometry, relu } => self.conv(id, weights, geometry, *relu, inputs),
            Layer::Linear { weights, relu } => self.linear(id, weights, *relu, inputs),
        }
    }

    fn conv(&mut self, id: NodeId, weights: &Weights, geometry: &ConvGeometry, relu: bool, mut inputs: Vec<String>) {
        inputs.extend(self.weights(id, weights));
        let ConvGeometry { stride, padding, dilation, groups } = geometry;
        let attributes = vec![
            int("group", *groups),
            ints("kernel_shape", &weights.weight.shape()[2..]),
            ints("strides", stride),
            ints("pads", &[*padding, *padding].concat()),
            ints("dilations", dilation),
        ];
        self.rectified(id, "Conv", relu, inputs, attributes);
    }

    /// `Gemm` for rows of features; a product and a sum for anything of more dimensions.
    fn linear(&mut self, id: NodeId, weights: &Weights, relu: bool, mut inputs: Vec<String>) {
        let mut own = self.weights(id, weights);
        if self.graph.node(self.graph.node(id).inputs[0]).shape.len() == 2 {
            inputs.append(&mut own);
            return self.rectified(id, "Gemm", relu, inputs, vec![int("transB", 1)]);
        }
        let name = value(self.graph, id);
        let matrix = format!("{name}::matrix");
        self.push("Transpose", vec![own.remove(0)], matrix.clone(), vec![ints("perm", &[1, 0])]);
        inputs.push(matrix);
        if own.is_empty() {
            return self.rectified(id, "MatMul", relu, inputs, Vec::new());
        }
        let product = format!("{name}::product");
        self.push("MatMul", inputs, product.clone(), Vec::new());
        self.named(id, Some("product"));
        self.rectified(id, "Add", relu, vec![product, own.remove(0)], Vec::new());
    }
}

/// Swaps the two axes of a float matrix.
fn transpose(tensor: &Tensor) -> Result<Tensor, Trouble> {
    let (&[rows, columns], Some(values)) = (tensor.shape(), tensor.as_f32()) else {
        return Err("its weight is not a matrix".into());
    };
    let swapped = (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect();
    Tensor::f32(vec![columns, rows], swapped).map_err(|error| error.to_string().into())
}

/// Every value times a number.
fn scaled(tensor: &Arc<Tensor>, by: f32) -> Arc<Tensor> {
    match tensor.as_f32() {
        #[expect(clippy::float_cmp, reason = "exactly 1 changes nothing")]
        Some(values) if by != 1.0 => {
            let values = values.iter().map(|value| value * by).collect();
            Tensor::f32(tensor.shape().to_vec(), values).map_or_else(|_| Arc::clone(tensor), Arc::new)
        }
        _ => Arc::clone(tensor),
    }
}

/// What is added to a product of rows, as one number per output; `None` where rows differ.
fn per_output(addend: &Arc<Tensor>, outputs: usize) -> Option<Arc<Tensor>> {
    let values = addend.as_f32()?;
    let one_row = addend.shape().iter().rev().skip(1).all(|&rows| rows == 1);
    match values {
        [value] => Some(Arc::new(Tensor::vector(vec![*value; outputs]))),
        _ if one_row && values.len() == outputs => Some(Arc::new(Tensor::vector(values.to_vec()))),
        _ => None,
    }
}
