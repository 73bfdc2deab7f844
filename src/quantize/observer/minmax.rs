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
    pub(super) fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// What one look over values tells.
pub(super) struct Look {
    /// How many are infinite or not a number.
    pub(super) not_finite: usize,
    /// The smallest and the largest of the others, where all are finite.
    pub(super) range: MinMax,
}

impl Look {
    pub(super) fn over(values: &[f32]) -> Self {
        // Lanes let the compiler use vectors; neither result depends on the order. A comparison that a NaN
        // fails is one instruction, `f32::min` is several.
        let (mut low, mut high, mut bad) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES], [0_u32; LANES]);
        let (blocks, tail) = values.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                let value = block[lane];
                low[lane] = if value < low[lane] { value } else { low[lane] };
                high[lane] = if value > high[lane] { value } else { high[lane] };
                bad[lane] += u32::from(!value.is_finite());
            }
        }
        let not_finite = bad.into_iter().sum::<u32>() as usize + tail.iter().filter(|x| !x.is_finite()).count();
        let min = low.into_iter().chain(tail.iter().copied()).fold(f32::INFINITY, f32::min);
        let max = high.into_iter().chain(tail.iter().copied()).fold(f32::NEG_INFINITY, f32::max);
        Self { not_finite, range: MinMax { min, max } }
    }
}

const LANES: usize = 8;
