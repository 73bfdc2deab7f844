//! Resizing as Pillow does it, to the bit: in bytes, each axis by itself, with weights in fixed point.
//!
//! The weights, their rounding and the order of the two axes are those of Pillow's `src/libImaging/Resample.c`, and of `Geometry.c` for
//! `nearest`. Only what the crop keeps is computed; an output pixel depends on no other.

use std::borrow::Cow;
use std::f64::consts::PI;
use std::ops::Range;

use rayon::prelude::*;

use super::preprocess::{crop_start, resized};
use super::{Image, PreprocessError, Threads};
use crate::manifest::{Interpolation, Preprocess, ResizeBy};

/// Bits after the point of a weight: 8 are the pixel's, and 2 are kept free for the sum.
const BITS: u32 = 32 - 8 - 2;

/// The images as they are cropped, and what is left to do, where Pillow resizes them; unchanged where it does not.
pub fn resize<'a>(
    images: &'a [Image],
    settings: &'a Preprocess,
    threads: Threads,
) -> Result<(Cow<'a, [Image]>, Cow<'a, Preprocess>), PreprocessError> {
    match settings.resize_by {
        None | Some(ResizeBy::Tensor) => return Ok((Cow::Borrowed(images), Cow::Borrowed(settings))),
        Some(ResizeBy::Pillow | ResizeBy::Pillow12) => {}
    }
    if let Some(image) = images.iter().find(|image| image.full != u8::MAX) {
        let full = image.full;
        return Err(PreprocessError(format!(
            "`resize_by = \"pillow\"` is of bytes, and full intensity is {full} here"
        )));
    }
    let one = |image: &Image| {
        let image =
            if settings.grayscale && image.channels == 3 { Cow::Owned(image.gray()) } else { Cow::Borrowed(image) };
        cropped(&image, settings)
    };
    let done: Result<Vec<Image>, PreprocessError> = match threads {
        Threads::Own => images.iter().map(one).collect(),
        Threads::All => images.par_iter().map(one).collect(),
    };
    // Nothing is left to resize.
    let rest = Preprocess {
        resize: None,
        resize_shorter_side: None,
        center_crop: None,
        resize_by: None,
        interpolation: Interpolation::Nearest,
        antialias: false,
        ..settings.clone()
    };
    Ok((Cow::Owned(done?), Cow::Owned(rest)))
}

/// One image, resized and then cropped.
fn cropped(image: &Image, settings: &Preprocess) -> Result<Image, PreprocessError> {
    let [height, width] = super::output_size(settings, image.height, image.width)?;
    let whole = resized(settings, image.height, image.width);
    let window = |axis: usize, length: usize| {
        let start = crop_start(whole[axis], length);
        start..start + length
    };
    let (rows, columns) = (window(0, height), window(1, width));
    let columns_first =
        settings.resize_by == Some(ResizeBy::Pillow) && shortens_first([image.height, image.width], whole);
    let planes = image.pixels.chunks((image.height * image.width).max(1));
    let plane = |plane: &[u8]| match settings.interpolation {
        Interpolation::Nearest => nearest(plane, [image.height, image.width], whole, [&rows, &columns]),
        smooth => {
            let taps = [(image.height, whole[0], &rows), (image.width, whole[1], &columns)];
            let [vertical, horizontal] = taps.map(|(from, to, window)| Taps::new(smooth, from, to, window));
            if columns_first {
                filtered_on_its_side(plane, image.width, &vertical, &horizontal)
            } else {
                filtered(plane, image.width, &vertical, &horizontal)
            }
        }
    };
    Ok(Image { height, width, pixels: planes.flat_map(plane).collect(), ..*image })
}

/// Whether Pillow 13 shortens the columns before it narrows the rows, as a comparison of its outputs with both orders shows for all
/// sizes: where the height shrinks by more than twice what the width does.
const fn shortens_first([height, width]: [usize; 2], to: [usize; 2]) -> bool {
    to[0] < height && height + 2 * to[1] > to[0] + 2 * width
}

fn nearest(plane: &[u8], from: [usize; 2], to: [usize; 2], windows: [&Range<usize>; 2]) -> Vec<u8> {
    let [rows, columns] = [0, 1].map(|axis| {
        let all = places(from[axis], to[axis]);
        all[windows[axis].clone()].to_vec()
    });
    rows.iter().flat_map(|row| columns.iter().map(move |column| plane[row * from[1] + column])).collect()
}

/// Where each pixel comes from. The step is added up, as Pillow does, so that its rounding is the same.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in an image, below its length")]
fn places(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut place = step * 0.5;
    let mut next = || {
        let here = (place as usize).min(from - 1);
        place += step;
        here
    };
    (0..to).map(|_| next()).collect()
}

/// Which input pixels make each output pixel of one axis.
struct Taps {
    /// Inputs of all outputs together, so that others need not be looked at.
    inputs: Range<usize>,
    /// By output: its first input, and how many weights are its own.
    each: Vec<(usize, usize)>,
    weights: Vec<i32>,
    /// Whether each output is the input of its place.
    is_plain: bool,
}

impl Taps {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in an image, below its length"
    )]
    fn new(by: Interpolation, from: usize, to: usize, window: &Range<usize>) -> Self {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let (radius, filter) = filter_of(by);
        let support = radius * widening;
        if from == to {
            let each = window.clone().map(|output| (output, 1)).collect();
            return Self { inputs: window.clone(), each, weights: vec![1 << BITS; window.len()], is_plain: true };
        }
        let mut taps = Self { inputs: 0..0, each: Vec::new(), weights: Vec::new(), is_plain: false };
        for output in window.clone() {
            let center = (output as f64 + 0.5) * scale;
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let weight = |input: usize| filter((input as f64 - center + 0.5) * (1.0 / widening));
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let total: f64 = weights.iter().sum();
            let share = |weight: f64| if total == 0.0 { weight } else { weight / total };
            taps.weights.extend(weights.into_iter().map(|weight| fixed(share(weight))));
            taps.each.push((first, end - first));
        }
        let ends = taps.each.iter().map(|(first, count)| first + count);
        taps.inputs = taps.each.first().map_or(0, |(first, _)| *first)..ends.max().unwrap_or(0);
        taps
    }

    /// Each output's first input, counted from the first of all, and its weights.
    fn each(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let mut rest = self.weights.as_slice();
        self.each.iter().map(move |(first, count)| {
            let (own, others) = rest.split_at(*count);
            rest = others;
            (first - self.inputs.start, own)
        })
    }
}

/// A filter's radius and the filter.
fn filter_of(by: Interpolation) -> (f64, fn(f64) -> f64) {
    match by {
        // Chosen apart; a box of one pixel is the same thing.
        Interpolation::Nearest | Interpolation::Box => (0.5, boxed),
        Interpolation::Bilinear => (1.0, triangle),
        Interpolation::Hamming => (1.0, hamming),
        Interpolation::Bicubic => (2.0, cubic),
        Interpolation::Lanczos => (3.0, lanczos),
    }
}

fn boxed(x: f64) -> f64 {
    if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// The window's two numbers are 32-bit floats in Pillow.
fn hamming(x: f64) -> f64 {
    let [mean, swing] = [0.54_f32, 0.46].map(f64::from);
    match x.abs() {
        0.0 => 1.0,
        far if far >= 1.0 => 0.0,
        near => (near * PI).sin() / (near * PI) * (mean + swing * (near * PI).cos()),
    }
}

/// Keys' cubic with `a = -1/2`. The products are not fused, as Pillow's are not.
#[expect(clippy::suboptimal_flops, reason = "a fused product has another last bit")]
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        near if near < 1.0 => ((A + 2.0) * near - (A + 3.0)) * near * near + 1.0,
        far if far < 2.0 => (((far - 5.0) * far + 8.0) * far - 4.0) * A,
        _ => 0.0,
    }
}

fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// A weight in fixed point, halves away from zero.
#[expect(clippy::cast_possible_truncation, reason = "a weight is below 2")]
fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// Along rows first, and then along columns. Both are sums of whole lines of pixels: for the first the plane lies on its side.
fn filtered(plane: &[u8], width: usize, vertical: &Taps, horizontal: &Taps) -> Vec<u8> {
    let needed = &plane[vertical.inputs.start * width..vertical.inputs.end * width];
    let height = vertical.inputs.len();
    let columns = horizontal.each.len();
    let narrow = if horizontal.is_plain {
        let first = horizontal.inputs.start;
        needed.chunks(width.max(1)).flat_map(|row| &row[first..first + columns]).copied().collect()
    } else {
        let used = &horizontal.inputs;
        turned(&sums(&turned(needed, width, used), height, horizontal), height, &(0..height))
    };
    if vertical.is_plain { narrow } else { sums(&narrow, columns, vertical) }
}

/// Along columns first: the same of the plane on its side.
fn filtered_on_its_side(plane: &[u8], width: usize, vertical: &Taps, horizontal: &Taps) -> Vec<u8> {
    let height = plane.len() / width.max(1);
    let rows = vertical.each.len();
    let done = filtered(&turned(plane, width, &(0..width)), height, horizontal, vertical);
    turned(&done, rows, &(0..rows))
}

/// Columns of a plane as rows: those of `kept`.
fn turned(plane: &[u8], width: usize, kept: &Range<usize>) -> Vec<u8> {
    /// Pixels on a side of what is turned at once.
    const BLOCK: usize = 16;
    let height = plane.len() / width.max(1);
    let mut out = vec![0; kept.len() * height];
    let whole = |length: usize| length - length % BLOCK;
    let (rows, columns) = (whole(height), kept.start + whole(kept.len()));
    for top in (0..rows).step_by(BLOCK) {
        for left in (kept.start..columns).step_by(BLOCK) {
            let mut block = [[0; BLOCK]; BLOCK];
            for (row, line) in block.iter_mut().zip(plane[top * width + left..].chunks(width)) {
                row.copy_from_slice(&line[..BLOCK]);
            }
            for (column, line) in out[(left - kept.start) * height + top..].chunks_mut(height).take(BLOCK).enumerate() {
                line[..BLOCK].iter_mut().zip(&block).for_each(|(pixel, row)| *pixel = row[column]);
            }
        }
    }
    let rest = (0..height).flat_map(|row| {
        let first = if row < rows { columns } else { kept.start };
        (first..kept.end).map(move |column| (row, column))
    });
    rest.for_each(|(row, column)| out[(column - kept.start) * height + row] = plane[row * width + column]);
    out
}

/// Weighted sums of lines of `length` pixels.
fn sums(plane: &[u8], length: usize, taps: &Taps) -> Vec<u8> {
    if is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "the same code in vectors of eight")]
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { sums_in_vectors(plane, length, taps) };
    }
    sums_of_lines(plane, length, taps)
}

#[target_feature(enable = "avx2")]
fn sums_in_vectors(plane: &[u8], length: usize, taps: &Taps) -> Vec<u8> {
    sums_of_lines(plane, length, taps)
}

#[inline]
fn sums_of_lines(plane: &[u8], length: usize, taps: &Taps) -> Vec<u8> {
    /// Pixels whose sums stay in registers.
    const WIDE: usize = 32;
    let mut out = vec![0; taps.each.len() * length];
    for (line, (first, weights)) in out.chunks_mut(length.max(1)).zip(taps.each()) {
        let lines = &plane[first * length..(first + weights.len()) * length];
        let (wide, rest) = line.as_chunks_mut::<WIDE>();
        for (block, pixels) in wide.iter_mut().enumerate() {
            let mut sums = [1 << (BITS - 1); WIDE];
            for (line, weight) in lines.chunks_exact(length).zip(weights) {
                let values = &line[block * WIDE..(block + 1) * WIDE];
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += i32::from(*value) * weight);
            }
            pixels.iter_mut().zip(sums).for_each(|(pixel, sum)| *pixel = cut_off(sum));
        }
        let done = length - rest.len();
        for (at, pixel) in rest.iter_mut().enumerate() {
            let each = lines.chunks_exact(length).zip(weights);
            let sum: i32 = each.map(|(line, weight)| i32::from(line[done + at]) * weight).sum();
            *pixel = cut_off(sum + (1 << (BITS - 1)));
        }
    }
    out
}

/// A sum as a byte.
#[expect(clippy::cast_sign_loss, reason = "0 to 255")]
#[inline]
fn cut_off(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}
