//! Tensors stored in the file, checked before a byte of them is believed.

use super::error::ImportError;
use super::proto::TensorProto;
use crate::tensor::{Data, Tensor};

/// `data_type` codes of `onnx.proto`.
pub(super) mod kind {
    pub(in crate::codec::onnx) const FLOAT: i32 = 1;
    pub(in crate::codec::onnx) const UINT8: i32 = 2;
    pub(in crate::codec::onnx) const INT8: i32 = 3;
    pub(in crate::codec::onnx) const INT32: i32 = 6;
    pub(in crate::codec::onnx) const INT64: i32 = 7;
    pub(in crate::codec::onnx) const BOOL: i32 = 9;
    pub(in crate::codec::onnx) const FLOAT16: i32 = 10;
    pub(in crate::codec::onnx) const DOUBLE: i32 = 11;
    pub(in crate::codec::onnx) const BFLOAT16: i32 = 16;
}

/// Reads a stored tensor: floats as `f32`, bytes as they are, other integers as `i64`.
pub(super) fn read(proto: &TensorProto) -> Result<Tensor, ImportError> {
    let fail = |reason: String| ImportError::Tensor { name: proto.name.clone(), reason };
    if proto.data_location != 0 {
        return Err(ImportError::External { name: proto.name.clone() });
    }
    let shape = proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| fail(format!("negative size in {:?}", proto.dims)))?;
    let data = match proto.data_type {
        kind::FLOAT => Data::F32(numbers(&proto.raw_data, &proto.float_data, f32::from_le_bytes)),
        #[expect(clippy::cast_possible_truncation, reason = "models store f64 constants only where f32 was meant")]
        kind::DOUBLE => {
            let wide = numbers(&proto.raw_data, &proto.double_data, f64::from_le_bytes);
            Data::F32(wide.iter().map(|&x| x as f32).collect())
        }
        kind::UINT8 => Data::U8(bytes(proto, |x| u8::try_from(x).ok(), u8::from_le_bytes)),
        kind::INT8 => Data::I8(bytes(proto, |x| i8::try_from(x).ok(), i8::from_le_bytes)),
        kind::INT64 => Data::I64(numbers(&proto.raw_data, &proto.int64_data, i64::from_le_bytes)),
        kind::INT32 => {
            let narrow = numbers(&proto.raw_data, &proto.int32_data, i32::from_le_bytes);
            Data::I64(narrow.into_iter().map(i64::from).collect())
        }
        kind::BOOL => {
            let flags = numbers(&proto.raw_data, &[], u8::from_le_bytes);
            let listed = proto.int32_data.iter().map(|&x| i64::from(x));
            Data::I64(flags.into_iter().map(i64::from).chain(listed).collect())
        }
        other => {
            return Err(fail(format!("element type {other} is not supported; only float and integer tensors are")));
        }
    };
    Tensor::new(shape, data).map_err(|error| fail(error.to_string()))
}

/// Bytes are listed as wider integers.
fn bytes<T: Clone>(proto: &TensorProto, narrow: fn(i32) -> Option<T>, decode: fn([u8; 1]) -> T) -> Vec<T> {
    let listed: Vec<T> = proto.int32_data.iter().filter_map(|&x| narrow(x)).collect();
    numbers(&proto.raw_data, &listed, decode)
}

fn numbers<T: Clone, const N: usize>(raw: &[u8], listed: &[T], decode: fn([u8; N]) -> T) -> Vec<T> {
    if raw.is_empty() {
        return listed.to_vec();
    }
    // A ragged tail makes the element count disagree with the shape, which the caller reports.
    raw.as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)).collect()
}
