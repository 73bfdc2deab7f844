//! A plain host tensor: a shape and a typed buffer of exactly that many elements. No device, no
//! arithmetic; engines copy in and out of it.

use std::fmt;

use half::{bf16, f16};

/// The buffer of a [`Tensor`], in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I64(Vec<i64>),
}

impl Data {
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::F16(v) => v.len(),
            Self::BF16(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I64(v) => v.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Little-endian bytes, as safetensors and TorchScript archives store them.
    #[must_use]
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::BF16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I8(v) => v.iter().map(|x| x.cast_unsigned()).collect(),
            Self::U8(v) => v.clone(),
            Self::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

/// A dense row-major tensor.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

/// A shape and a buffer that do not belong together.
#[derive(Debug, thiserror::Error)]
#[error("shape {shape:?} does not hold {elements} elements")]
pub struct WrongSize {
    pub shape: Vec<usize>,
    pub elements: usize,
}

impl Tensor {
    pub fn new(shape: Vec<usize>, data: Data) -> Result<Self, WrongSize> {
        let wanted = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        if wanted == Some(data.len()) {
            Ok(Self { shape, data })
        } else {
            Err(WrongSize { elements: data.len(), shape })
        }
    }

    pub fn f32(shape: Vec<usize>, data: Vec<f32>) -> Result<Self, WrongSize> {
        Self::new(shape, Data::F32(data))
    }

    /// A one-dimensional `f32` tensor.
    #[must_use]
    pub fn vector(data: Vec<f32>) -> Self {
        Self { shape: vec![data.len()], data: Data::F32(data) }
    }

    /// `f32` tensors of equal rows, one after the other.
    pub fn stacked(mut parts: Vec<Self>) -> Result<Self, WrongSize> {
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let rows = parts.iter().map(|part| part.shape.first().copied().unwrap_or(0)).sum();
        let row = parts.first().map_or(&[][..], |part| part.shape.get(1..).unwrap_or_default());
        let shape = std::iter::once(rows).chain(row.iter().copied()).collect();
        let values = parts.iter().flat_map(|part| part.as_f32().unwrap_or(&[])).copied().collect();
        Self::f32(shape, values)
    }

    /// `count` rows of an `f32` tensor, from row `start` on; both end where the tensor does.
    #[must_use]
    pub fn rows(&self, start: usize, count: usize) -> Self {
        let size: usize = self.shape.iter().skip(1).product();
        let rows = self.shape.first().copied().unwrap_or(0);
        let (start, end) = (start.min(rows), start.saturating_add(count).min(rows));
        let values = self.as_f32().map(|values| values[start * size..end * size].to_vec()).unwrap_or_default();
        let shape = std::iter::once(end - start).chain(self.shape.iter().skip(1).copied()).collect();
        Self { shape, data: Data::F32(values) }
    }

    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    #[must_use]
    pub const fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, where the tensor holds `f32`.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The rows of a tensor seen as `shape[0]` rows of equal length.
    pub fn f32_rows(&self) -> impl Iterator<Item = &[f32]> {
        let rows = self.shape.first().copied().unwrap_or(1).max(1);
        let elements = self.as_f32().unwrap_or(&[]);
        elements.chunks((elements.len() / rows).max(1))
    }
}

/// Shapes only: a failing assertion must not print a million numbers.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.data {
            Data::F32(_) => "f32",
            Data::F64(_) => "f64",
            Data::F16(_) => "f16",
            Data::BF16(_) => "bf16",
            Data::I8(_) => "i8",
            Data::U8(_) => "u8",
            Data::I64(_) => "i64",
        };
        write!(f, "{kind}{:?}", self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_stacked() {
        let part = |rows: usize, first: f32| Tensor::f32(vec![rows, 2], vec![first; rows * 2]).unwrap();
        let stacked = Tensor::stacked(vec![part(1, 1.0), part(2, 2.0)]).unwrap();
        assert_eq!(stacked, Tensor::f32(vec![3, 2], vec![1.0, 1.0, 2.0, 2.0, 2.0, 2.0]).unwrap());
        assert_eq!(Tensor::stacked(vec![part(2, 5.0)]).unwrap(), part(2, 5.0));
        assert!(Tensor::stacked(vec![part(1, 1.0), Tensor::vector(vec![1.0; 3])]).is_err());
    }

    #[test]
    fn a_shape_that_overflows_or_disagrees_is_refused() {
        assert!(Tensor::f32(vec![2, 3], vec![0.0; 6]).is_ok());
        assert!(Tensor::f32(vec![2, 3], vec![0.0; 5]).is_err());
        assert!(Tensor::f32(vec![usize::MAX, 2], vec![0.0; 6]).is_err());
    }
}
