//! The inputs that timed passes run on, one after the other. An engine that keeps answers is fast only on inputs that
//! it has seen, so every process sees each of them for the first time in the middle of its timed passes.

/// How many different inputs there are, if the memory and the samples allow it.
const INPUTS: usize = 8;

/// All inputs together take at most this many bytes, unless a single one has more.
const MOST_BYTES: usize = 256 << 20;

/// The inputs of one batch size, by the sample that each starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub batch: usize,
    /// Of the untimed passes; no timed pass runs on it, unless there is one sample alone.
    pub warm_up: usize,
    /// Of the timed passes, in turn.
    pub timed: Vec<usize>,
}

impl Pool {
    /// A pool of `samples` images, each of `image_bytes`. Batches follow each other where there are enough samples;
    /// otherwise each batch starts one sample after the one before.
    #[must_use]
    pub fn of(batch: usize, samples: usize, image_bytes: usize) -> Self {
        let fits = MOST_BYTES / batch.saturating_mul(image_bytes).max(1);
        let inputs = INPUTS.min(fits.saturating_sub(1)).max(1);
        let stride = if (inputs + 1).saturating_mul(batch) <= samples { batch } else { 1 };
        // A further input would be the first one again.
        let different = if stride == 1 { inputs.min(samples.saturating_sub(1)).max(1) } else { inputs };
        let timed = (1..=different).map(|input| input * stride % samples.max(1)).collect();
        Self { batch, warm_up: 0, timed }
    }

    /// Every input, the one of the untimed passes first.
    pub fn inputs(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.warm_up).chain(self.timed.iter().copied())
    }

    /// How many samples, the first repeated after the last, hold all inputs.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.inputs().max().unwrap_or(0) + self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_differ_as_far_as_there_are_samples() {
        let image = 12 << 10;
        let pool = Pool::of(50, 2000, image);
        assert_eq!((pool.warm_up, pool.timed.as_slice()), (0, &[50, 100, 150, 200, 250, 300, 350, 400][..]));
        assert_eq!(pool.samples(), 450);
        assert_eq!(Pool::of(50, 60, image).timed, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(Pool::of(1, 3, image).timed, [1, 2]);
        assert_eq!(Pool::of(4, 1, image), Pool { batch: 4, warm_up: 0, timed: vec![0] });
    }

    #[test]
    fn large_batches_have_fewer_inputs() {
        let image = 3 * 224 * 224 * 4;
        assert_eq!(Pool::of(50, 50_000, image).timed.len(), 7);
        assert_eq!(Pool::of(256, 50_000, image).timed.len(), 1);
    }
}
