//! The same picture, however it is stored: by its decoded pixels, and by a small gray copy of it that survives another
//! file format, another size and lossy compression.
//!
//! The copy has 8 × 8 cells, each the mean of its part of the picture. Two pictures are alike where their copies differ by
//! at most 4 of 255 in the root of the mean square. Of 300 CIFAR-10 images every copy that was compressed again (JPEG,
//! quality 50 or 75) or resized to 24 or 64 pixels stays within 3.0; the nearest two of 1 500 images are 11.8 apart. A
//! perceptual hash keeps one bit of each cell, and tells no distance in brightness.

use super::Image;
use crate::base::digest::Digest;

/// Cells along each side of a copy.
const SIDE: usize = 8;

/// Copies that differ by at most this, of 255, are of the same picture.
pub const ALIKE: f64 = 4.0;

/// A copy whose cells spread by less than this, of 255, shows too little to be told from others.
const FLAT: f64 = 2.0 * ALIKE;

/// What a picture is known by.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// Of size and pixels; gray pictures are alike whether they have one channel or three.
    pub pixels: Digest,
    cells: [u8; SIDE * SIDE],
    /// Of the cells.
    pub mean: f64,
    is_flat: bool,
}

impl Fingerprint {
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let size = image.height * image.width;
        let planes: Vec<&[u8]> = image.pixels.chunks(size.max(1)).collect();
        let shown =
            if planes.windows(2).all(|pair| pair[0] == pair[1]) { &planes[..planes.len().min(1)] } else { &planes };
        let [height, width] = [image.height, image.width].map(|side| (side as u64).to_le_bytes());
        let head: [&[u8]; 3] = [&height, &width, std::slice::from_ref(&image.full)];
        let pixels = Digest::of_parts(head.into_iter().chain(shown.iter().copied()));
        let cells = cells(shown, image);
        let mean = cells.iter().map(|&cell| f64::from(cell)).sum::<f64>() / cells.len() as f64;
        let spread = cells.iter().map(|&cell| (f64::from(cell) - mean).powi(2)).sum::<f64>() / cells.len() as f64;
        Self { pixels, cells, mean, is_flat: spread.sqrt() < FLAT }
    }

    /// Whether two copies are of the same picture.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let pairs = self.cells.iter().zip(&other.cells);
        let squares: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum();
        !self.is_flat && !other.is_flat && f64::from(squares) <= ALIKE * ALIKE * self.cells.len() as f64
    }
}

/// The mean brightness of each cell, of 255. A pixel on a border counts in each cell by its share, so that a smaller
/// picture has the same cells.
fn cells(planes: &[&[u8]], image: &Image) -> [u8; SIDE * SIDE] {
    let mut cells = [0; SIDE * SIDE];
    let whole = f64::from(image.full.max(1));
    // As a colour picture is made gray (ITU-R 601-2), so that its gray copy is like it.
    let weights: &[f64] = if planes.len() == 3 { &[0.299, 0.587, 0.114] } else { &[1.0] };
    let (rows, columns) = (parts(image.height), parts(image.width));
    for (at, cell) in cells.iter_mut().enumerate() {
        let mut sum = 0.0;
        for &(row, height) in &rows[at / SIDE] {
            for &(column, width) in &columns[at % SIDE] {
                let place = row * image.width + column;
                let values = planes.iter().zip(weights).filter_map(|(plane, weight)| Some((plane.get(place)?, weight)));
                let value: f64 = values.map(|(&value, weight)| f64::from(value) * weight).sum();
                sum += value * height * width;
            }
        }
        let area = (image.height * image.width) as f64 / (SIDE * SIDE) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of bytes is a byte")]
        let mean = (sum * 255.0 / (whole * area)).round().clamp(0.0, 255.0) as u8;
        *cell = mean;
    }
    cells
}

/// The pixels along a side that each cell covers, and how much of each.
fn parts(length: usize) -> [Vec<(usize, f64)>; SIDE] {
    std::array::from_fn(|cell| {
        // In eighths of a pixel all borders are whole numbers.
        let (from, to) = (cell * length, (cell + 1) * length);
        let covered = |pixel: usize| to.min((pixel + 1) * SIDE) - from.max(pixel * SIDE);
        (from / SIDE..to.div_ceil(SIDE)).map(|pixel| (pixel, covered(pixel) as f64 / SIDE as f64)).collect()
    })
}
