//! Observers: what each activation tensor turned out to contain.

mod histogram;
mod minmax;
mod percentile;
mod reduce;
mod search;

use serde::{Deserialize, Serialize};

use histogram::Histogram;
use minmax::{Look, MinMax};

use crate::manifest::LayerObserver;

/// The observers a recipe or a layer rule can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObserverKind {
    /// PyTorch's `HistogramObserver`.
    Histogram,
    /// PyTorch's `MinMaxObserver`.
    Minmax,
    /// The central 99.99 % of the values.
    Percentile,
    /// The range of least squared error.
    Mse,
    /// The range of least divergence.
    Kl,
    /// Range known from the operator itself, as for a sigmoid; nothing is observed.
    Fixed,
}

impl ObserverKind {
    /// As records name it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Histogram => "histogram",
            Self::Minmax => "minmax",
            Self::Percentile => "percentile",
            Self::Mse => "mse",
            Self::Kl => "kl",
            Self::Fixed => "fixed",
        }
    }
}

impl ObserverKind {
    /// The kind of a [`word`](Self::word).
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Histogram, Self::Minmax, Self::Percentile, Self::Mse, Self::Kl, Self::Fixed];
        all.into_iter().find(|kind| kind.word() == word)
    }
}

impl From<LayerObserver> for ObserverKind {
    fn from(named: LayerObserver) -> Self {
        match named {
            LayerObserver::Histogram => Self::Histogram,
            LayerObserver::Minmax => Self::Minmax,
            LayerObserver::Percentile => Self::Percentile,
            LayerObserver::Mse => Self::Mse,
            LayerObserver::Kl => Self::Kl,
        }
    }
}

/// The range an observer chose, and what it saw.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Smallest and largest finite value seen.
    pub min: f32,
    pub max: f32,
    /// The range chosen for quantization.
    pub low: f32,
    pub high: f32,
    /// How many values were seen, and how many of them were infinite or not a number.
    pub values: u64,
    pub not_finite: u64,
    /// Tensors after which the smallest and largest value no longer moved by more than a hundredth of their
    /// distance.
    pub settled: usize,
}

/// The share of its last width at which a range counts as settled.
const SETTLED: f32 = 0.99;

/// An observer at work.
#[derive(Debug, Clone)]
pub struct Observer {
    method: Method,
    /// Integers that the tensor may take.
    levels: usize,
    values: u64,
    not_finite: u64,
    /// Distance of the smallest and largest value after each tensor.
    widths: Vec<f32>,
}

#[derive(Debug, Clone)]
enum Method {
    MinMax(MinMax),
    Histogram(Box<Histogram>),
    Percentile(Box<Histogram>),
    Mse(Box<Histogram>),
    Kl(Box<Histogram>),
}

impl Observer {
    /// `None` for [`ObserverKind::Fixed`], which observes nothing.
    #[must_use]
    pub fn new(kind: ObserverKind, levels: usize) -> Option<Self> {
        let method = match kind {
            ObserverKind::Histogram => Method::Histogram(Box::default()),
            ObserverKind::Percentile => Method::Percentile(Box::default()),
            ObserverKind::Mse => Method::Mse(Box::default()),
            ObserverKind::Kl => Method::Kl(Box::default()),
            ObserverKind::Minmax => Method::MinMax(MinMax::default()),
            ObserverKind::Fixed => return None,
        };
        Some(Self { method, levels, values: 0, not_finite: 0, widths: Vec::new() })
    }

    /// Takes in one tensor; the order of calls matters to histograms, as it does in PyTorch.
    pub fn observe(&mut self, tensor: &[f32]) {
        self.values += tensor.len() as u64;
        let look = Look::over(tensor);
        self.not_finite += look.not_finite as u64;
        if look.not_finite > 0 {
            let finite: Vec<f32> = tensor.iter().copied().filter(|x| x.is_finite()).collect();
            self.take(&finite, Look::over(&finite).range);
        } else {
            self.take(tensor, look.range);
        }
        let range = self.range();
        self.widths.push(range.max - range.min);
    }

    fn range(&self) -> MinMax {
        match &self.method {
            Method::MinMax(minmax) => *minmax,
            Method::Histogram(histogram)
            | Method::Percentile(histogram)
            | Method::Mse(histogram)
            | Method::Kl(histogram) => histogram.range,
        }
    }

    fn settled(&self) -> usize {
        let last = self.widths.last().copied().unwrap_or(0.0);
        self.widths.iter().take_while(|width| **width < last * SETTLED || !width.is_finite()).count() + 1
    }

    fn take(&mut self, finite: &[f32], seen: MinMax) {
        if finite.is_empty() {
            return;
        }
        match &mut self.method {
            Method::MinMax(minmax) => *minmax = minmax.union(seen),
            Method::Histogram(histogram)
            | Method::Percentile(histogram)
            | Method::Mse(histogram)
            | Method::Kl(histogram) => histogram.observe(finite, seen),
        }
    }

    /// What was seen and chosen; `None` if nothing finite was observed.
    #[must_use]
    pub fn finish(&self) -> Option<Observed> {
        let seen = self.range();
        let (low, high) = match &self.method {
            Method::MinMax(minmax) => (minmax.min, minmax.max),
            Method::Histogram(histogram) => histogram.search(),
            Method::Percentile(histogram) => percentile::central(histogram),
            Method::Mse(histogram) => search::least_squares(histogram, self.levels),
            Method::Kl(histogram) => search::least_divergence(histogram, self.levels),
        };
        let (values, not_finite, settled) = (self.values, self.not_finite, self.settled());
        (values > not_finite).then_some(Observed {
            min: seen.min,
            max: seen.max,
            low,
            high,
            values,
            not_finite,
            settled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_finite_is_nothing_observed_and_is_counted() {
        let mut observer = Observer::new(ObserverKind::Histogram, 128).unwrap();
        observer.observe(&[f32::NAN, f32::INFINITY]);
        assert!(observer.finish().is_none());
        observer.observe(&[1.0, f32::NAN]);
        let seen = observer.finish().unwrap();
        assert_eq!((seen.values, seen.not_finite, seen.min, seen.max), (4, 3, 1.0, 1.0));
    }

    #[test]
    fn minmax_takes_everything_and_percentile_cuts_a_lone_outlier() {
        let mut values: Vec<f32> = (0..200_000).map(|i| i as f32 / 200_000.0).collect();
        values.push(1000.0);
        let range = |kind| {
            let mut observer = Observer::new(kind, 128).unwrap();
            observer.observe(&values);
            observer.finish().unwrap()
        };
        assert_eq!(range(ObserverKind::Minmax).high, 1000.0);
        assert!(range(ObserverKind::Percentile).high < 2.0);
        assert_eq!(range(ObserverKind::Percentile).max, 1000.0);
    }
}
