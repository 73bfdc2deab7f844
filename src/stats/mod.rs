//! The mathematics of measurement: samples, intervals, tests. Pure numbers, no files, no clocks;
//! every formula names its source.

pub mod bootstrap;
pub mod paired;
pub mod proportion;
pub mod ratio;
pub mod sample;
pub mod weight;

use serde::{Deserialize, Serialize};

/// A value with the interval it is known to: never a number alone.
///
/// `low` and `high` bound the 95 % interval; `n` is the number of observations behind it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
    pub n: usize,
}

impl Estimate {
    /// How far the interval reaches from the value, as a fraction of it.
    #[must_use]
    pub fn reach(&self) -> f64 {
        (self.high - self.value).max(self.value - self.low) / self.value.abs()
    }

    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { value: f(self.value), low: f(self.low), high: f(self.high), n: self.n }
    }
}

/// The 97.5 % quantile of the standard normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Its 80 % quantile.
pub const Z80: f64 = 0.841_621_233_572_914_2;
