//! Quantization written out: what is rounded where, and integer weights.

use super::{Rounding, Writer, int, value};
use crate::codec::onnx::constant::kind;
use crate::graph::NodeId;
use crate::graph::op::Weights;
use crate::graph::quantization::{IntWeight, Kernel, QParams};
use crate::tensor::{Data, Tensor};

impl Writer<'_> {
    /// Whether a node's outcome is an integer tensor, whoever reads it.
    fn gives_integers(&self, id: NodeId) -> bool {
        self.integers_of()
            .is_some_and(|quantization| quantization.is_int8(id) && quantization.kernels[id.0] != Kernel::Fused)
    }

    /// What readers in float are given, and the graph's own reader.
    pub(in crate::codec::onnx) fn given(&self, id: NodeId) -> String {
        let is_rounded = match self.rounding {
            Rounding::InFloat(quantization) => quantization.activations[id.0].is_some(),
            Rounding::Not | Rounding::Qdq(_) | Rounding::Symmetric(..) => self.gives_integers(id),
        };
        if is_rounded { rounded(&value(self.graph, id)) } else { value(self.graph, id) }
    }

    /// What `reader` is given of `input`.
    pub(in crate::codec::onnx) fn read(&self, reader: NodeId, input: NodeId) -> String {
        let takes_integers = self.integers_of().is_some_and(|quantization| quantization.is_int8(reader));
        if takes_integers { rounded(&value(self.graph, input)) } else { self.given(input) }
    }

    /// Rounds a node's outcome where somebody needs it as integers.
    pub(in crate::codec::onnx) fn quantize(&mut self, id: NodeId) {
        let name = value(self.graph, id);
        if let Rounding::InFloat(quantization) = self.rounding {
            if let Some(parameters) = quantization.activations[id.0] {
                self.round_in_float(&name, parameters);
            }
            return;
        }
        let Some(quantization) = self.integers_of() else { return };
        let wanted = self.gives_integers(id) || self.users[id.0].iter().any(|&user| quantization.is_int8(user));
        if let Some(parameters) = quantization.activations[id.0].filter(|_| wanted) {
            self.round(id, &name, &name, parameters);
        }
    }

    /// Rounds the tensor `source` with the parameters of a node; what is made of it is named after `name`.
    pub(in crate::codec::onnx) fn round(&mut self, id: NodeId, source: &str, name: &str, parameters: QParams) {
        let QParams { scale, zero_point } = parameters;
        let (scale, kind, zero_point) = match self.rounding {
            Rounding::Symmetric(_, levels) => (symmetric(parameters, levels[id.0]), kind::INT8, 0),
            Rounding::Not | Rounding::InFloat(_) | Rounding::Qdq(_) => {
                (scale, kind::UINT8, u8::try_from(zero_point.clamp(0, 255)).unwrap_or(0))
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "ONNX has scales of 32 bits")]
        let scale = self.scalar(format!("{name}::scale"), scale as f32);
        let zero_point = self.raw(format!("{name}::zero_point"), &[], kind, vec![zero_point]);
        let integers = format!("{name}::quantized");
        let parameters = |tensor: &str| vec![tensor.to_owned(), scale.clone(), zero_point.clone()];
        self.push("QuantizeLinear", parameters(source), integers.clone(), Vec::new());
        self.push("DequantizeLinear", parameters(&integers), rounded(name), Vec::new());
    }

    /// The same numbers as rounding to a byte and back gives, as PyTorch's `fake_quantize_per_tensor_affine` computes
    /// them. Engines would compute with integers between QuantizeLinear and DequantizeLinear.
    fn round_in_float(&mut self, name: &str, QParams { scale, zero_point }: QParams) {
        #[expect(clippy::cast_possible_truncation, reason = "activations have 32 bits")]
        let numbers = [(1.0 / scale) as f32, zero_point as f32, 0.0, 255.0, scale as f32];
        let [per_unit, zero, least, most, scale] = ["per_unit", "zero", "least", "most", "scale"];
        let named = |part: &str| format!("{name}::{part}");
        for (part, number) in [per_unit, zero, least, most, scale].into_iter().zip(numbers) {
            self.scalar(named(part), number);
        }
        let steps = [
            ("Mul", vec![per_unit], "levels"),
            ("Round", vec![], "whole"),
            ("Add", vec![zero], "shifted"),
            ("Clip", vec![least, most], "clipped"),
            ("Sub", vec![zero], "centered"),
            ("Mul", vec![scale], "rounded"),
        ];
        let mut tensor = name.to_owned();
        for (operator, with, outcome) in steps {
            let inputs = std::iter::once(tensor).chain(with.iter().map(|part| named(part))).collect();
            tensor = named(outcome);
            self.push(operator, inputs, tensor.clone(), Vec::new());
        }
    }

    /// A layer's weight and, where there is one, its bias; as integers where the layer computes in them.
    pub(in crate::codec::onnx) fn weights(&mut self, id: NodeId, weights: &Weights) -> Vec<String> {
        let name = value(self.graph, id);
        let quantization = self.integers_of();
        let is_int8 = quantization.filter(|quantization| quantization.is_int8(id));
        let int = is_int8.and_then(|quantization| quantization.weights.get(&id));
        let input = quantization.and_then(|q| q.activations[self.graph.node(id).inputs[0].0]);
        let (Some(int), Some(input)) = (int, input) else {
            let weight = self.initializer(format!("{name}::weight"), &weights.weight);
            let bias = weights.bias.as_ref().map(|bias| self.initializer(format!("{name}::bias"), bias));
            return std::iter::once(weight).chain(bias).collect();
        };
        let float_bias = matches!(self.rounding, Rounding::Symmetric(..));
        let int = if float_bias { int.clone() } else { with_room(weights, int, input) };
        let scales = narrow(&int.scales);
        let integers = self.initializer(format!("{name}::weight::quantized"), &int.values);
        let weight = self.per_channel(format!("{name}::weight"), integers, kind::INT8, &scales);
        let name = format!("{name}::bias");
        let bias = weights.bias.as_ref().and_then(|bias| Some((bias, bias.as_f32()?)));
        let bias = bias.map(|(tensor, bias)| {
            if float_bias {
                self.initializer(name, tensor)
            } else {
                self.integer_bias(name, bias, &int.scales, input.scale)
            }
        });
        std::iter::once(weight).chain(bias).collect()
    }

    /// Integers of 32 bits whose scale is that of the products they are added to.
    fn integer_bias(&mut self, name: String, bias: &[f32], scales: &[f64], input: f64) -> String {
        let scales: Vec<f64> = scales.iter().map(|scale| scale * input).collect();
        #[expect(clippy::cast_possible_truncation, reason = "saturates, as an engine's accumulator would at best")]
        let whole = |(bias, scale): (&f32, &f64)| (f64::from(*bias) / scale).round_ties_even() as i32;
        let bytes = bias.iter().zip(&scales).map(whole).flat_map(i32::to_le_bytes).collect();
        let integers = self.raw(format!("{name}::quantized"), &[bias.len()], kind::INT32, bytes);
        self.per_channel(name, integers, kind::INT32, &narrow(&scales))
    }

    fn per_channel(&mut self, name: String, integers: String, kind: i32, scales: &[f32]) -> String {
        let width = if kind == self::kind::INT32 { size_of::<i32>() } else { 1 };
        let scale = self.floats(format!("{name}::scale"), scales.to_vec());
        let zeros = self.raw(format!("{name}::zero_point"), &[scales.len()], kind, vec![0; width * scales.len()]);
        let axis = int("axis", 0);
        self.push("DequantizeLinear", vec![integers, scale, zeros], name.clone(), vec![axis]);
        name
    }
}

/// The scale of 8 bits without a zero point that cover the same range: its far end is the 127th level.
fn symmetric(QParams { scale, zero_point }: QParams, levels: usize) -> f64 {
    let highest = i64::try_from(levels).unwrap_or(256) - 1;
    let zero = i64::from(zero_point).clamp(0, highest);
    scale * zero.max(highest - zero) as f64 / 127.0
}

/// A channel of next to no weight leaves its bias no room in 32 bits: its scale is raised until there is.
fn with_room(weights: &Weights, int: &IntWeight, input: QParams) -> IntWeight {
    const LARGEST: f64 = (1_u32 << 30) as f64;
    let bias = weights.bias.as_ref().and_then(|bias| bias.as_f32()).unwrap_or(&[]);
    let (Data::I8(values), false) = (int.values.data(), bias.is_empty()) else { return int.clone() };
    let (mut values, mut scales) = (values.clone(), int.scales.clone());
    let row = values.len() / scales.len().max(1);
    for ((scale, bias), row) in scales.iter_mut().zip(bias).zip(values.chunks_mut(row.max(1))) {
        let least = f64::from(bias.abs()) / (LARGEST * input.scale);
        if *scale < least {
            #[expect(clippy::cast_possible_truncation, reason = "a larger scale makes integers smaller")]
            row.iter_mut().for_each(|q| *q = (f64::from(*q) * *scale / least).round_ties_even() as i8);
            *scale = least;
        }
    }
    let values = Tensor::new(int.values.shape().to_vec(), Data::I8(values));
    values.map_or_else(|_| int.clone(), |values| IntWeight { values, scales })
}

#[expect(clippy::cast_possible_truncation, reason = "ONNX has scales of 32 bits")]
fn narrow(scales: &[f64]) -> Vec<f32> {
    scales.iter().map(|&scale| scale as f32).collect()
}

/// The name of a value after it was rounded.
pub(in crate::codec::onnx) fn rounded(name: &str) -> String {
    format!("{name}::rounded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symmetric_scale_reaches_the_far_end_of_the_range() {
        let scale = |zero_point, levels| symmetric(QParams { scale: 0.5, zero_point }, levels);
        assert_eq!(scale(0, 256), 0.5 * 255.0 / 127.0);
        assert_eq!(scale(0, 128), 0.5);
        assert_eq!(scale(127, 128), 0.5);
        assert_eq!(scale(100, 256), 0.5 * 155.0 / 127.0);
    }
}
