//! QuantizeLinear and DequantizeLinear: the graph keeps real numbers, and what is quantized is kept beside it.

use std::sync::Arc;

use super::lowering::{Lowered, Lowering, Row, Trouble, integers};
use crate::codec::onnx::network::Operand;
use crate::graph::quantization::QParams;
use crate::tensor::{Data, Tensor};

#[expect(clippy::redundant_closure_for_method_calls, reason = "the path of a method is for one lifetime, not for each")]
pub(super) const ROWS: &[Row] = &[
    integers("DequantizeLinear", 10, |node| node.dequantize_linear()),
    integers("QuantizeLinear", 10, |node| node.quantize_linear()),
];

impl Lowering<'_> {
    fn quantize_linear(&mut self) -> Lowered {
        let input = self.running(0)?;
        let parameters = self.activation_parameters()?;
        if self.import.activations.insert(input, parameters).is_some_and(|earlier| earlier != parameters) {
            return Err("another node quantizes the same values with other parameters".into());
        }
        Ok(vec![Operand::Node(input)])
    }

    /// One scale and one zero point. `axis` and `saturate` bear on several scales and on 8-bit floats alone.
    fn activation_parameters(&self) -> Result<QParams, Trouble> {
        self.attributes.without_effect(&["axis", "saturate"]);
        for name in ["block_size", "output_dtype", "precision"] {
            if self.attributes.int(name)?.is_some_and(|value| value != 0) {
                return Err(format!("`{name}` is not supported").into());
            }
        }
        let scales = self.tensor(1)?;
        let (Some(&[scale]), &[zero_point]) = (scales.as_f32(), self.zero_points(2, 1)?.as_slice()) else {
            return Err("only one scale and zero point per activation are supported".into());
        };
        let zero_point = i32::try_from(zero_point).map_err(|_| "its zero point is no byte")?;
        sound(&[scale])?;
        Ok(QParams { scale: f64::from(scale), zero_point })
    }

    fn dequantize_linear(&mut self) -> Lowered {
        if let Operand::Node(id) = *self.operand(0)? {
            // The graph keeps real numbers: what is rounded here must be what is read here.
            let parameters = self.activation_parameters()?;
            return match self.import.activations.get(&id) {
                Some(own) if *own == parameters => Ok(vec![Operand::Node(id)]),
                Some(_) => Err("its scale or zero point is not that of the QuantizeLinear before it".into()),
                None => {
                    Err("no QuantizeLinear comes before it: integers that the network is given are not read so".into())
                }
            };
        }
        let (shape, integers) = match self.operand(0)? {
            Operand::Value(value) => (value.shape.clone(), self.numbers(0)?),
            Operand::Quantized(tensor) => (tensor.shape().to_vec(), whole(tensor)),
            Operand::Float { .. } | Operand::Node(_) => return Err("it takes real numbers".into()),
        };
        let scales = self.tensor(1)?;
        let scales = scales.as_f32().unwrap_or(&[]);
        let zero_points = self.zero_points(2, scales.len())?;
        if self.attributes.int("block_size")?.is_some_and(|size| size != 0)
            || self.attributes.int("output_dtype")?.is_some()
        {
            return Err("blocks of weights, and other types than 32-bit floats, are not supported".into());
        }
        let axis = self.attributes.int("axis")?.unwrap_or(1);
        let leading = axis == 0 || shape.len() < 2;
        sound(scales)?;
        let per_scale = integers.len().div_ceil(scales.len()).max(1);
        if scales.len() > 1 && (!leading || shape.first() != Some(&scales.len())) {
            return Err("weights need one scale, or one for each first index".into());
        }
        let real =
            |(at, &q): (usize, &i64)| q.wrapping_sub(zero_points[at / per_scale]) as f32 * scales[at / per_scale];
        let values: Vec<f32> = integers.iter().enumerate().map(real).collect();
        self.import.allow(values.len())?;
        let tensor = Tensor::f32(shape, values).map_err(|error| Trouble::Form(error.to_string()))?;
        let name = self.node.output.first().cloned().unwrap_or_default();
        Ok(vec![Operand::Float { name, tensor: Arc::new(tensor) }])
    }

    /// One per scale; all 0 where none are given.
    fn zero_points(&self, position: usize, scales: usize) -> Result<Vec<i64>, Trouble> {
        let given = match self.optional(position) {
            None => vec![0; scales],
            Some(Operand::Quantized(tensor)) => whole(tensor),
            Some(_) => self.numbers(position)?,
        };
        if given.len() == scales { Ok(given) } else { Err("its scales and zero points differ in number".into()) }
    }
}

/// Scales that stand for something.
fn sound(scales: &[f32]) -> Result<(), Trouble> {
    let positive = |scale: &f32| scale.is_finite() && *scale > 0.0;
    if !scales.is_empty() && scales.iter().all(positive) {
        Ok(())
    } else {
        Err("its scales are not numbers above 0".into())
    }
}

fn whole(tensor: &Tensor) -> Vec<i64> {
    match tensor.data() {
        Data::I8(values) => values.iter().copied().map(i64::from).collect(),
        Data::U8(values) => values.iter().copied().map(i64::from).collect(),
        Data::I64(values) => values.clone(),
        _ => Vec::new(),
    }
}
