//! The one door through which preprocessing asks an engine for arithmetic.
//!
//! Resizing in floating point differs between libraries in the last bits, and calibration turns
//! last bits into different scales. So the operations are PyTorch's own, called through this trait.

use super::Image;
use crate::manifest::Preprocess;
use crate::tensor::Tensor;

/// Arithmetic on images, as torchvision's tensor transforms do it.
pub trait ImageArithmetic {
    /// Scales images to 0..1, resizes them, repeats a single channel up to `channels`, and
    /// normalizes. Returns `f32[images, channels, height, width]`.
    fn preprocess(&self, images: &[Image], settings: &Preprocess, channels: usize) -> Result<Tensor, PreprocessError>;
}

/// Images that cannot become one batch.
#[derive(Debug, thiserror::Error)]
#[error("cannot preprocess the images: {0}")]
pub struct PreprocessError(pub String);

impl crate::base::explain::Explain for PreprocessError {
    fn class(&self) -> crate::base::explain::Cause {
        crate::base::explain::Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        Some("check `dataset.preprocess` against the model's input".into())
    }
}
