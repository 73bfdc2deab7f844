//! Image arithmetic with libtorch's own operators, in the order of torchvision's tensor
//! transforms: scale to 0..1, resize, crop, repeat a single channel, normalize.

use requant::manifest::{PixelScale, Preprocess};
use requant::picture::{Image, PreprocessError, TensorFilter, crop_start, fitting, resized};
use requant::tensor::Tensor;
use tch::{Kind, TchError, Tensor as TorchTensor};

use super::convert::{from_torch, pixels_to_torch};
use super::reason;

pub(super) fn preprocess(images: &[Image], settings: &Preprocess, channels: usize) -> Result<Tensor, PreprocessError> {
    let (images, _) = fitting(images, settings, channels)?;
    let filter = TensorFilter::of(settings.interpolation)?;
    batch(&images, settings, filter, channels)
        .and_then(|t| from_torch(&t))
        .map_err(|error| PreprocessError(reason(&error)))
}

fn batch(
    images: &[Image],
    settings: &Preprocess,
    filter: TensorFilter,
    channels: usize,
) -> Result<TorchTensor, TchError> {
    let same =
        |a: &Image, b: &Image| (a.channels, a.height, a.width, a.full) == (b.channels, b.height, b.width, b.full);
    // Images of one size go through as one tensor; the operators treat images independently.
    let placed = if images.windows(2).all(|pair| same(&pair[0], &pair[1])) {
        place(images, settings, filter, channels)?
    } else {
        let each = images.iter().map(|image| place(std::slice::from_ref(image), settings, filter, channels));
        TorchTensor::f_cat(&each.collect::<Result<Vec<_>, _>>()?, 0)?
    };
    normalize(&placed, settings)
}

/// Images of one size, scaled, resized, cropped and with the model's channels.
fn place(
    images: &[Image],
    settings: &Preprocess,
    filter: TensorFilter,
    channels: usize,
) -> Result<TorchTensor, TchError> {
    let Some(first) = images.first() else { return Err(TchError::Shape("an empty batch".into())) };
    let pixels = images.iter().map(|image| image.pixels.as_slice()).collect::<Vec<_>>().concat();
    let shape = [images.len(), first.channels, first.height, first.width];
    let numbers = pixels_to_torch(&pixels, &shape)?.f_to_kind(Kind::Float)?;
    let scaled = match settings.scale {
        PixelScale::Unit => numbers.f_div_scalar(i64::from(first.full))?,
        PixelScale::Bytes if first.full == u8::MAX => numbers,
        PixelScale::Bytes => numbers.f_mul_scalar(i64::from(u8::MAX))?.f_div_scalar(i64::from(first.full))?,
    };
    let size = resized(settings, first.height, first.width);
    let resized = match settings.scale {
        _ if size == [first.height, first.width] => scaled,
        PixelScale::Unit => resize(&scaled, settings, filter, size)?,
        // Bytes stay bytes, as torchvision resizes a tensor of them.
        PixelScale::Bytes => resize(&scaled, settings, filter, size)?.f_round()?.f_clamp(0, i64::from(u8::MAX))?,
    };
    let cropped =
        match settings.center_crop {
            None => resized,
            Some([height, width]) => resized
                .f_narrow(2, signed(crop_start(size[0], height)), signed(height))?
                .f_narrow(3, signed(crop_start(size[1], width)), signed(width))?,
        };
    let mut size = cropped.size();
    size[1] = signed(channels);
    cropped.f_expand(&size, false)
}

fn resize(
    scaled: &TorchTensor,
    settings: &Preprocess,
    filter: TensorFilter,
    size: [usize; 2],
) -> Result<TorchTensor, TchError> {
    let size = size.map(signed);
    match (filter, settings.antialias) {
        (TensorFilter::Bilinear, false) => scaled.f_upsample_bilinear2d(size, false, None, None),
        (TensorFilter::Bilinear, true) => scaled.f_internal_upsample_bilinear2d_aa(size, false, None, None),
        (TensorFilter::Bicubic, false) => scaled.f_upsample_bicubic2d(size, false, None, None),
        (TensorFilter::Bicubic, true) => scaled.f_internal_upsample_bicubic2d_aa(size, false, None, None),
        (TensorFilter::Nearest, _) => scaled.f_upsample_nearest2d(size, None, None),
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "torchvision keeps mean and std in the image's type, f32")]
fn normalize(images: &TorchTensor, settings: &Preprocess) -> Result<TorchTensor, TchError> {
    let per_channel = |values: &[f64]| {
        let narrow: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        TorchTensor::f_from_slice(&narrow)?.f_view([-1, 1, 1])
    };
    images.f_sub(&per_channel(&settings.mean)?)?.f_div_(&per_channel(&settings.std)?)
}
