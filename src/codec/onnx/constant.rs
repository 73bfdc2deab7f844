//! Tensors stored in the file or beside it, checked before a byte of them is believed.

use half::{bf16, f16};

use super::error::ImportError;
use super::external::External;
use super::proto::TensorProto;
use crate::tensor::{Data, Tensor};

/// `data_type` codes of `onnx.proto`.
pub(super) mod kind {
    pub(in crate::codec::onnx) const FLOAT: i32 = 1;
    pub(in crate::codec::onnx) const UINT8: i32 = 2;
    pub(in crate::codec::onnx) const INT8: i32 = 3;
    pub(in crate::codec::onnx) const INT32: i32 = 6;
    pub(in crate::codec::onnx) const INT64: i32 = 7;
    pub(in crate::codec::onnx) const FLOAT16: i32 = 10;
    pub(in crate::codec::onnx) const DOUBLE: i32 = 11;
    pub(in crate::codec::onnx) const BFLOAT16: i32 = 16;
}

/// The element types that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    BF16,
    F32,
    F64,
}

impl Kind {
    pub(super) fn of(code: i32) -> Option<Self> {
        Some(match code {
            kind::FLOAT => Self::F32,
            kind::UINT8 => Self::U8,
            kind::INT8 => Self::I8,
            4 => Self::U16,
            5 => Self::I16,
            kind::INT32 => Self::I32,
            kind::INT64 => Self::I64,
            9 => Self::Bool,
            kind::FLOAT16 => Self::F16,
            kind::DOUBLE => Self::F64,
            12 => Self::U32,
            13 => Self::U64,
            kind::BFLOAT16 => Self::BF16,
            _ => return None,
        })
    }

    /// ONNX's name for the type.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::I16 => "int16",
            Self::U16 => "uint16",
            Self::I32 => "int32",
            Self::U32 => "uint32",
            Self::I64 => "int64",
            Self::U64 => "uint64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float",
            Self::F64 => "double",
        }
    }

    /// Whether it is a floating-point type.
    pub(super) const fn is_real(self) -> bool {
        match self {
            Self::F16 | Self::BF16 | Self::F32 | Self::F64 => true,
            Self::Bool
            | Self::I8
            | Self::U8
            | Self::I16
            | Self::U16
            | Self::I32
            | Self::U32
            | Self::I64
            | Self::U64 => false,
        }
    }
}

/// The name of an element type, also of one that is not read.
pub(super) fn type_name(code: i32) -> String {
    let other = match code {
        0 => "undefined",
        8 => "string",
        14 => "complex64",
        15 => "complex128",
        17 => "float8e4m3fn",
        18 => "float8e4m3fnuz",
        19 => "float8e5m2",
        20 => "float8e5m2fnuz",
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        _ => "",
    };
    match Kind::of(code) {
        Some(kind) => kind.name().to_owned(),
        None if other.is_empty() => format!("number {code}"),
        None => other.to_owned(),
    }
}

/// Reads a stored tensor: 16-bit floats widen to `f32`, `f64` stays, bytes stay, other integers become `i64`.
pub(super) fn read(proto: &TensorProto, external: &External<'_>) -> Result<(Kind, Tensor), ImportError> {
    let fail = |reason: String| ImportError::Tensor { name: proto.name.clone(), reason };
    let kind = Kind::of(proto.data_type)
        .ok_or_else(|| ImportError::ElementType { name: proto.name.clone(), kind: type_name(proto.data_type) })?;
    if proto.segment.is_some() {
        return Err(fail("it is stored in segments, which are not read".into()));
    }
    let shape = proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| fail(format!("negative size in {:?}", proto.dims)))?;
    let stored = Stored { proto, raw: external.bytes(proto)? };
    let data = stored.data(kind).map_err(&fail)?;
    Ok((kind, Tensor::new(shape, data).map_err(|error| fail(error.to_string()))?))
}

/// A tensor's numbers: in one of its lists, or as bytes.
struct Stored<'a> {
    proto: &'a TensorProto,
    raw: std::borrow::Cow<'a, [u8]>,
}

impl Stored<'_> {
    fn data(&self, kind: Kind) -> Result<Data, String> {
        let int32 = &self.proto.int32_data;
        let bits = |value: &i32| u16::try_from(*value).map_err(|_| format!("{value} is no 16-bit pattern"));
        Ok(match kind {
            Kind::F32 => Data::F32(self.numbers(&self.proto.float_data, |x| Ok(*x), f32::from_le_bytes)?),
            Kind::F64 => Data::F64(self.numbers(&self.proto.double_data, |x| Ok(*x), f64::from_le_bytes)?),
            Kind::F16 => {
                let widened = |bytes| f16::from_le_bytes(bytes).to_f32();
                Data::F32(self.numbers(int32, |x| Ok(f16::from_bits(bits(x)?).to_f32()), widened)?)
            }
            Kind::BF16 => {
                let widened = |bytes| bf16::from_le_bytes(bytes).to_f32();
                Data::F32(self.numbers(int32, |x| Ok(bf16::from_bits(bits(x)?).to_f32()), widened)?)
            }
            Kind::U8 => Data::U8(self.numbers(int32, narrow, u8::from_le_bytes)?),
            Kind::I8 => Data::I8(self.numbers(int32, narrow, i8::from_le_bytes)?),
            Kind::Bool => {
                let flag =
                    |x: i64| if matches!(x, 0 | 1) { Ok(x) } else { Err(format!("{x} is neither true nor false")) };
                let bytes = self.numbers(int32, narrow, u8::from_le_bytes)?;
                Data::I64(bytes.into_iter().map(|x| flag(i64::from(x))).collect::<Result<_, _>>()?)
            }
            Kind::I16 => wide(self.numbers(int32, narrow, i16::from_le_bytes)?),
            Kind::U16 => wide(self.numbers(int32, narrow, u16::from_le_bytes)?),
            Kind::I32 => wide(self.numbers(int32, narrow, i32::from_le_bytes)?),
            Kind::U32 => wide(self.numbers(&self.proto.uint64_data, narrow, u32::from_le_bytes)?),
            Kind::I64 => Data::I64(self.numbers(&self.proto.int64_data, |x| Ok(*x), i64::from_le_bytes)?),
            Kind::U64 => {
                let values = self.numbers(&self.proto.uint64_data, |x| Ok(*x), u64::from_le_bytes)?;
                let count = |x: u64| i64::try_from(x).map_err(|_| format!("{x} is beyond 63 bits"));
                Data::I64(values.into_iter().map(count).collect::<Result<_, _>>()?)
            }
        })
    }

    fn numbers<L, T, const N: usize>(
        &self,
        listed: &[L],
        own: impl Fn(&L) -> Result<T, String>,
        decode: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, String> {
        match (listed, self.raw.as_chunks::<N>()) {
            (listed, ([], [])) => listed.iter().map(own).collect(),
            ([], (whole, [])) => Ok(whole.iter().map(|bytes| decode(*bytes)).collect()),
            ([], (_, rest)) => Err(format!("its last number has {} of {N} bytes", rest.len())),
            _ => Err("it is stored twice, as bytes and as a list".into()),
        }
    }
}

fn narrow<W: Copy + std::fmt::Display, T: TryFrom<W>>(value: &W) -> Result<T, String> {
    T::try_from(*value).map_err(|_| format!("{value} is not a number of its type"))
}

fn wide<T: Into<i64>>(values: Vec<T>) -> Data {
    Data::I64(values.into_iter().map(Into::into).collect())
}
