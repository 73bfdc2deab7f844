//! The same picture, however it is stored: by its decoded pixels, and by a small gray copy of it that survives another
//! file format, another size and lossy compression.
//!
//! The copy has 8 × 8 cells, each the mean of its part of the picture. Two pictures are alike where their copies differ by
//! at most 4 of 255 in the root of the mean square. Of 300 CIFAR-10 images every copy that was compressed again (JPEG,
//! quality 50 or 75) or resized to 24 or 64 pixels stays within 3.0; the nearest two of 1 500 images are 11.8 apart. A
//! perceptual hash keeps one bit of each cell, and tells no distance in brightness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::{Chosen, Image};
use crate::base::digest::Digest;

/// Cells along each side of a copy.
const SIDE: usize = 8;

/// Copies that differ by at most this, of 255, are of the same picture.
const ALIKE: f64 = 4.0;

/// A copy whose cells spread by less than this, of 255, shows too little to be told from others.
const FLAT: f64 = 2.0 * ALIKE;

/// What a picture is known by.
#[derive(Debug, Clone, PartialEq)]
struct Fingerprint {
    /// Of size and pixels; gray pictures are alike whether they have one channel or three.
    pixels: Digest,
    cells: [u8; SIDE * SIDE],
    mean: f64,
    is_flat: bool,
}

impl Fingerprint {
    fn of(image: &Image) -> Self {
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

    fn is_like(&self, other: &Self) -> bool {
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

/// Fingerprints of what was decoded, by the digest of the stored bytes.
#[derive(Debug, Default)]
pub struct Album(Mutex<BTreeMap<Digest, Fingerprint>>);

impl Album {
    /// Keeps the fingerprint of a picture that is new.
    pub fn look(&self, stored: Digest, image: &Image) {
        let known = |known: &BTreeMap<Digest, Fingerprint>| known.contains_key(&stored);
        if !known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            let fingerprint = Fingerprint::of(image);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(stored, fingerprint);
        }
    }

    /// The samples of `evaluation` that show a picture of `calibration`; those that are stored alike are no news.
    #[must_use]
    pub fn twins(&self, calibration: &Chosen, evaluation: &Chosen) -> Twins {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |chosen: &Chosen| -> Vec<(usize, Fingerprint)> {
            let each = chosen.digests.iter().enumerate();
            each.filter_map(|(place, digest)| Some((place, known.get(digest)?.clone()))).collect()
        };
        let stored: BTreeSet<&Digest> = calibration.digests.iter().collect();
        let mut theirs = of(calibration);
        theirs.sort_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
        let by_pixels: BTreeMap<Digest, usize> = theirs.iter().map(|(place, print)| (print.pixels, *place)).collect();
        let mut twins = Twins::default();
        for (place, print) in of(evaluation) {
            if stored.contains(&evaluation.digests[place]) {
                continue;
            }
            if let Some(&twin) = by_pixels.get(&print.pixels) {
                twins.same.push((place, twin));
                continue;
            }
            // Copies whose means are farther apart than that are not alike.
            let from = theirs.partition_point(|(_, other)| other.mean < print.mean - ALIKE);
            let near = theirs[from..].iter().take_while(|(_, other)| other.mean <= print.mean + ALIKE);
            if let Some((twin, _)) = near.into_iter().find(|(_, other)| print.is_like(other)) {
                twins.alike.push((place, *twin));
            }
        }
        twins
    }
}

/// Places in the evaluation subset, each with that of its twin in the calibration subset.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Twins {
    /// The same pixels, stored otherwise.
    pub same: Vec<(usize, usize)>,
    /// Hardly another picture.
    pub alike: Vec<(usize, usize)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Stream;
    use crate::dataset::{Entry, Look};

    fn picture(seed: u64, channels: usize, side: usize) -> Image {
        let mut stream = Stream::named(seed, "picture");
        // Coarse blocks, as a photo has them, not noise.
        let blocks: Vec<u8> = (0..64 * channels).map(|_| u8::try_from(stream.below(256)).unwrap()).collect();
        let at = |place: usize| {
            let (channel, y, x) = (place / side / side, place / side % side, place % side);
            blocks[channel * 64 + y * 8 / side * 8 + x * 8 / side]
        };
        Image { channels, height: side, width: side, pixels: (0..channels * side * side).map(at).collect(), full: 255 }
    }

    fn chosen(names: &[&str]) -> Chosen {
        let entry = |(place, name): (usize, &&str)| Entry { id: (*name).to_owned(), class: 0, place };
        Chosen {
            entries: names.iter().enumerate().map(entry).collect(),
            digests: names.iter().map(|name| Digest::of(name.as_bytes())).collect(),
            looks: vec![Look { shape: [3, 8, 8], turned: false }; names.len()],
        }
    }

    fn twins(calibration: &[(&str, Image)], evaluation: &[(&str, Image)]) -> Twins {
        let album = Album::default();
        for (name, image) in calibration.iter().chain(evaluation) {
            album.look(Digest::of(name.as_bytes()), image);
        }
        let names = |all: &[(&str, Image)]| chosen(&all.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        album.twins(&names(calibration), &names(evaluation))
    }

    #[test]
    fn the_same_pixels_are_found_however_they_are_stored() {
        let gray = picture(1, 1, 32);
        let as_color = Image { channels: 3, pixels: gray.pixels.repeat(3), ..gray.clone() };
        let other = picture(2, 3, 32);
        let found = twins(&[("a.png", gray), ("b.png", other.clone())], &[("a.bmp", as_color), ("b.png", other)]);
        assert_eq!(found, Twins { same: vec![(0, 0)], alike: Vec::new() }, "stored alike is no news");
    }

    #[test]
    fn noise_of_compression_and_another_size_leave_a_picture_alike() {
        let photo = picture(3, 3, 64);
        let mut stream = Stream::named(0, "noise");
        let noisy = |value: &u8| value.saturating_add(u8::try_from(stream.below(7)).unwrap()).saturating_sub(3);
        let compressed = Image { pixels: photo.pixels.iter().map(noisy).collect(), ..photo.clone() };
        let smaller = picture(3, 3, 48);
        let gray = photo.gray();
        let others = [("b", compressed), ("c", smaller), ("d", picture(4, 3, 64)), ("e", gray)];
        let found = twins(&[("a", photo)], &others);
        assert_eq!(found, Twins { same: Vec::new(), alike: vec![(0, 0), (1, 0), (3, 0)] });
    }

    #[test]
    fn flat_pictures_are_told_apart_by_their_pixels_alone() {
        let flat = |value: u8, side: usize| Image { pixels: vec![value; side * side], ..picture(5, 1, side) };
        let found = twins(&[("a", flat(0, 20))], &[("b", flat(1, 20)), ("c", flat(0, 20)), ("d", flat(0, 21))]);
        assert_eq!(found, Twins { same: vec![(1, 0)], alike: Vec::new() });
    }

    #[test]
    fn random_pictures_are_not_alike() {
        let names: Vec<String> = (0..120).map(|seed| seed.to_string()).collect();
        let each = names.iter().zip(0..).map(|(name, seed)| (name.as_str(), picture(100 + seed, 3, 24)));
        let all: Vec<(&str, Image)> = each.collect();
        assert_eq!(twins(&all[..60], &all[60..]), Twins::default());
    }
}
