//! Typed access to a node's attributes.

use super::proto::{AttributeProto, NodeProto, TensorProto};

/// No kernel, stride or padding of a real network comes near it; larger ones are refused before
/// anything is multiplied.
const LARGEST: usize = 1 << 16;

/// An ONNX size as a number, if it is not negative and not absurd.
pub(super) fn size(raw: i64) -> Option<usize> {
    usize::try_from(raw).ok().filter(|&size| size <= LARGEST)
}

pub(super) struct Attributes<'a>(&'a [AttributeProto]);

impl<'a> Attributes<'a> {
    pub(super) fn of(node: &'a NodeProto) -> Self {
        Self(&node.attribute)
    }

    fn get(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.get(name).map(|attribute| attribute.i)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.int(name).unwrap_or(0) != 0
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.get(name).map_or(default, |attribute| attribute.f)
    }

    pub(super) fn float_opt(&self, name: &str) -> Option<f32> {
        self.get(name).map(|attribute| attribute.f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.get(name).map(|attribute| attribute.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.get(name).map(|attribute| attribute.floats.as_slice())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|attribute| String::from_utf8_lossy(&attribute.s).into_owned())
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.get(name).and_then(|attribute| attribute.t.as_ref())
    }

    /// A list of exactly two sizes, `[height, width]`, or the default where it is absent.
    pub(super) fn pair(&self, name: &str, default: [usize; 2]) -> Result<[usize; 2], String> {
        let Some(values) = self.ints(name) else { return Ok(default) };
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
        match self.text("auto_pad").as_deref() {
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
        let Some(pads) = self.ints("pads") else { return Ok([0; 4]) };
        let sizes: Vec<usize> = pads.iter().filter_map(|&pad| size(pad)).collect();
        match *sizes.as_slice() {
            [top, left, bottom, right] => Ok([left, right, top, bottom]),
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
