//! Scale and zero point from a range, with the arithmetic of PyTorch's observers
//! (`UniformQuantizationObserverBase._calculate_qparams`), in `f32`.

use crate::graph::quantization::QParams;

/// The integers that a tensor may take, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub min: i32,
    pub max: i32,
}

/// PyTorch's symmetric signed 8-bit range for weights.
pub const WEIGHT_RANGE: Range = Range { min: -128, max: 127 };

/// Affine parameters that cover `[low, high]` and represent zero exactly.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "clamped to the integer range first")]
pub fn affine(low: f32, high: f32, range: Range) -> QParams {
    let (low, high) = (low.min(0.0), high.max(0.0));
    let scale = ((high - low) / (range.max - range.min) as f32).max(f32::EPSILON);
    let zero_point = f64::from(range.min) - f64::from((low / scale).round_ties_even());
    let zero_point = zero_point.clamp(f64::from(range.min), f64::from(range.max));
    QParams { scale: f64::from(scale), zero_point: zero_point as i32 }
}

/// Symmetric scale of weights in `[low, high]`; the zero point is zero.
#[must_use]
pub fn symmetric(low: f32, high: f32, range: Range) -> f32 {
    let reach = (-low.min(0.0)).max(high.max(0.0));
    (reach / ((range.max - range.min) as f32 / 2.0)).max(f32::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affine_covers_zero_and_stays_in_range() {
        let range = Range { min: 0, max: 127 };
        let only_positive = affine(1.0, 2.0, range);
        assert_eq!((only_positive.zero_point, only_positive.scale), (0, f64::from(2.0_f32 / 127.0)));
        assert_eq!(affine(-2.0, -1.0, range).zero_point, 127);
        assert_eq!(affine(0.0, 0.0, range).scale, f64::from(f32::EPSILON));
    }
}
