//! Convolutions, linear layers and normalization: operators with weights.

use std::sync::Arc;

use super::{Lowered, Lowering, Trouble};
use crate::codec::onnx::attributes::Window;
use crate::codec::onnx::fold::transpose;
use crate::codec::onnx::import::Operand;
use crate::graph::op::{ConvGeometry, Normalization, Weights};
use crate::graph::{NodeId, Op};

impl Lowering<'_> {
    pub(super) fn conv(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        let weights = Weights { weight: self.tensor(1)?, bias: self.optional_tensor(2)? };
        if weights.weight.shape().len() != 4 {
            return Err("only two-dimensional convolutions are supported".into());
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
        let groups = usize::try_from(self.attributes.int("group").unwrap_or(1)).map_err(|_| "negative group count")?;
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

    pub(super) fn gemm(&mut self) -> Lowered {
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

    pub(super) fn matmul(&mut self) -> Lowered {
        let weight = Arc::new(transpose(&*self.tensor(1)?)?);
        self.unary(Op::Linear { weights: Weights { weight, bias: None }, relu: false })
    }
}
