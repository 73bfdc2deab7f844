//! What each recipe of a manifest chooses.

use super::observer::ObserverKind;
use super::qparams::Range;
use crate::manifest::Recipe;

impl Recipe {
    /// The observer of every activation that no layer rule changes.
    #[must_use]
    pub const fn activation_observer(self) -> ObserverKind {
        match self {
            Self::FxDefault => ObserverKind::Histogram,
            Self::Minmax => ObserverKind::Minmax,
            Self::Percentile => ObserverKind::Percentile,
        }
    }

    /// Unsigned 7-bit activations: FBGEMM's 16-bit accumulators saturate with 8 bits on CPUs
    /// without VNNI, which is why PyTorch's default reduces the range.
    #[must_use]
    pub const fn activation_range(self) -> Range {
        Range { min: 0, max: 127 }
    }

    /// One sentence for reports.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::FxDefault => {
                "histogram observer (2 048 bins, L2 search), unsigned 7-bit affine activations; per-channel symmetric 8-bit weights"
            }
            Self::Minmax => "min/max observer, unsigned 7-bit affine activations; per-channel symmetric 8-bit weights",
            Self::Percentile => {
                "99.99 % percentile observer, unsigned 7-bit affine activations; per-channel symmetric 8-bit weights"
            }
        }
    }
}
