//! A layer with examples, and libtorch's autograd to tell which way its weights should move.

use requant::backend::{BackendError, Examples};
use requant::graph::Op;
use requant::graph::op::{ConvGeometry, Layer};
use requant::tensor::Tensor;
use tch::{Kind, TchError, Tensor as TorchTensor};

use super::convert::{from_torch, to_torch};
use super::engine_error;

pub(super) struct LayerExamples {
    layer: Layer,
    shape: Vec<i64>,
    bias: Option<TorchTensor>,
    /// `[examples, height, width, channels]` or `[examples, features]`.
    inputs: TorchTensor,
    outputs: TorchTensor,
}

impl LayerExamples {
    pub(super) fn new(op: &Op, inputs: &Tensor, outputs: &Tensor) -> Result<Self, BackendError> {
        let Op::Layer(layer) = op else {
            let message = format!("{} has no weights", op.torch_name());
            return Err(BackendError::Engine { doing: "taking in a layer", message });
        };
        let weights = layer.weights();
        let copy = || {
            Ok(Self {
                layer: layer.clone(),
                shape: weights.weight.shape().iter().map(|&length| signed(length)).collect(),
                bias: weights.bias.as_ref().map(|bias| to_torch(bias)).transpose()?,
                inputs: pixel_after_pixel(&to_torch(inputs)?)?,
                outputs: pixel_after_pixel(&to_torch(outputs)?)?,
            })
        };
        copy().map_err(engine_error("taking in a layer"))
    }

    fn weight(&self, values: &[f32]) -> Result<TorchTensor, TchError> {
        TorchTensor::f_from_slice(values)?.f_view(self.shape.as_slice())
    }

    fn forward(&self, inputs: &TorchTensor, weight: &TorchTensor) -> Result<TorchTensor, TchError> {
        let (outputs, relu) = match &self.layer {
            Layer::Conv { geometry: ConvGeometry { stride, padding, dilation, groups }, relu, .. } => {
                let [stride, padding, dilation] = [stride, padding, dilation].map(|pair| pair.map(signed));
                (inputs.f_conv2d(weight, self.bias.as_ref(), stride, padding, dilation, signed(*groups))?, *relu)
            }
            Layer::Linear { relu, .. } => (inputs.f_linear(weight, self.bias.as_ref())?, *relu),
        };
        if relu { outputs.f_relu() } else { Ok(outputs) }
    }
}

/// In this order depthwise convolutions are much faster, backwards above all.
fn pixel_after_pixel(tensor: &TorchTensor) -> Result<TorchTensor, TchError> {
    if tensor.dim() == 4 { tensor.f_permute([0, 2, 3, 1])?.f_contiguous() } else { Ok(tensor.shallow_clone()) }
}

/// The same with channels as its second dimension again.
fn channels_second(tensor: &TorchTensor) -> Result<TorchTensor, TchError> {
    if tensor.dim() == 4 { tensor.f_permute([0, 3, 1, 2]) } else { Ok(tensor.shallow_clone()) }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl Examples for LayerExamples {
    fn error(&self, weight: &[f32]) -> Result<f64, BackendError> {
        let _no_grad = tch::no_grad_guard();
        let error = || {
            let outputs = self.forward(&channels_second(&self.inputs)?, &self.weight(weight)?)?;
            f64::try_from(&outputs.f_sub(&channels_second(&self.outputs)?)?.f_square()?.f_mean(Kind::Double)?)
        };
        error().map_err(engine_error("computing a layer"))
    }

    fn gradient(&self, weight: &[f32], examples: &[usize]) -> Result<Vec<f32>, BackendError> {
        let gradient = || {
            let places: Vec<i64> = examples.iter().map(|&place| signed(place)).collect();
            let places = TorchTensor::f_from_slice(&places)?;
            let weight = self.weight(weight)?.f_set_requires_grad(true)?;
            let some = |all: &TorchTensor| channels_second(&all.f_index_select(0, &places)?);
            let (outputs, wanted) = (self.forward(&some(&self.inputs)?, &weight)?, some(&self.outputs)?);
            outputs.f_sub(&wanted)?.f_square()?.f_mean(Kind::Float)?.f_backward()?;
            from_torch(&weight.f_grad()?)
        };
        let gradient = gradient().map_err(engine_error("learning to round a layer"))?;
        Ok(gradient.as_f32().unwrap_or(&[]).to_vec())
    }
}
