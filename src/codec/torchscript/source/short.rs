//! Floating point of 16 bits: how tensors are rounded to it, and what of an operator's own numbers it can hold.

use half::{bf16, f16};

use crate::codec::torchscript::Short;
use crate::graph::op::{Layout, Unary};
use crate::tensor::{Data, Tensor};

impl Short {
    /// TorchScript's number for the type.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Fp16 => 5,
            Self::Bf16 => 15,
        }
    }

    /// FP32 rounded to the nearest, ties to even; other tensors as they are.
    pub(super) fn rounded(self, tensor: Tensor) -> Tensor {
        let Some(values) = tensor.as_f32() else { return tensor };
        let data = match self {
            Self::Fp16 => Data::F16(values.iter().map(|&value| f16::from_f32(value)).collect()),
            Self::Bf16 => Data::BF16(values.iter().map(|&value| bf16::from_f32(value)).collect()),
        };
        Tensor::new(tensor.shape().to_vec(), data).unwrap_or(tensor)
    }

    /// The function with its bounds brought to the largest number that there is: PyTorch refuses what the type cannot
    /// hold, infinity for a bound included.
    pub(super) fn within_bounds(self, function: Unary) -> Unary {
        let Unary::Clip { min, max } = function else { return function };
        // A bound that is infinite on the side where it changes nothing is left out.
        let held = |value: f32, unbounded: f32| if value == unbounded { value } else { self.held(value) };
        Unary::Clip { min: held(min, f32::NEG_INFINITY), max: held(max, f32::INFINITY) }
    }

    /// The same for the number that an image is padded with.
    pub(super) fn within_padding(self, layout: Layout) -> Layout {
        let Layout::Pad { amounts, value } = layout else { return layout };
        Layout::Pad { amounts, value: self.held(value) }
    }

    fn held(self, value: f32) -> f32 {
        let most = match self {
            Self::Fp16 => f16::MAX.to_f32(),
            Self::Bf16 => bf16::MAX.to_f32(),
        };
        value.clamp(-most, most)
    }
}

/// A tensor in the type of this number.
pub(super) fn to(x: &str, number: u32) -> String {
    format!("torch.to({x}, {number}, False, False, None)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_rounded_to_the_nearest() {
        let tensor = || Tensor::vector(vec![1.0 + f32::EPSILON, 70_000.0, 0.1]);
        let bits = |data: &Data| match data {
            Data::F16(values) => values.iter().map(|value| value.to_bits()).collect(),
            Data::BF16(values) => values.iter().map(|value| value.to_bits()).collect(),
            _ => Vec::new(),
        };
        assert_eq!(bits(Short::Fp16.rounded(tensor()).data()), [0x3C00, 0x7C00, 0x2E66]);
        assert_eq!(bits(Short::Bf16.rounded(tensor()).data()), [0x3F80, 0x4789, 0x3DCD]);
        let whole = Tensor::new(vec![1], Data::I64(vec![3])).unwrap();
        assert_eq!(Short::Fp16.rounded(whole.clone()), whole);
    }

    #[test]
    fn bounds_stay_within_what_the_type_holds() {
        let clip = |max| Unary::Clip { min: f32::NEG_INFINITY, max };
        assert_eq!(Short::Fp16.within_bounds(clip(1e9)), clip(65_504.0));
        let pad = |value| Layout::Pad { amounts: [0, 0, 1, 1], value };
        assert_eq!(Short::Fp16.within_padding(pad(f32::NEG_INFINITY)), pad(-65_504.0));
    }
}
