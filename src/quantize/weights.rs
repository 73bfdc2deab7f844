//! Weights to 8-bit integers, symmetric, a scale per output channel or one for all: PyTorch's
//! `PerChannelMinMaxObserver` and `MinMaxObserver`.

use super::qparams::{WEIGHT_RANGE, symmetric};
use crate::graph::quantization::IntWeight;
use crate::manifest::Granularity;
use crate::tensor::{Data, Tensor};

/// Quantizes a float weight whose first dimension is the output channel; `None` unless `f32`. Where
/// `bounded`, scales are large enough that no pair of products with 8-bit activations leaves 16 bits.
#[must_use]
pub fn integers(weight: &Tensor, granularity: Granularity, bounded: bool) -> Option<IntWeight> {
    let all = weight.as_f32()?;
    // A convolution's kernel is multiplied pixel by pixel, each with all its channels.
    let taps: usize = weight.shape().iter().skip(2).product();
    let scale_of = |values: &[f32]| {
        let (low, high) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &w| (l.min(w), h.max(w)));
        symmetric(low, high, WEIGHT_RANGE)
    };
    let widened = |row: &[f32], mut scale: f32| {
        while bounded && saturates(row, taps, scale) {
            scale *= WIDENING;
        }
        scale
    };
    let scales: Vec<f32> = match granularity {
        Granularity::PerChannel => weight.f32_rows().map(|row| widened(row, scale_of(row))).collect(),
        Granularity::PerTensor => {
            let shared = weight.f32_rows().fold(scale_of(all), |scale, row| widened(row, scale));
            vec![shared; weight.f32_rows().count()]
        }
    };
    let rows = weight.f32_rows().zip(&scales);
    let values = rows.flat_map(|(row, &scale)| row.iter().map(move |&w| quantize(w, scale))).collect();
    let values = Tensor::new(weight.shape().to_vec(), Data::I8(values)).ok()?;
    Some(IntWeight { values, scales: scales.into_iter().map(f64::from).collect() })
}

/// Steps in which a scale is raised until nothing saturates.
const WIDENING: f32 = 1.01;

/// Whether two neighbouring products can leave 16 bits. On CPUs without VNNI, kernels add the products of
/// two neighbouring 8-bit activations, 0 to 255, with their weights in a saturating 16-bit register
/// (`vpmaddubsw`): the worst is 255 times the sum of two weights of one sign. Neighbours follow each other
/// in the order of multiplication, channels innermost.
fn saturates(row: &[f32], taps: usize, scale: f32) -> bool {
    pairs(row.len(), taps).any(|pair| leaves_sixteen_bits(pair.map(|at| at.map_or(0, |at| quantize(row[at], scale)))))
}

/// Places in a row of weights whose products are added first.
fn pairs(length: usize, taps: usize) -> impl Iterator<Item = [Option<usize>; 2]> {
    let taps = taps.max(1);
    let channels = length / taps;
    let place = move |position: usize| position % channels * taps + position / channels;
    (0..length).step_by(2).map(move |first| [Some(place(first)), (first + 1 < length).then(|| place(first + 1))])
}

fn leaves_sixteen_bits(pair: [i8; 2]) -> bool {
    const LARGEST: i32 = i16::MAX as i32 / 255;
    let sum = |keep: fn(i32) -> i32| pair.into_iter().map(i32::from).map(keep).sum::<i32>();
    sum(|w| w.max(0)) > LARGEST || sum(|w| w.min(0)) < -LARGEST
}

/// Where a pair of neighbouring weights could leave 16 bits, takes both from `nearest`, which cannot.
pub fn keep_bounded(weight: &mut IntWeight, nearest: &IntWeight) {
    let taps: usize = weight.values.shape().iter().skip(2).product();
    let row = weight.values.shape().iter().skip(1).product::<usize>().max(1);
    let (Data::I8(chosen), Data::I8(nearest)) = (weight.values.data(), nearest.values.data()) else { return };
    let mut kept = chosen.clone();
    for (row, nearest) in kept.chunks_mut(row).zip(nearest.chunks(row)) {
        for pair in pairs(row.len(), taps) {
            if leaves_sixteen_bits(pair.map(|at| at.map_or(0, |at| row[at]))) {
                pair.into_iter().flatten().for_each(|at| row[at] = nearest[at]);
            }
        }
    }
    if let Ok(values) = Tensor::new(weight.values.shape().to_vec(), Data::I8(kept)) {
        weight.values = values;
    }
}

/// Multiplies by the reciprocal, as FBGEMM does: dividing would round some halves the other way.
#[expect(clippy::cast_possible_truncation, reason = "clamped to i8 first")]
fn quantize(value: f32, scale: f32) -> i8 {
    let scaled = (value * (1.0 / scale)).round_ties_even();
    scaled.clamp(WEIGHT_RANGE.min as f32, WEIGHT_RANGE.max as f32) as i8
}

/// The float values that integer weights stand for, in the float weight's shape.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "scales were f32")]
pub fn dequantized(quantized: &IntWeight) -> Vec<f32> {
    let Data::I8(integers) = quantized.values.data() else { return Vec::new() };
    let per_row = integers.len() / quantized.scales.len().max(1);
    let rows = integers.chunks(per_row.max(1)).zip(&quantized.scales);
    rows.flat_map(|(row, scale)| row.iter().map(move |&q| f32::from(q) * *scale as f32)).collect()
}

/// Signal-to-quantization-noise ratio of a weight in decibels, `10·log₁₀(Σw² / Σ(w − ŵ)²)`;
/// `None` where there is no signal or no noise.
#[must_use]
pub fn sqnr_db(weight: &Tensor, quantized: &IntWeight) -> Option<f64> {
    let Data::I8(integers) = quantized.values.data() else { return None };
    let per_row = integers.len() / quantized.scales.len().max(1);
    let (mut signal, mut noise) = (0.0, 0.0);
    for ((row, ints), scale) in weight.f32_rows().zip(integers.chunks(per_row.max(1))).zip(&quantized.scales) {
        for (&w, &q) in row.iter().zip(ints) {
            let w = f64::from(w);
            signal += w * w;
            noise += (w - f64::from(q) * scale).powi(2);
        }
    }
    (signal > 0.0 && noise > 0.0).then(|| 10.0 * (signal / noise).log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_channel(weight: &Tensor, bounded: bool) -> Option<IntWeight> {
        integers(weight, Granularity::PerChannel, bounded)
    }

    #[test]
    fn each_channel_uses_its_whole_range() {
        let weight = Tensor::f32(vec![2, 2], vec![0.5, -1.0, 100.0, 0.0]).unwrap();
        let quantized = integers(&weight, Granularity::PerChannel, false).unwrap();
        assert_eq!(quantized.values.data(), &Data::I8(vec![64, -127, 127, 0]));
        assert!(sqnr_db(&weight, &quantized).unwrap() > 30.0);
    }

    #[test]
    fn all_channels_share_the_scale_of_the_widest() {
        let weight = Tensor::f32(vec![2, 2], vec![0.5, -1.0, 100.0, 0.0]).unwrap();
        let quantized = integers(&weight, Granularity::PerTensor, false).unwrap();
        assert_eq!(quantized.values.data(), &Data::I8(vec![1, -1, 127, 0]));
        assert_eq!(quantized.scales[0], quantized.scales[1]);
    }

    #[test]
    fn rounding_that_leaves_sixteen_bits_is_taken_back_pair_by_pair() {
        // Two kernels of 3 channels and 2 pixels: products of one pixel are added channel after channel.
        let shape = vec![2, 3, 1, 2];
        let int = |values: Vec<i8>| IntWeight {
            values: Tensor::new(shape.clone(), Data::I8(values)).unwrap(),
            scales: vec![1.0; 2],
        };
        let nearest = int(vec![64, 1, 64, 2, 3, 60, 0, 0, 0, -64, 0, -64]);
        // In order of multiplication the first kernel is 64 64 | 3 1 | 2 60, the second 0 0 | 0 0 | -64 -64.
        let mut learned = int(vec![65, 2, 64, 3, 4, 61, 1, 0, 0, -65, 1, -64]);
        keep_bounded(&mut learned, &nearest);
        assert_eq!(learned, int(vec![64, 2, 64, 3, 4, 61, 1, 0, 0, -64, 1, -64]));
        let fine = learned.clone();
        keep_bounded(&mut learned, &nearest);
        assert_eq!(learned, fine);
    }

    #[test]
    fn bounded_weights_cannot_leave_sixteen_bits() {
        let rows = vec![1.0, 0.9, -1.0, 1.0, 0.0, 0.5, -0.8, -0.7];
        let bounded = integers(&Tensor::f32(vec![2, 4], rows).unwrap(), Granularity::PerChannel, true).unwrap();
        let Data::I8(values) = bounded.values.data() else { panic!("integers") };
        for pair in values.chunks(2) {
            let products = pair.iter().map(|&w| 255 * i32::from(w));
            assert!(i16::try_from(products.clone().filter(|p| *p > 0).sum::<i32>()).is_ok(), "{values:?}");
            assert!(i16::try_from(products.filter(|p| *p < 0).sum::<i32>()).is_ok(), "{values:?}");
        }
        // Opposite signs cannot add up, so a channel without close neighbours keeps its scale.
        let free = Tensor::f32(vec![1, 2], vec![-1.0, 1.0]).unwrap();
        assert_eq!(per_channel(&free, true), per_channel(&free, false));
        // [out, in, height, width]: neighbours are channels of one pixel, not pixels of one channel.
        let kernel = Tensor::f32(vec![1, 2, 1, 2], vec![1.0, 1.0, 0.0, 0.0]).unwrap();
        assert_eq!(per_channel(&kernel, true), per_channel(&kernel, false));
    }
}
