//! QuantizeLinear and DequantizeLinear: the graph keeps real numbers, and what is quantized is kept beside it.

use std::sync::Arc;

use super::{Lowered, Lowering, Trouble};
use crate::codec::onnx::import::Operand;
use crate::graph::quantization::QParams;
use crate::tensor::{Data, Tensor};

impl Lowering<'_> {
    pub(super) fn quantize_linear(&mut self) -> Lowered {
        let input = self.running(0)?;
        let scales = self.tensor(1)?;
        let (Some(&[scale]), &[zero_point]) = (scales.as_f32(), self.zero_points(2, 1)?.as_slice()) else {
            return Err("only one scale and zero point per activation are supported".into());
        };
        let zero_point = i32::try_from(zero_point).map_err(|_| "its zero point is no byte")?;
        sound(&[scale])?;
        self.import.activations.insert(input, QParams { scale: f64::from(scale), zero_point });
        Ok(vec![Operand::Node(input)])
    }

    pub(super) fn dequantize_linear(&mut self) -> Lowered {
        let (shape, integers) = match self.operand(0)? {
            Operand::Node(id) => return Ok(vec![Operand::Node(*id)]),
            Operand::Ints(_) => (vec![self.numbers(0)?.len()], self.numbers(0)?),
            Operand::Quantized(tensor) => (tensor.shape().to_vec(), whole(tensor)),
            Operand::Float { .. } => return Err("it takes real numbers".into()),
        };
        let scales = self.tensor(1)?;
        let scales = scales.as_f32().unwrap_or(&[]);
        let zero_points = self.zero_points(2, scales.len())?;
        let leading = self.attributes.int("axis").unwrap_or(1) == 0 || shape.len() < 2;
        sound(scales)?;
        let per_scale = integers.len().div_ceil(scales.len()).max(1);
        if scales.len() > 1 && (!leading || shape.first() != Some(&scales.len())) {
            return Err("weights need one scale, or one for each first index".into());
        }
        let real =
            |(at, &q): (usize, &i64)| q.wrapping_sub(zero_points[at / per_scale]) as f32 * scales[at / per_scale];
        let values = integers.iter().enumerate().map(real).collect();
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
