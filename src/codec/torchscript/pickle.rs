//! The few pickle opcodes (protocol 2) that describe a TorchScript module's state: a tuple of
//! tensors whose data lie in files of their own.

use crate::tensor::{Data, Tensor};

const PROTO_2: &[u8] = b"\x80\x02";
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
const REDUCE: u8 = b'R';
const PERSISTENT_ID: u8 = b'Q';
const BUILD: u8 = b'b';
const STOP: u8 = b'.';
const FALSE: u8 = b'\x89';
const EMPTY_TUPLE: u8 = b')';
const NEW_OBJECT: u8 = b'\x81';

/// A module instance whose `__setstate__` receives `tensors` as a tuple.
pub(super) fn module(class: &str, tensors: &[Tensor]) -> Vec<u8> {
    let mut out = PROTO_2.to_vec();
    global(&mut out, "__torch__", class);
    out.extend([EMPTY_TUPLE, NEW_OBJECT, MARK]);
    for (key, tensor) in tensors.iter().enumerate() {
        stored_tensor(&mut out, key, tensor);
    }
    out.extend([TUPLE, BUILD, STOP]);
    out
}

/// An empty tuple: the module has no constants outside its code.
pub(super) fn no_constants() -> Vec<u8> {
    [PROTO_2, &[EMPTY_TUPLE, STOP]].concat()
}

/// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`.
fn stored_tensor(out: &mut Vec<u8>, key: usize, tensor: &Tensor) {
    global(out, "torch._utils", "_rebuild_tensor_v2");
    out.extend([MARK, MARK]);
    text(out, "storage");
    global(out, "torch", storage_class(tensor.data()));
    text(out, &key.to_string());
    text(out, "cpu");
    int(out, tensor.data().len());
    out.extend([TUPLE, PERSISTENT_ID]);
    int(out, 0);
    int_tuple(out, tensor.shape().iter().copied());
    int_tuple(out, strides(tensor.shape()).into_iter());
    out.push(FALSE);
    global(out, "collections", "OrderedDict");
    out.extend([EMPTY_TUPLE, REDUCE, TUPLE, REDUCE]);
}

const fn storage_class(data: &Data) -> &'static str {
    match data {
        Data::F32(_) => "FloatStorage",
        Data::F64(_) => "DoubleStorage",
        Data::F16(_) => "HalfStorage",
        Data::BF16(_) => "BFloat16Storage",
        Data::I8(_) => "CharStorage",
        Data::U8(_) => "ByteStorage",
        Data::I64(_) => "LongStorage",
    }
}

/// Row-major strides in elements.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

fn global(out: &mut Vec<u8>, module: &str, name: &str) {
    out.extend(format!("c{module}\n{name}\n").bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(text.bytes());
}

/// A whole number: four bytes where it fits, eight where it must.
fn int(out: &mut Vec<u8>, value: usize) {
    if let Ok(small) = i32::try_from(value) {
        out.push(b'J');
        out.extend(small.to_le_bytes());
    } else {
        out.extend([b'\x8a', 8]);
        out.extend((value as i64).to_le_bytes());
    }
}

fn int_tuple(out: &mut Vec<u8>, values: impl Iterator<Item = usize>) {
    out.push(MARK);
    values.for_each(|value| int(out, value));
    out.push(TUPLE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_row_major() {
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(strides(&[]), [0; 0]);
    }
}
