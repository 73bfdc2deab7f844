//! Weights to 8-bit integers, per output channel: PyTorch's `PerChannelMinMaxObserver` and
//! `quantize_per_channel`.

use super::qparams::{WEIGHT_RANGE, symmetric};
use crate::graph::quantization::IntWeight;
use crate::tensor::{Data, Tensor};

/// Quantizes a float weight whose first dimension is the output channel; `None` unless `f32`.
#[must_use]
pub fn per_channel(weight: &Tensor) -> Option<IntWeight> {
    weight.as_f32()?;
    let mut values = Vec::with_capacity(weight.data().len());
    let mut scales = Vec::new();
    for row in weight.f32_rows() {
        let (low, high) = row.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &w| (l.min(w), h.max(w)));
        let scale = symmetric(low, high, WEIGHT_RANGE);
        values.extend(row.iter().map(|&w| quantize(w, scale)));
        scales.push(f64::from(scale));
    }
    let values = Tensor::new(weight.shape().to_vec(), Data::I8(values)).ok()?;
    Some(IntWeight { values, scales })
}

/// Multiplies by the reciprocal, as FBGEMM does: dividing would round some halves the other way.
#[expect(clippy::cast_possible_truncation, reason = "clamped to i8 first")]
fn quantize(value: f32, scale: f32) -> i8 {
    let scaled = (value * (1.0 / scale)).round_ties_even();
    scaled.clamp(WEIGHT_RANGE.min as f32, WEIGHT_RANGE.max as f32) as i8
}

/// Signal-to-quantization-noise ratio of a weight in decibels, `10·log₁₀(Σw² / Σ(w − ŵ)²)`;
/// `None` where there is no signal or no noise.
#[must_use]
pub fn sqnr_db(weight: &Tensor, quantized: &IntWeight) -> Option<f64> {
    let Data::I8(integers) = quantized.values.data() else { return None };
    let per_row = integers.len() / quantized.scales.len().max(1);
    let (mut signal, mut noise) = (0.0, 0.0);
    for ((row, ints), scale) in weight.f32_rows().zip(integers.chunks(per_row.max(1))).zip(&quantized.scales) {
        for (&w, &q) in row.iter().zip(ints) {
            let w = f64::from(w);
            signal += w * w;
            noise += (w - f64::from(q) * scale).powi(2);
        }
    }
    (signal > 0.0 && noise > 0.0).then(|| 10.0 * (signal / noise).log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_uses_its_whole_range() {
        let weight = Tensor::f32(vec![2, 2], vec![0.5, -1.0, 100.0, 0.0]).unwrap();
        let quantized = per_channel(&weight).unwrap();
        assert_eq!(quantized.values.data(), &Data::I8(vec![64, -127, 127, 0]));
        assert!(sqnr_db(&weight, &quantized).unwrap() > 30.0);
    }
}
