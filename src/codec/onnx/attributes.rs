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

    /// Padding as `[left, right, top, bottom]`, from `pads` and `auto_pad`.
    pub(super) fn padding(&self) -> Result<[usize; 4], String> {
        match self.text("auto_pad").as_deref() {
            None | Some("" | "NOTSET") => {}
            Some("VALID") => return Ok([0; 4]),
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
