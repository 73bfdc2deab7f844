//! Random numbers that depend on a seed and a name and on nothing else.

use super::digest::Digest;

/// A stream of pseudo-random numbers: SplitMix64 (Steele, Lea and Flood, 2014) started from
/// SHA-256(seed ‖ name), so that two uses of one seed never share numbers.
#[derive(Debug, Clone)]
pub struct Stream(u64);

impl Stream {
    #[must_use]
    pub fn named(seed: u64, name: &str) -> Self {
        let start = Digest::of_parts([&seed.to_be_bytes()[..], name.as_bytes()]);
        let mut state = [0; 8];
        state.copy_from_slice(&start.bytes()[..8]);
        Self(u64::from_be_bytes(state))
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, by Lemire's multiply-shift (bias below `bound` / 2⁶⁴).
    #[expect(clippy::cast_possible_truncation, reason = "the result is below a usize")]
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Fisher–Yates shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_and_name_only() {
        let first = |seed, name| Stream::named(seed, name).next_u64();
        assert_eq!(first(1, "bootstrap"), first(1, "bootstrap"));
        assert_ne!(first(1, "bootstrap"), first(1, "order"));
        assert_ne!(first(1, "bootstrap"), first(2, "bootstrap"));
    }

    #[test]
    fn shuffle_keeps_every_item_and_below_stays_below() {
        let mut stream = Stream::named(7, "shuffle");
        let mut items: Vec<_> = (0..100).collect();
        stream.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        assert!((0..1000).all(|_| stream.below(3) < 3));
    }
}
