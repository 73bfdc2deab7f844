//! Host tensors to libtorch's and back.

use tch::{Kind, TchError, Tensor as TorchTensor};

use requant::tensor::{Data, Tensor};

fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect()
}

/// A view of plain numbers as bytes.
fn bytes<T: Copy>(values: &[T]) -> &[u8] {
    #[expect(unsafe_code, reason = "saves a copy of every batch")]
    // SAFETY: plain numbers have no padding, and u8 has no alignment to violate.
    unsafe {
        std::slice::from_raw_parts(values.as_ptr().cast(), std::mem::size_of_val(values))
    }
}

pub(super) fn to_torch(tensor: &Tensor) -> Result<TorchTensor, TchError> {
    let (data, kind) = match tensor.data() {
        Data::F32(v) => (bytes(v), Kind::Float),
        Data::F64(v) => (bytes(v), Kind::Double),
        Data::F16(v) => (bytes(v), Kind::Half),
        Data::BF16(v) => (bytes(v), Kind::BFloat16),
        Data::I8(v) => (bytes(v), Kind::Int8),
        Data::U8(v) => (bytes(v), Kind::Uint8),
        Data::I64(v) => (bytes(v), Kind::Int64),
    };
    TorchTensor::f_from_data_size(data, &sizes(tensor.shape()), kind)
}

pub(super) fn pixels_to_torch(pixels: &[u8], shape: &[usize]) -> Result<TorchTensor, TchError> {
    TorchTensor::f_from_data_size(pixels, &sizes(shape), Kind::Uint8)
}

/// Any float tensor, on any device and in any memory layout, as a row-major `f32` host tensor.
pub(super) fn from_torch(tensor: &TorchTensor) -> Result<Tensor, TchError> {
    let host = tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let shape: Vec<usize> = host.size().into_iter().map(|d| usize::try_from(d).unwrap_or(0)).collect();
    let elements = host.numel();
    let mut values = vec![0.0_f32; elements];
    host.f_copy_data(&mut values, elements)?;
    Tensor::f32(shape, values).map_err(|error| TchError::Shape(error.to_string()))
}
