//! The sizes that preprocessing leads to.

use crate::base::explain::{Cause, Explain};
use crate::manifest::Preprocess;

/// Images that cannot become one batch.
#[derive(Debug, thiserror::Error)]
#[error("cannot preprocess the images: {0}")]
pub struct PreprocessError(pub String);

impl Explain for PreprocessError {
    fn class(&self) -> Cause {
        Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        Some("check `dataset.preprocess` against the model's input".into())
    }
}

/// The `[height, width]` that an image of that size is resized to: exactly what `resize` says, or
/// with the shorter side as `resize_shorter_side` says and the longer in proportion, rounded down
/// (torchvision's `_compute_resized_output_size`).
#[must_use]
pub fn resized(settings: &Preprocess, height: usize, width: usize) -> [usize; 2] {
    match (settings.resize, settings.resize_shorter_side) {
        (Some(size), _) => size,
        (None, Some(side)) if height <= width => [side, side * width / height.max(1)],
        (None, Some(side)) => [side * height / width.max(1), side],
        (None, None) => [height, width],
    }
}

/// Where a crop of `length` begins in `whole`: the middle, halves rounded to even, as Python rounds.
#[must_use]
pub const fn crop_start(whole: usize, length: usize) -> usize {
    let rest = whole.saturating_sub(length);
    let half = rest / 2;
    if rest % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// The `[height, width]` that an image of that size ends up with.
pub fn output_size(settings: &Preprocess, height: usize, width: usize) -> Result<[usize; 2], PreprocessError> {
    let [height, width] = resized(settings, height, width);
    match settings.center_crop {
        None => Ok([height, width]),
        Some([crop_height, crop_width]) if crop_height <= height && crop_width <= width => {
            Ok([crop_height, crop_width])
        }
        Some([crop_height, crop_width]) => Err(PreprocessError(format!(
            "`center_crop` asks for {crop_height} × {crop_width} of an image of {height} × {width}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(resize: Option<[usize; 2]>, shorter: Option<usize>, crop: Option<[usize; 2]>) -> Preprocess {
        Preprocess {
            resize,
            resize_shorter_side: shorter,
            center_crop: crop,
            scale: crate::manifest::PixelScale::Unit,
            grayscale: false,
            exif_orientation: false,
            resize_by: None,
            interpolation: crate::manifest::Interpolation::Bilinear,
            antialias: false,
            mean: vec![0.0],
            std: vec![1.0],
        }
    }

    #[test]
    fn sizes_are_those_of_torchvision() {
        assert_eq!(resized(&settings(None, Some(256), None), 375, 500), [256, 341]);
        assert_eq!(resized(&settings(None, Some(256), None), 500, 375), [341, 256]);
        assert_eq!(resized(&settings(Some([7, 9]), None, None), 500, 375), [7, 9]);
        assert_eq!(output_size(&settings(None, Some(256), Some([224, 224])), 375, 500).unwrap(), [224, 224]);
        assert!(output_size(&settings(None, None, Some([224, 224])), 100, 500).is_err());
        // Python: round(0.5) = 0, round(1.5) = 2, round(2.5) = 2.
        assert_eq!([crop_start(5, 4), crop_start(7, 4), crop_start(9, 4), crop_start(10, 4)], [0, 2, 2, 3]);
    }
}
