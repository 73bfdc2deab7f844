//! Typed tensors that are known while a file is read: shapes, indices, masks and small constants.
//! The batch size stays a symbol, as one element of an integer tensor.

use half::{bf16, f16};

use crate::codec::onnx::constant::Kind;
use crate::tensor::{Data, Tensor};

/// Larger constants are weights: they are moved, and never computed with.
pub(in crate::codec::onnx) const MOST_ELEMENTS: usize = 1 << 16;

/// An element of a shape computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::codec::onnx) enum Int {
    Batch,
    Known(i64),
}

/// The elements of a value, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::codec::onnx) enum Elements {
    /// Of an integer kind, or 0 and 1 for `bool`.
    Ints(Vec<Int>),
    /// Of a floating-point kind, each a number that this kind can hold.
    Reals(Vec<f64>),
}

/// A tensor that is known now, but for the batch size.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::codec::onnx) struct Value {
    pub(in crate::codec::onnx) kind: Kind,
    pub(in crate::codec::onnx) shape: Vec<usize>,
    pub(in crate::codec::onnx) elements: Elements,
}

impl Value {
    pub(super) fn ints(kind: Kind, shape: Vec<usize>, values: Vec<Int>) -> Self {
        Self { kind, shape, elements: Elements::Ints(values) }
    }

    pub(super) fn reals(kind: Kind, shape: Vec<usize>, values: Vec<f64>) -> Self {
        Self { kind, shape, elements: Elements::Reals(values) }
    }

    /// A vector of 64-bit integers.
    pub(in crate::codec::onnx) fn dims(values: Vec<Int>) -> Self {
        Self::ints(Kind::I64, vec![values.len()], values)
    }

    /// A stored tensor, if it is small enough to be computed with.
    pub(in crate::codec::onnx) fn of_tensor(kind: Kind, tensor: &Tensor) -> Option<Self> {
        if tensor.data().len() > MOST_ELEMENTS {
            return None;
        }
        let whole = |values: &mut dyn Iterator<Item = i64>| Elements::Ints(values.map(Int::Known).collect());
        let elements = match tensor.data() {
            Data::I64(values) => whole(&mut values.iter().copied()),
            Data::I8(values) => whole(&mut values.iter().copied().map(i64::from)),
            Data::U8(values) => whole(&mut values.iter().copied().map(i64::from)),
            Data::F32(values) => Elements::Reals(values.iter().copied().map(f64::from).collect()),
            Data::F64(values) => Elements::Reals(values.clone()),
            Data::F16(values) => Elements::Reals(values.iter().map(|value| value.to_f64()).collect()),
            Data::BF16(values) => Elements::Reals(values.iter().map(|value| value.to_f64()).collect()),
        };
        Some(Self { kind, shape: tensor.shape().to_vec(), elements })
    }

    /// Real numbers as 32-bit floats, which is what networks are computed in here.
    pub(in crate::codec::onnx) fn as_floats(&self) -> Option<Tensor> {
        let Elements::Reals(values) = &self.elements else { return None };
        #[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest, as a cast to FLOAT does")]
        let values = values.iter().map(|&value| value as f32).collect();
        Tensor::f32(self.shape.clone(), values).ok()
    }

    /// Whole numbers as real ones, where none of them is the batch size.
    pub(in crate::codec::onnx) fn counted(&self) -> Option<Tensor> {
        let values = self.numbers()?.into_iter().map(|number| number as f32).collect();
        Tensor::f32(self.shape.clone(), values).ok()
    }

    /// The whole numbers, the batch size among them.
    pub(in crate::codec::onnx) fn whole(&self) -> Option<&[Int]> {
        match &self.elements {
            Elements::Ints(values) => Some(values),
            Elements::Reals(_) => None,
        }
    }

    /// The whole numbers, where none of them is the batch size.
    pub(in crate::codec::onnx) fn numbers(&self) -> Option<Vec<i64>> {
        let number = |int: &Int| if let Int::Known(value) = int { Some(*value) } else { None };
        self.whole()?.iter().map(number).collect()
    }

    pub(super) fn len(&self) -> usize {
        match &self.elements {
            Elements::Ints(values) => values.len(),
            Elements::Reals(values) => values.len(),
        }
    }

    /// The elements at these places, in this shape.
    pub(super) fn picked(&self, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Self {
        let elements = match &self.elements {
            Elements::Ints(values) => Elements::Ints(places.map(|place| values[place]).collect()),
            Elements::Reals(values) => Elements::Reals(places.map(|place| values[place]).collect()),
        };
        Self { kind: self.kind, shape, elements }
    }
}

impl Kind {
    /// A whole number brought into the kind's range as a conversion does: it wraps around.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "wrapping is what is meant")]
    pub(super) fn wrapped(self, value: i64) -> i64 {
        match self {
            Self::Bool => i64::from(value != 0),
            Self::I8 => i64::from(value as i8),
            Self::U8 => i64::from(value as u8),
            Self::I16 => i64::from(value as i16),
            Self::U16 => i64::from(value as u16),
            Self::I32 => i64::from(value as i32),
            Self::U32 => i64::from(value as u32),
            Self::I64 | Self::U64 | Self::F16 | Self::BF16 | Self::F32 | Self::F64 => value,
        }
    }

    /// Whether the kind can hold a whole number; of 64 bits without sign, those that requant can count.
    pub(super) fn holds(self, value: i64) -> bool {
        self.wrapped(value) == value && (self != Self::U64 || value >= 0)
    }

    /// A real number rounded to the kind. Sums, products, quotients and roots in 64 bits, rounded once more, are
    /// those of the shorter kinds: 53 bits are more than twice 24 and 2 (Figueroa, "When is double rounding
    /// innocuous?", 1995).
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is meant")]
    pub(super) fn rounded(self, value: f64) -> f64 {
        match self {
            Self::F16 => f16::from_f64(value).to_f64(),
            Self::BF16 => bf16::from_f64(value).to_f64(),
            Self::F32 => f64::from(value as f32),
            Self::Bool
            | Self::I8
            | Self::U8
            | Self::I16
            | Self::U16
            | Self::I32
            | Self::U32
            | Self::I64
            | Self::U64
            | Self::F64 => value,
        }
    }
}
