//! Image arithmetic with libtorch's own operators, in the order of torchvision's tensor
//! transforms: scale to 0..1, resize, normalize.

use tch::{Kind, TchError, Tensor as TorchTensor};

use super::convert::{from_torch, pixels_to_torch};
use super::reason;
use requant::dataset::{Image, ImageArithmetic, PreprocessError};
use requant::manifest::{Interpolation, Preprocess};
use requant::tensor::Tensor;

pub(super) struct TorchArithmetic;

impl ImageArithmetic for TorchArithmetic {
    fn preprocess(&self, images: &[Image], settings: &Preprocess, channels: usize) -> Result<Tensor, PreprocessError> {
        if settings.mean.len() != channels {
            let given = settings.mean.len();
            return Err(PreprocessError(format!("`mean` and `std` have {given} numbers for {channels} channels")));
        }
        if let Some(image) = images.iter().find(|image| image.channels != 1 && image.channels != channels) {
            let found = image.channels;
            return Err(PreprocessError(format!("they have {found} channels, and the model takes {channels}")));
        }
        let size = |image: &Image| (image.height, image.width);
        if let Some(other) =
            images.iter().find(|image| size(image) != size(&images[0])).filter(|_| settings.resize.is_none())
        {
            let ((h, w), (oh, ow)) = (size(&images[0]), size(other));
            return Err(PreprocessError(format!(
                "they differ in size, {h} × {w} and {oh} × {ow}, and `resize` is not set"
            )));
        }
        batch(images, settings, channels).and_then(|t| from_torch(&t)).map_err(|error| PreprocessError(reason(&error)))
    }
}

fn batch(images: &[Image], settings: &Preprocess, channels: usize) -> Result<TorchTensor, TchError> {
    let same =
        |a: &Image, b: &Image| (a.channels, a.height, a.width, a.full) == (b.channels, b.height, b.width, b.full);
    // Images of one size go through as one tensor; the operators treat images independently.
    let resized = if images.windows(2).all(|pair| same(&pair[0], &pair[1])) {
        resize(images, settings)?
    } else {
        let each = images.iter().map(|image| resize(std::slice::from_ref(image), settings));
        TorchTensor::f_cat(&each.collect::<Result<Vec<_>, _>>()?, 0)?
    };
    let mut size = resized.size();
    size[1] = i64::try_from(channels).unwrap_or(i64::MAX);
    normalize(&resized.f_expand(&size, false)?, settings)
}

fn resize(images: &[Image], settings: &Preprocess) -> Result<TorchTensor, TchError> {
    let Some(first) = images.first() else { return Err(TchError::Shape("an empty batch".into())) };
    let pixels: Vec<u8> = images.iter().flat_map(|image| image.pixels.iter().copied()).collect();
    let shape = [images.len(), first.channels, first.height, first.width];
    let scaled = pixels_to_torch(&pixels, &shape)?.f_to_kind(Kind::Float)?.f_div_scalar(i64::from(first.full))?;
    let Some([height, width]) = settings.resize else { return Ok(scaled) };
    let size = [height, width].map(|side| i64::try_from(side).unwrap_or(i64::MAX));
    match (settings.interpolation, settings.antialias) {
        (Interpolation::Bilinear, false) => scaled.f_upsample_bilinear2d(size, false, None, None),
        (Interpolation::Bilinear, true) => scaled.f_internal_upsample_bilinear2d_aa(size, false, None, None),
        (Interpolation::Bicubic, false) => scaled.f_upsample_bicubic2d(size, false, None, None),
        (Interpolation::Bicubic, true) => scaled.f_internal_upsample_bicubic2d_aa(size, false, None, None),
        (Interpolation::Nearest, _) => scaled.f_upsample_nearest2d(size, None, None),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "torchvision keeps mean and std in the image's type, f32")]
fn normalize(images: &TorchTensor, settings: &Preprocess) -> Result<TorchTensor, TchError> {
    let per_channel = |values: &[f64]| {
        let narrow: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        TorchTensor::f_from_slice(&narrow)?.f_view([-1, 1, 1])
    };
    images.f_sub(&per_channel(&settings.mean)?)?.f_div(&per_channel(&settings.std)?)
}
