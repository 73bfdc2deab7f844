//! The image input of a file: its type, its order of dimensions, its sizes.

use super::Pixels;
use super::attributes::size;
use super::constant::{Kind, type_name};
use super::error::{ImportError, InputTrouble};
use super::proto::{Dimension, TensorType, ValueInfo};
use crate::graph::{Dim, Shape};

/// What a file says of its images.
pub(super) struct Images {
    pub(super) kind: Kind,
    /// The batch size that the file was exported with, where it names one.
    pub(super) batch: Option<usize>,
    /// `[batch, channels, height, width]`; whatever the file says of the batch, it stays open.
    pub(super) shape: Shape,
    pub(super) pixels: Pixels,
}

/// How many channels images have.
const CHANNELS: [usize; 3] = [1, 3, 4];

pub(super) fn of(input: &ValueInfo) -> Result<Images, ImportError> {
    let tensor = tensor_of(input)?;
    let kind = Kind::of(tensor.elem_type).filter(|kind| kind.is_real() || *kind == Kind::U8);
    let kind = kind.ok_or_else(|| refused(input, InputTrouble::Type))?;
    let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice()).unwrap_or_default();
    let [batch, rest @ ..] = dims else { return Err(refused(input, InputTrouble::Rank)) };
    let &[a, b, c] = rest.iter().collect::<Vec<_>>().as_slice() else { return Err(refused(input, InputTrouble::Rank)) };
    let known = [a, b, c].map(positive);
    let [Some(a), Some(b), Some(c)] = known else { return Err(refused(input, InputTrouble::Unknown)) };
    // A number of channels comes first, or it comes last; where both could be one, it comes first.
    let channels_last = !CHANNELS.contains(&a) && CHANNELS.contains(&c);
    let [channels, height, width] = if channels_last { [c, a, b] } else { [a, b, c] }.map(Dim::Known);
    let pixels = Pixels { channels_last, bytes: kind == Kind::U8 };
    Ok(Images { kind, batch: positive(batch), shape: vec![Dim::Batch, channels, height, width], pixels })
}

fn positive(dim: &Dimension) -> Option<usize> {
    size(dim.dim_value).filter(|&size| size > 0)
}

pub(super) fn tensor_of(input: &ValueInfo) -> Result<&TensorType, ImportError> {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    tensor.ok_or_else(|| refused(input, InputTrouble::Type))
}

pub(super) fn refused(input: &ValueInfo, trouble: InputTrouble) -> ImportError {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let found = tensor.map_or_else(
        || "not a tensor".to_owned(),
        |tensor| {
            let size = |dim: &Dimension| match (dim.dim_param.as_str(), dim.dim_value) {
                ("", 0) => "?".to_owned(),
                ("", size) => size.to_string(),
                (name, _) => name.to_owned(),
            };
            let sizes: Vec<String> = tensor.shape.iter().flat_map(|shape| &shape.dim).map(size).collect();
            format!("{} [{}]", type_name(tensor.elem_type), sizes.join(", "))
        },
    );
    ImportError::Input { name: input.name.clone(), found, trouble }
}
