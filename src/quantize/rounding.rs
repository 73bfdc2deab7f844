//! Adaptive rounding: M. Nagel et al., *Up or Down? Adaptive Rounding for Post-Training Quantization*, ICML 2020.
//!
//! Each weight lies between two integers; how far it is moved from the lower to the upper one, its share, is learned
//! by gradient descent on the error of the layer's output, while a growing pull towards 0 and 1 makes it a decision.
//! The gradient of that error is an engine's to compute; all else is here.

use rayon::prelude::*;

use super::qparams::WEIGHT_RANGE;
use crate::base::rng::Stream;
use crate::graph::quantization::IntWeight;
use crate::tensor::{Data, Tensor};

/// Examples per step.
const BATCH: usize = 32;

/// Of Adam (D. Kingma and J. Ba, ICLR 2015).
const LEARNING_RATE: f32 = 0.02;
const MOMENTS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// The rectified sigmoid reaches a little beyond 0 and 1, so that its ends are reached.
const STRETCH: [f32; 2] = [-0.1, 1.1];

/// For this share of the steps nothing pulls; then the pull sharpens from the first exponent to the second.
const FREE: f32 = 0.2;
const EXPONENTS: [f32; 2] = [20.0, 2.0];

/// The pull on all weights together, beside an error of 1 for the nearest integers.
const PULL: f32 = 0.1;

/// Weights that one thread works on at a time.
const CHUNK: usize = 4096;

/// How long to learn, and from what.
#[derive(Debug, Clone, Copy)]
pub struct Lesson {
    pub iterations: usize,
    /// How many examples there are.
    pub examples: usize,
    /// Mean squared error of the nearest integers.
    pub unit: f64,
    /// Of the order of the examples.
    pub seed: u64,
}

/// Weights with the scales of `nearest`, each rounded up or down. `gradient` gives the derivative of the mean
/// squared error on some examples by each weight, for weights of the shape of `weight`, or nothing to end the lesson.
/// `None` where it was ended before its time, or the weight is not `f32`.
pub fn learn<E>(
    weight: &Tensor,
    nearest: &IntWeight,
    lesson: Lesson,
    mut gradient: impl FnMut(&[f32], &[usize]) -> Result<Option<Vec<f32>>, E>,
) -> Result<Option<IntWeight>, E> {
    let Some(exact) = weight.as_f32() else { return Ok(None) };
    let row = exact.len() / nearest.scales.len().max(1);
    #[expect(clippy::cast_possible_truncation, reason = "scales were f32")]
    let scale = |at: usize| nearest.scales[at / row.max(1)] as f32;
    let mut shares: Vec<Share> = exact.iter().enumerate().map(|(at, &w)| Share::of(w, scale(at))).collect();
    let mut order = Order::new(lesson);
    for step in 0..lesson.iterations {
        let values: Vec<f32> = shares.par_iter().with_min_len(CHUNK).map(Share::value).collect();
        let Some(gradient) = gradient(&values, order.next())? else { return Ok(None) };
        let pull = Pull::at(step as f32 / lesson.iterations as f32, shares.len());
        let adam = Adam::at(step);
        let unit = lesson.unit.max(f64::MIN_POSITIVE);
        shares.par_iter_mut().zip(&gradient).with_min_len(CHUNK).for_each(|(share, &slope)| {
            #[expect(clippy::cast_possible_truncation, reason = "a gradient is f32")]
            let slope = (f64::from(slope) / unit) as f32;
            share.descend(slope, pull, adam);
        });
    }
    let values = Data::I8(shares.iter().map(Share::decided).collect());
    let values = Tensor::new(nearest.values.shape().to_vec(), values).ok();
    Ok(values.map(|values| IntWeight { values, scales: nearest.scales.clone() }))
}

/// A weight between two integers.
struct Share {
    floor: f32,
    scale: f32,
    /// What is learned: the share is the rectified sigmoid of it.
    logit: f32,
    moments: [f32; 2],
}

impl Share {
    fn of(weight: f32, scale: f32) -> Self {
        let floor = (weight / scale).floor();
        let [low, high] = STRETCH;
        let part = (weight / scale - floor - low) / (high - low);
        Self { floor, scale, logit: (part / (1.0 - part)).ln(), moments: [0.0; 2] }
    }

    fn sigmoid(&self) -> f32 {
        1.0 / (1.0 + (-self.logit).exp())
    }

    fn share(&self) -> f32 {
        let [low, high] = STRETCH;
        (self.sigmoid() * (high - low) + low).clamp(0.0, 1.0)
    }

    fn value(&self) -> f32 {
        (self.floor + self.share()).clamp(WEIGHT_RANGE.min as f32, WEIGHT_RANGE.max as f32) * self.scale
    }

    #[expect(clippy::cast_possible_truncation, reason = "clamped to i8 first")]
    fn decided(&self) -> i8 {
        (self.floor + self.share().round()).clamp(WEIGHT_RANGE.min as f32, WEIGHT_RANGE.max as f32) as i8
    }

    /// A step of Adam down the slope of the error by this weight.
    fn descend(&mut self, slope: f32, pull: Pull, adam: Adam) {
        let sigmoid = self.sigmoid();
        let [low, high] = STRETCH;
        let share = sigmoid * (high - low) + low;
        // Beyond 0 and 1 the share stays where it is, and so nothing depends on the logit.
        let inside = share > 0.0 && share < 1.0;
        let by_logit = if inside { sigmoid * (1.0 - sigmoid) * (high - low) } else { 0.0 };
        let gradient = by_logit * (slope * self.scale + pull.slope(share));
        let [first, second] = &mut self.moments;
        *first = MOMENTS[0] * *first + (1.0 - MOMENTS[0]) * gradient;
        *second = MOMENTS[1] * *second + (1.0 - MOMENTS[1]) * gradient * gradient;
        self.logit -= LEARNING_RATE * (*first / adam.0) / ((*second / adam.1).sqrt() + EPSILON);
    }
}

/// `weight · (1 − |2·share − 1|^exponent)`, which is 0 at whole numbers.
#[derive(Clone, Copy)]
struct Pull {
    weight: f32,
    exponent: f32,
}

impl Pull {
    fn at(done: f32, weights: usize) -> Self {
        if done < FREE {
            return Self { weight: 0.0, exponent: EXPONENTS[0] };
        }
        let done = (done - FREE) / (1.0 - FREE);
        Self { weight: PULL / weights as f32, exponent: EXPONENTS[0] + (EXPONENTS[1] - EXPONENTS[0]) * done }
    }

    /// Its derivative by the share.
    fn slope(self, share: f32) -> f32 {
        if self.weight == 0.0 {
            return 0.0;
        }
        let off = 2.0 * share - 1.0;
        -2.0 * self.weight * self.exponent * off.abs().powf(self.exponent - 1.0) * off.signum()
    }
}

/// What the moments of a step are divided by, since they began at 0.
#[derive(Clone, Copy)]
struct Adam(f32, f32);

impl Adam {
    fn at(step: usize) -> Self {
        let steps = i32::try_from(step + 1).unwrap_or(i32::MAX);
        Self(1.0 - MOMENTS[0].powi(steps), 1.0 - MOMENTS[1].powi(steps))
    }
}

/// All examples in a shuffled order, batch by batch, again and again.
struct Order {
    stream: Stream,
    places: Vec<usize>,
    at: usize,
}

impl Order {
    fn new(lesson: Lesson) -> Self {
        let places = (0..lesson.examples).collect();
        Self { stream: Stream::named(lesson.seed, "rounding"), places, at: usize::MAX }
    }

    fn next(&mut self) -> &[usize] {
        let size = BATCH.min(self.places.len());
        if self.at.saturating_add(size) > self.places.len() {
            self.stream.shuffle(&mut self.places);
            self.at = 0;
        }
        self.at += size;
        &self.places[self.at - size..self.at]
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::manifest::Granularity;
    use crate::quantize::weights::{dequantized, integers};

    /// A layer of one output whose inputs are all the same: what counts is the sum of its weights.
    fn sum_of_all(exact: &[f32]) -> (Tensor, IntWeight, IntWeight) {
        let weight = Tensor::f32(vec![1, exact.len()], exact.to_vec()).unwrap();
        let nearest = integers(&weight, Granularity::PerChannel, false).unwrap();
        let wanted: f32 = exact.iter().sum();
        let off: f32 = dequantized(&nearest).iter().sum::<f32>() - wanted;
        let lesson = Lesson { iterations: 400, examples: 7, unit: f64::from(off * off), seed: 1 };
        let learned = learn(&weight, &nearest, lesson, |values, rows| {
            assert_eq!(rows.len(), 7);
            let off = values.iter().sum::<f32>() - wanted;
            Ok::<_, Infallible>(Some(vec![2.0 * off; values.len()]))
        });
        (weight, nearest, learned.unwrap().unwrap())
    }

    fn whole(weight: &IntWeight) -> Vec<i8> {
        match weight.values.data() {
            Data::I8(values) => values.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_of_one_sign_are_made_to_cancel() {
        // A step is 1, and each of nine is about 0.4 above an integer: the nearest loses that nine times.
        let exact: Vec<f32> = std::iter::once(127.5).chain((0..9).map(|at| at as f32 * 1.01 + 10.36)).collect();
        let (_, nearest, learned) = sum_of_all(&exact);
        let sum = |weight: &IntWeight| whole(weight).iter().map(|&q| f32::from(q)).sum::<f32>();
        let wanted: f32 = exact.iter().sum();
        let (before, after) = ((sum(&nearest) - wanted).abs(), (sum(&learned) - wanted).abs());
        assert!(before > 4.0 && after < 0.6 * before, "{before} before, {after} after");
        // No weight leaves the two integers that it lies between.
        let between = |(q, w): (&i8, &f32)| (f32::from(*q) - w).abs() < 1.0;
        assert!(whole(&learned).iter().zip(&exact).all(between), "{learned:?}");
    }

    #[test]
    fn learning_twice_comes_to_the_same() {
        let exact: Vec<f32> = (0..50).map(|at| (at as f32 * 0.37).sin()).collect();
        assert_eq!(whole(&sum_of_all(&exact).2), whole(&sum_of_all(&exact).2));
    }

    #[test]
    fn without_an_error_the_pull_alone_decides_for_the_nearest() {
        let exact = vec![127.0, 3.3, -4.2, 9.8];
        let weight = Tensor::f32(vec![1, 4], exact).unwrap();
        let nearest = integers(&weight, Granularity::PerChannel, false).unwrap();
        let lesson = Lesson { iterations: 500, examples: 1, unit: 1.0, seed: 0 };
        let learned = learn(&weight, &nearest, lesson, |values, _| Ok::<_, Infallible>(Some(vec![0.0; values.len()])));
        assert_eq!(whole(&learned.unwrap().unwrap()), whole(&nearest));
    }
}
