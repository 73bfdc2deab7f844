//! The smallest and the largest value seen.

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MinMax {
    pub(super) min: f32,
    pub(super) max: f32,
}

impl Default for MinMax {
    fn default() -> Self {
        Self { min: f32::INFINITY, max: f32::NEG_INFINITY }
    }
}

impl MinMax {
    pub(super) fn of(values: &[f32]) -> Self {
        // Eight lanes let the compiler vectorize; minimum and maximum do not depend on the order.
        let mut low = [f32::INFINITY; 8];
        let mut high = [f32::NEG_INFINITY; 8];
        let (blocks, tail) = values.as_chunks::<8>();
        for block in blocks {
            for lane in 0..8 {
                low[lane] = low[lane].min(block[lane]);
                high[lane] = high[lane].max(block[lane]);
            }
        }
        Self {
            min: low.into_iter().chain(tail.iter().copied()).fold(f32::INFINITY, f32::min),
            max: high.into_iter().chain(tail.iter().copied()).fold(f32::NEG_INFINITY, f32::max),
        }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    pub(super) fn observe(&mut self, values: &[f32]) {
        *self = self.union(Self::of(values));
    }
}
