//! torchvision's transforms of image tensors, for runs without libtorch.
//!
//! Places and weights are those of PyTorch's `upsample_{nearest,bilinear,bicubic}2d` and `_upsample_{bilinear,bicubic}2d_aa`
//! (ATen, `native/cpu/UpSampleKernel.cpp`). The sums are taken along rows and then along columns; PyTorch orders them by the size of
//! the image and the number of channels, so that results differ from its own in the last bits, where images are resized.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::preprocess::{crop_start, resized};
use super::{Image, PreprocessError, output_size};
use crate::manifest::{Interpolation, PixelScale, Preprocess};
use crate::tensor::Tensor;

/// How many threads may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread alone: others are in use.
    Own,
    /// As many as there are.
    All,
}

/// What tensors are resized with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorFilter {
    Bilinear,
    Bicubic,
    Nearest,
}

impl TensorFilter {
    /// Of a manifest's word; the others are Pillow's alone.
    pub fn of(interpolation: Interpolation) -> Result<Self, PreprocessError> {
        match interpolation {
            Interpolation::Bilinear => Ok(Self::Bilinear),
            Interpolation::Bicubic => Ok(Self::Bicubic),
            Interpolation::Nearest => Ok(Self::Nearest),
            Interpolation::Box | Interpolation::Hamming | Interpolation::Lanczos => {
                Err(PreprocessError(format!("tensors are not resized with `{interpolation}`")))
            }
        }
    }
}

/// Makes images gray where that is asked for, scales them, resizes and crops them, repeats a single channel up to
/// `channels`, and normalizes. Returns `f32[images, channels, height, width]`.
pub fn preprocess(
    images: &[Image],
    settings: &Preprocess,
    channels: usize,
    threads: Threads,
) -> Result<Tensor, PreprocessError> {
    let (images, [height, width]) = fitting(images, settings, channels)?;
    let filter = TensorFilter::of(settings.interpolation)?;
    let size = channels * height * width;
    let mut values = vec![0.0; images.len() * size];
    let each = |(image, values): (&Image, &mut [f32])| place(image, settings, filter, channels, values);
    match threads {
        Threads::Own => images.iter().zip(values.chunks_mut(size.max(1))).for_each(each),
        Threads::All => images.par_iter().zip(values.par_chunks_mut(size.max(1))).for_each(each),
    }
    Tensor::f32(vec![images.len(), channels, height, width], values).map_err(|error| PreprocessError(error.to_string()))
}

/// The images, gray where that is asked for, and the `[height, width]` that all of them end up with; refused where they
/// cannot become one batch for a model that takes `channels` channels.
pub fn fitting<'a>(
    images: &'a [Image],
    settings: &Preprocess,
    channels: usize,
) -> Result<(Cow<'a, [Image]>, [usize; 2]), PreprocessError> {
    let images =
        if settings.grayscale { Cow::Owned(images.iter().map(Image::gray).collect()) } else { Cow::Borrowed(images) };
    let given = settings.mean.len();
    if given != channels {
        return Err(PreprocessError(format!("`mean` and `std` have {given} numbers for {channels} channels")));
    }
    if let Some(image) = images.iter().find(|image| image.channels != 1 && image.channels != channels) {
        let found = image.channels;
        return Err(PreprocessError(format!("they have {found} channels, and the model takes {channels}")));
    }
    let sizes = images.iter().map(|image| output_size(settings, image.height, image.width));
    let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
    let Some(&first) = sizes.first() else { return Err(PreprocessError("there are none".into())) };
    match sizes.iter().find(|size| **size != first) {
        None => Ok((images, first)),
        Some([height, width]) => Err(PreprocessError(format!(
            "they differ in size, {} × {} and {height} × {width}: set `resize`, or `center_crop` after `resize_shorter_side`",
            first[0], first[1]
        ))),
    }
}

/// One image, as the network is given it.
fn place(image: &Image, settings: &Preprocess, filter: TensorFilter, channels: usize, values: &mut [f32]) {
    let size = (values.len() / channels.max(1)).max(1);
    let mut own = vec![0.0; size * image.channels];
    resize(image, settings, filter, &mut own, size);
    // A single channel is repeated.
    let planes = own.chunks(size).cycle().zip(values.chunks_mut(size));
    for ((plane, values), (mean, std)) in planes.zip(settings.mean.iter().zip(&settings.std)) {
        normalize(plane, *mean, *std, values);
    }
}

/// An image's channels, scaled, resized and cropped to `size` pixels each.
fn resize(image: &Image, settings: &Preprocess, by: TensorFilter, values: &mut [f32], size: usize) {
    let scale: Vec<f32> = (0..=u8::MAX).map(|pixel| scaled(pixel, image.full, settings.scale)).collect();
    let whole = resized(settings, image.height, image.width);
    let kept = settings.center_crop.unwrap_or(whole);
    let [rows, columns] = [0, 1].map(|axis| {
        let start = crop_start(whole[axis], kept[axis]);
        start..start + kept[axis]
    });
    let is_resized = whole != [image.height, image.width];
    let is_smooth = settings.antialias;
    let taps = |from, to, window: &Range<usize>| is_resized.then(|| Taps::new(by, is_smooth, [from, to], window));
    let taps = taps(image.height, whole[0], &rows).zip(taps(image.width, whole[1], &columns));
    let planes = image.pixels.chunks((image.height * image.width).max(1));
    for (plane, values) in planes.zip(values.chunks_mut(size)) {
        let plane: Vec<f32> = plane.iter().map(|pixel| scale[usize::from(*pixel)]).collect();
        if let Some((rows, columns)) = &taps {
            resize_plane(&plane, image.width, rows, columns, values);
            if settings.scale == PixelScale::Bytes {
                // Bytes stay bytes, as torchvision resizes a tensor of them.
                values.iter_mut().for_each(|value| *value = value.round_ties_even().clamp(0.0, 255.0));
            }
        } else {
            let rows = plane.chunks(image.width.max(1)).skip(rows.start);
            for (row, values) in rows.zip(values.chunks_mut(kept[1].max(1))) {
                values.copy_from_slice(&row[columns.clone()]);
            }
        }
    }
}

/// A pixel as a number.
fn scaled(pixel: u8, full: u8, scale: PixelScale) -> f32 {
    let (pixel, full) = (f32::from(pixel), f32::from(full));
    match scale {
        PixelScale::Unit => pixel / full,
        PixelScale::Bytes if full == 255.0 => pixel,
        PixelScale::Bytes => pixel * 255.0 / full,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "torchvision keeps mean and std in the image's type, f32")]
fn normalize(plane: &[f32], mean: f64, std: f64, values: &mut [f32]) {
    let (mean, std) = (mean as f32, std as f32);
    values.iter_mut().zip(plane).for_each(|(value, pixel)| *value = (pixel - mean) / std);
}

/// For each output along an axis, the inputs that it is a weighted sum of, in the order in which they are added.
struct Taps {
    /// Where the taps of an output end in the lists below.
    ends: Vec<usize>,
    inputs: Vec<usize>,
    weights: Vec<f32>,
}

impl Taps {
    /// Those of some outputs, where an axis of length `from` becomes one of length `to`.
    fn new(by: TensorFilter, is_smooth: bool, [from, to]: [usize; 2], outputs: &Range<usize>) -> Self {
        let mut taps = Self { ends: Vec::with_capacity(outputs.len()), inputs: Vec::new(), weights: Vec::new() };
        let ratio = from as f32 / to as f32;
        for output in outputs.clone() {
            match (by, is_smooth) {
                (TensorFilter::Nearest, _) => taps.nearest(output, ratio, from),
                (TensorFilter::Bilinear, false) => taps.linear(output, ratio, from, to),
                (TensorFilter::Bicubic, false) => taps.cubic(output, ratio, from),
                (TensorFilter::Bilinear, true) => taps.smooth(output, ratio, from, 1.0, triangle),
                (TensorFilter::Bicubic, true) => taps.smooth(output, ratio, from, 2.0, keys),
            }
            taps.ends.push(taps.inputs.len());
        }
        taps
    }

    /// Inputs and weights of each output, at least one.
    fn each(&self) -> impl Iterator<Item = (&[usize], &[f32])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| (&self.inputs[start..end], &self.weights[start..end]))
    }

    fn add(&mut self, input: usize, weight: f32) {
        self.inputs.push(input);
        self.weights.push(weight);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in an image, below its length"
    )]
    fn nearest(&mut self, output: usize, ratio: f32, from: usize) {
        self.add(((output as f32 * ratio).floor() as usize).min(from - 1), 1.0);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in an image, below its length"
    )]
    fn linear(&mut self, output: usize, ratio: f32, from: usize, to: usize) {
        if from == to {
            return self.add(output, 1.0);
        }
        let place = ratio.mul_add(output as f32 + 0.5, -0.5).max(0.0);
        let input = (place as usize).min(from - 1);
        let after = (place - input as f32).clamp(0.0, 1.0);
        self.add(input, 1.0 - after);
        self.add((input + 1).min(from - 1), after);
    }

    #[expect(clippy::cast_possible_truncation, reason = "a place in an image, below its length")]
    fn cubic(&mut self, output: usize, ratio: f32, from: usize) {
        const A: f32 = -0.75;
        let place = ratio.mul_add(output as f32 + 0.5, -0.5);
        let last = from as i64 - 1;
        let input = (place.floor() as i64).min(last);
        let after = (place - input as f32).clamp(0.0, 1.0);
        let weights = [outer(after + 1.0, A), inner(after, A), inner(1.0 - after, A), outer(1.0 - after + 1.0, A)];
        for (offset, weight) in (-1..).zip(weights) {
            self.add(usize::try_from((input + offset).clamp(0, last)).unwrap_or(0), weight);
        }
    }

    /// With a filter that is widened where the image shrinks; `radius` is its own.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in an image, below its length"
    )]
    fn smooth(&mut self, output: usize, ratio: f32, from: usize, radius: f32, filter: impl Fn(f32) -> f32) {
        let (support, narrowing) = if ratio >= 1.0 { (radius * ratio, 1.0 / ratio) } else { (radius, 1.0) };
        let center = (f64::from(ratio) * (output as f64 + 0.5)) as f32;
        let first = (f64::from(center - support) + 0.5).max(0.0) as usize;
        let end = ((f64::from(center + support) + 0.5) as usize).min(from);
        let at = self.weights.len();
        let mut total = 0.0;
        for input in first..end {
            let distance = ((f64::from(input as f32 - center) + 0.5) * f64::from(narrowing)) as f32;
            let weight = filter(distance);
            total += weight;
            self.add(input, weight);
        }
        if total != 0.0 {
            self.weights[at..].iter_mut().for_each(|weight| *weight /= total);
        }
    }
}

fn triangle(distance: f32) -> f32 {
    (1.0 - distance.abs()).max(0.0)
}

/// Keys' cubic with `a = -1/2`, as Pillow has it (Keys, "Cubic convolution interpolation for digital image
/// processing", 1981).
fn keys(distance: f32) -> f32 {
    const A: f32 = -0.5;
    match distance.abs() {
        near if near < 1.0 => inner(near, A),
        far if far < 2.0 => outer(far, A),
        _ => 0.0,
    }
}

/// Keys' cubic up to a distance of 1: `((a + 2) x − (a + 3)) x² + 1`.
fn inner(x: f32, a: f32) -> f32 {
    ((a + 2.0).mul_add(x, -(a + 3.0)) * x).mul_add(x, 1.0)
}

/// The same from 1 to 2: `((a x − 5 a) x + 8 a) x − 4 a`.
fn outer(x: f32, a: f32) -> f32 {
    a.mul_add(x, -5.0 * a).mul_add(x, 8.0 * a).mul_add(x, -4.0 * a)
}

/// Resizes `plane`, whose rows have `width` pixels, into `values`.
fn resize_plane(plane: &[f32], width: usize, rows: &Taps, columns: &Taps, values: &mut [f32]) {
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        #[expect(unsafe_code, reason = "the same code with FMA as an instruction instead of a call")]
        // SAFETY: the CPU has what the function is compiled for.
        return unsafe { with_instructions(plane, width, rows, columns, values) };
    }
    along_both(plane, width, rows, columns, values);
}

#[target_feature(enable = "avx2,fma")]
fn with_instructions(plane: &[f32], width: usize, rows: &Taps, columns: &Taps, values: &mut [f32]) {
    along_both(plane, width, rows, columns, values);
}

/// Along rows first, and then along columns.
#[expect(clippy::inline_always, reason = "what is not part of its caller is compiled without its instructions")]
#[inline(always)]
fn along_both(plane: &[f32], width: usize, rows: &Taps, columns: &Taps, values: &mut [f32]) {
    let length = columns.ends.len();
    let mut narrow = vec![0.0; plane.len() / width.max(1) * length];
    for (row, narrow) in plane.chunks(width.max(1)).zip(narrow.chunks_mut(length.max(1))) {
        for (value, (inputs, weights)) in narrow.iter_mut().zip(columns.each()) {
            let mut sum = row[inputs[0]] * weights[0];
            for (&input, &weight) in inputs.iter().zip(weights).skip(1) {
                sum = row[input].mul_add(weight, sum);
            }
            *value = sum;
        }
    }
    for (values, (inputs, weights)) in values.chunks_mut(length.max(1)).zip(rows.each()) {
        let row = |input: usize| &narrow[input * length..(input + 1) * length];
        values.iter_mut().zip(row(inputs[0])).for_each(|(sum, x)| *sum = x * weights[0]);
        for (&input, &weight) in inputs.iter().zip(weights).skip(1) {
            values.iter_mut().zip(row(input)).for_each(|(sum, x)| *sum = x.mul_add(weight, *sum));
        }
    }
}
