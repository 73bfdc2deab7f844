//! Convolutions, linear layers and normalization: operators with weights.

use std::sync::Arc;

use super::{Lowered, Lowering, Trouble, transpose};
use crate::codec::onnx::attributes::Window;
use crate::codec::onnx::import::Operand;
use crate::graph::op::{ConvGeometry, Normalization, Weights};
use crate::graph::{NodeId, Op};
use crate::tensor::Tensor;

impl Lowering<'_> {
    pub(super) fn conv(&mut self) -> Lowered {
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
        self.emit(Op::Conv { weights, geometry, relu: false }, vec![input])
    }

    pub(super) fn explicit_pad(&mut self, input: NodeId, amounts: [usize; 4], value: f32) -> Result<NodeId, Trouble> {
        match self.import.push(self.node, None, Op::Pad { amounts, value }, vec![input])? {
            Operand::Node(id) => Ok(id),
            _ => Err("padding did not become a node".into()),
        }
    }

    pub(super) fn batch_norm(&mut self) -> Lowered {
        if !matches!(self.operand(0)?, Operand::Node(_)) {
            let reason = "it normalizes a weight each time the network runs (weight standardization)".to_owned();
            let next = "put the standardized weight into a plain convolution before exporting, once and for all";
            return Err(Trouble::Advised(reason, next));
        }
        // Before opset 9, 0 stands for statistics of each place.
        if self.import.opset < 9 && self.attributes.int("spatial")?.is_some_and(|spatial| spatial != 1) {
            return Err("it normalizes every place by itself, which is not supported".into());
        }
        self.attributes.without_effect(&["momentum"]);
        if self.attributes.flag("training_mode")? {
            return Err(Trouble::Advised("it is in training mode".into(), "call `model.eval()` before exporting"));
        }
        let norm = Normalization {
            gamma: self.tensor(1)?,
            beta: self.tensor(2)?,
            mean: self.tensor(3)?,
            variance: self.tensor(4)?,
            epsilon: self.attributes.float("epsilon", 1e-5)?,
        };
        let channels = norm.gamma.shape().to_vec();
        if channels.len() != 1 || [&norm.beta, &norm.mean, &norm.variance].iter().any(|t| t.shape() != channels) {
            return Err("its four parameters differ in shape".into());
        }
        self.unary(Op::BatchNorm(norm))
    }

    pub(super) fn gemm(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        if self.attributes.flag("transA")? {
            input = self.step(Op::Transpose(vec![1, 0]), vec![input])?;
        }
        let stored = scaled(&self.tensor(1)?, self.attributes.float("alpha", 1.0)?);
        self.import.allow(stored.data().len())?;
        let weight = if self.attributes.flag("transB")? { stored } else { Arc::new(transpose(&stored)?) };
        let beta = self.attributes.float("beta", 1.0)?;
        let addend = self.optional_tensor(2)?.map(|addend| scaled(&addend, beta));
        let outputs = weight.shape().first().copied().unwrap_or(0);
        let bias = addend.as_ref().and_then(|addend| per_output(addend, outputs));
        let rest = addend.filter(|_| bias.is_none());
        let linear = Op::Linear { weights: Weights { weight, bias }, relu: false };
        let Some(rest) = rest else { return self.emit(linear, vec![input]) };
        let (product, rest) = (self.step(linear, vec![input])?, self.step(Op::Constant(rest), Vec::new())?);
        self.emit(Op::Add { relu: false }, vec![product, rest])
    }

    pub(super) fn matmul(&mut self) -> Lowered {
        match self.operand(1)? {
            Operand::Float { tensor, .. } if tensor.shape().len() == 2 => {
                let weight = Arc::new(transpose(tensor)?);
                self.import.allow(weight.data().len())?;
                self.unary(Op::Linear { weights: Weights { weight, bias: None }, relu: false })
            }
            _ => self.binary(Op::MatMul),
        }
    }
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
