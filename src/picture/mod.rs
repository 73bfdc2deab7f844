//! A picture: decoded from its file, known again by its pixels, and made the numbers that a network takes.

mod arithmetic;
pub mod decode;
mod fingerprint;
mod pillow;
mod preprocess;

pub use arithmetic::{TensorFilter, Threads, fitting, preprocess};
pub use fingerprint::{ALIKE, Fingerprint};
pub use pillow::resize;
pub use preprocess::{PreprocessError, crop_start, output_size, resized};

/// Decoded pixels, channel by channel, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// `channels · height · width` values.
    pub pixels: Vec<u8>,
    /// The value that stands for full intensity.
    pub full: u8,
}

impl Image {
    /// One channel of three, as Pillow's `convert("L")` has it: `(19595 R + 38470 G + 7471 B + 2^15) / 2^16` (ITU-R 601-2).
    #[must_use]
    pub fn gray(&self) -> Self {
        let size = self.height * self.width;
        let [red, green, blue] = [0, 1, 2].map(|channel| self.pixels.get(channel * size..(channel + 1) * size));
        let (Some(red), Some(green), Some(blue)) = (red, green, blue) else { return self.clone() };
        let one = |((r, g), b): ((&u8, &u8), &u8)| {
            let sum = 19_595 * u32::from(*r) + 38_470 * u32::from(*g) + 7_471 * u32::from(*b) + (1 << 15);
            u8::try_from(sum >> 16).unwrap_or(u8::MAX)
        };
        let pixels = red.iter().zip(green).zip(blue).map(one).collect();
        Self { channels: 1, pixels, ..*self }
    }
}

/// What a look at an image tells without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// `[channels, height, width]`, as it will be decoded.
    pub shape: [usize; 3],
    /// Whether EXIF says that it is to be turned or mirrored for a viewer.
    pub turned: bool,
}

impl Look {
    /// Of an image that says nothing of its orientation.
    #[must_use]
    pub const fn plain(shape: [usize; 3]) -> Self {
        Self { shape, turned: false }
    }
}
