//! Typed access to a node's attributes.

use std::cell::RefCell;

use super::proto::{AttributeProto, NodeProto, TensorProto};

/// No kernel, stride or padding of a real network comes near it; larger ones are refused before
/// anything is multiplied.
const LARGEST: usize = 1 << 16;

/// An ONNX size as a number, if it is not negative and not absurd.
pub(super) fn size(raw: i64) -> Option<usize> {
    usize::try_from(raw).ok().filter(|&size| size <= LARGEST)
}

/// `type` codes of `onnx.proto`, and what a message calls them.
mod form {
    pub(super) const FLOAT: (i32, &str) = (1, "a float");
    pub(super) const INT: (i32, &str) = (2, "an integer");
    pub(super) const STRING: (i32, &str) = (3, "a string");
    pub(super) const TENSOR: (i32, &str) = (4, "a tensor");
    pub(super) const FLOATS: (i32, &str) = (6, "a list of floats");
    pub(super) const INTS: (i32, &str) = (7, "a list of integers");
}

/// A node's attributes. Each that is there must be asked for: what nobody reads could change what is computed.
pub(super) struct Attributes<'a> {
    all: &'a [AttributeProto],
    read: RefCell<Vec<bool>>,
}

impl<'a> Attributes<'a> {
    /// Refuses attributes that are named twice, or that no operator of a network has.
    pub(super) fn of(node: &'a NodeProto) -> Result<Self, String> {
        for (place, attribute) in node.attribute.iter().enumerate() {
            let name = &attribute.name;
            if node.attribute[..place].iter().any(|earlier| earlier.name == *name) {
                return Err(format!("`{name}` is given twice"));
            }
            let foreign = attribute.g.is_some()
                || !attribute.strings.is_empty()
                || !attribute.tensors.is_empty()
                || !attribute.graphs.is_empty()
                || attribute.sparse_tensor.is_some()
                || !attribute.ref_attr_name.is_empty();
            if foreign {
                return Err(format!("`{name}` is of a type that requant does not read"));
            }
            if attribute.f.is_nan() {
                return Err(format!("`{name}` is not a number"));
            }
        }
        Ok(Self { all: &node.attribute, read: RefCell::new(vec![false; node.attribute.len()]) })
    }

    /// The attribute, if it is there and of the type that the operator gives it. Files of the first years name no type.
    fn get(&self, name: &str, (code, words): (i32, &str)) -> Result<Option<&'a AttributeProto>, String> {
        let Some(place) = self.all.iter().position(|attribute| attribute.name == name) else { return Ok(None) };
        self.read.borrow_mut()[place] = true;
        let attribute = &self.all[place];
        if attribute.r#type == code || attribute.r#type == 0 {
            Ok(Some(attribute))
        } else {
            Err(format!("`{name}` is not {words}"))
        }
    }

    /// Attributes that change nothing of what is computed at inference.
    pub(super) fn without_effect(&self, names: &[&str]) {
        let mut read = self.read.borrow_mut();
        for (attribute, read) in self.all.iter().zip(read.iter_mut()) {
            *read |= names.contains(&attribute.name.as_str());
        }
    }

    /// Whether every attribute was asked for.
    pub(super) fn all_read(&self) -> Result<(), String> {
        let read = self.read.borrow();
        let unread = self.all.iter().zip(read.iter()).find(|(_, read)| !**read);
        unread.map_or(Ok(()), |(attribute, _)| {
            Err(format!("it has the attribute `{}`, which requant does not understand", attribute.name))
        })
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, String> {
        Ok(self.get(name, form::INT)?.map(|attribute| attribute.i))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, String> {
        match self.int(name)? {
            None | Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(other) => Err(format!("`{name}` is {other}, neither 0 nor 1")),
        }
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, String> {
        Ok(self.float_opt(name)?.unwrap_or(default))
    }

    pub(super) fn float_opt(&self, name: &str) -> Result<Option<f32>, String> {
        Ok(self.get(name, form::FLOAT)?.map(|attribute| attribute.f))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, String> {
        Ok(self.get(name, form::INTS)?.map(|attribute| attribute.ints.as_slice()))
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, String> {
        Ok(self.get(name, form::FLOATS)?.map(|attribute| attribute.floats.as_slice()))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.get(name, form::STRING)?.map(|attribute| String::from_utf8_lossy(&attribute.s).into_owned()))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'a TensorProto>, String> {
        Ok(self.get(name, form::TENSOR)?.and_then(|attribute| attribute.t.as_ref()))
    }

    /// A list of exactly two sizes, `[height, width]`, or the default where it is absent.
    pub(super) fn pair(&self, name: &str, default: [usize; 2]) -> Result<[usize; 2], String> {
        let Some(values) = self.ints(name)? else { return Ok(default) };
        match values {
            [h, w] => match (size(*h), size(*w)) {
                (Some(h), Some(w)) => Ok([h, w]),
                _ => Err(format!("`{name}` is negative or absurdly large")),
            },
            _ => Err(format!("`{name}` has {} values; only two-dimensional images are supported", values.len())),
        }
    }

    /// Padding as `[left, right, top, bottom]`, from `pads` or `auto_pad`, for a window over an image
    /// of `input` `[height, width]`.
    pub(super) fn padding(&self, input: [usize; 2], window: &Window) -> Result<[usize; 4], String> {
        let same = |axis: usize| window.same(axis, input[axis]).ok_or("its window does not fit");
        let auto = self.text("auto_pad")?;
        let automatic = !matches!(auto.as_deref(), None | Some("" | "NOTSET"));
        if automatic && self.ints("pads")?.is_some_and(|pads| pads.iter().any(|&pad| pad != 0)) {
            return Err("it has both `auto_pad` and `pads`".into());
        }
        match auto.as_deref() {
            None | Some("" | "NOTSET") => {}
            Some("VALID") => return Ok([0; 4]),
            Some("SAME_UPPER") => {
                let [(top, bottom), (left, right)] = [same(0)?, same(1)?];
                return Ok([left, right, top, bottom]);
            }
            Some("SAME_LOWER") => {
                let [(bottom, top), (right, left)] = [same(0)?, same(1)?];
                return Ok([left, right, top, bottom]);
            }
            Some(other) => return Err(format!("`auto_pad = {other}` is not supported; export explicit pads")),
        }
        let Some(pads) = self.ints("pads")? else { return Ok([0; 4]) };
        let sizes: Vec<usize> = pads.iter().filter_map(|&pad| size(pad)).collect();
        match *sizes.as_slice() {
            [top, left, bottom, right] if pads.len() == 4 => Ok([left, right, top, bottom]),
            _ => Err("`pads` must be four non-negative numbers".into()),
        }
    }
}

/// A window that moves over an image; pairs are `[height, width]`.
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
}

impl Window {
    /// The smaller and the larger padding that give `ceil(size / stride)` positions, as the ONNX
    /// specification defines `auto_pad = SAME_*`.
    fn same(&self, axis: usize, size: usize) -> Option<(usize, usize)> {
        let stride = self.stride[axis];
        let positions = size.checked_add(stride)?.checked_sub(1)?.checked_div(stride)?;
        let reach = self.dilation[axis].checked_mul(self.kernel[axis].checked_sub(1)?)?.checked_add(1)?;
        let covered = positions.checked_sub(1)?.checked_mul(stride)?.checked_add(reach)?;
        let total = covered.saturating_sub(size);
        Some((total / 2, total - total / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_follows_the_specification() {
        let window = |kernel, stride| Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2] };
        assert_eq!(window(3, 2).same(0, 224), Some((0, 1)));
        assert_eq!(window(3, 1).same(0, 7), Some((1, 1)));
        assert_eq!(window(4, 1).same(0, 8), Some((1, 2)));
        assert_eq!(window(3, 0).same(0, 8), None);
    }
}
