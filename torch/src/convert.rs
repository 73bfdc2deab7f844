//! Host tensors to libtorch's and back.

use std::borrow::Cow;

use tch::{Device, Kind, TchError, Tensor as TorchTensor};

use requant::tensor::{Data, Tensor};

fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect()
}

/// Of a row-major tensor.
fn strides(size: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; size.len()];
    for at in (1..size.len()).rev() {
        strides[at - 1] = strides[at] * size[at];
    }
    strides
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
    let size = sizes(tensor.shape());
    let mut own = TorchTensor::f_empty(&size, (kind, Device::Cpu))?;
    #[expect(unsafe_code, reason = "a copy on all threads, into memory that was not filled before")]
    // SAFETY: the view has as many numbers of this kind as the tensor, and ends here.
    own.f_copy_(&unsafe { TorchTensor::f_from_blob(data.as_ptr(), &size, &strides(&size), kind, Device::Cpu) }?)?;
    Ok(own)
}

pub(super) fn pixels_to_torch(pixels: &[u8], shape: &[usize]) -> Result<TorchTensor, TchError> {
    TorchTensor::f_from_data_size(pixels, &sizes(shape), Kind::Uint8)
}

/// The numbers of a float tensor, in any order: where they lie, unless it is on a device, of another kind, or has gaps.
pub(super) fn numbers(tensor: &TorchTensor) -> Result<Cow<'_, [f32]>, TchError> {
    let dense = tensor.is_contiguous() || (tensor.dim() == 4 && tensor.f_permute([0, 2, 3, 1])?.is_contiguous());
    if !dense || tensor.device() != Device::Cpu || tensor.f_kind()? != Kind::Float {
        return Ok(Cow::Owned(row_by_row(tensor)?));
    }
    if tensor.numel() == 0 {
        return Ok(Cow::Borrowed(&[]));
    }
    #[expect(unsafe_code, reason = "saves a copy of every observed value")]
    // SAFETY: a dense f32 tensor has so many numbers from its first on; they outlive this borrow of it, and
    // nothing writes to what a network gave out.
    let numbers = unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), tensor.numel()) };
    Ok(Cow::Borrowed(numbers))
}

/// Any float tensor, on any device and in any memory layout, as a row-major `f32` host tensor.
pub(super) fn from_torch(tensor: &TorchTensor) -> Result<Tensor, TchError> {
    let shape = tensor.size().into_iter().map(|d| usize::try_from(d).unwrap_or(0)).collect();
    Tensor::f32(shape, row_by_row(tensor)?).map_err(|error| TchError::Shape(error.to_string()))
}

fn row_by_row(tensor: &TorchTensor) -> Result<Vec<f32>, TchError> {
    let size = tensor.size();
    let mut values = Vec::<f32>::with_capacity(tensor.numel());
    #[expect(unsafe_code, reason = "one copy, on all threads, whatever the device, the kind and the layout")]
    // SAFETY: the vector has room for as many numbers as the tensor has, libtorch writes each of them before
    // the length says so, and its view of that memory ends here.
    unsafe {
        let room = values.as_mut_ptr().cast::<u8>();
        let mut view = TorchTensor::f_from_blob(room, &size, &strides(&size), Kind::Float, Device::Cpu)?;
        view.f_copy_(tensor)?;
        values.set_len(tensor.numel());
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    /// However a tensor lies in memory, its numbers are those of its row-major copy.
    #[test]
    fn numbers_are_those_of_the_copy() {
        // Here, because a bench takes this file in and leaves tests out.
        use super::*;

        let whole = TorchTensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).view([2, 3, 4, 5]);
        let tensors = [
            whole.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
            whole.transpose(1, 2),
            whole.narrow(2, 1, 2),
            whole.select(1, 2),
            whole.narrow(3, 0, 1).expand([2, 3, 4, 7], false),
            whole.narrow(0, 0, 0),
            whole.flatten(0, 3).get(9),
            whole.to_kind(Kind::Half),
            whole.shallow_clone(),
        ];
        let in_place: Vec<bool> =
            tensors.iter().map(|tensor| matches!(numbers(tensor).unwrap(), Cow::Borrowed(_))).collect();
        assert_eq!(in_place, [true, false, false, false, false, true, true, false, true]);
        for tensor in &tensors {
            let copy = from_torch(tensor).unwrap();
            let sorted = |values: &[f32]| {
                let mut values = values.to_vec();
                values.sort_by(f32::total_cmp);
                values
            };
            assert_eq!(sorted(&numbers(tensor).unwrap()), sorted(copy.as_f32().unwrap()), "{tensor:?}");
            let again = to_torch(&copy).unwrap();
            assert_eq!(again.size(), tensor.size());
            assert!(again.allclose(&tensor.to_kind(Kind::Float), 0.0, 0.0, false), "{tensor:?}");
        }
    }
}
