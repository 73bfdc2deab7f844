//! Who is measured when, and in which process.

use crate::base::rng::Stream;

/// One round: the process of each variant that it belongs to, and the order of the variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    pub number: usize,
    /// Which of a variant's processes measures this round.
    pub process: usize,
    pub order: Vec<usize>,
}

/// The rounds in order, spread evenly over `processes`, so that what one process is lucky or
/// unlucky in, such as its memory layout, is seen as spread and not taken for a difference
/// (Kalibera and Jones, 2013). Within each round the variants have a seeded, shuffled order, so that
/// drift of the machine falls on all of them alike.
#[must_use]
pub fn rounds(variants: usize, rounds: usize, processes: usize, seed: u64) -> Vec<Round> {
    let mut stream = Stream::named(seed, "benchmark order");
    let processes = processes.clamp(1, rounds.max(1));
    (0..rounds)
        .map(|number| {
            let mut order: Vec<usize> = (0..variants).collect();
            stream.shuffle(&mut order);
            Round { number, process: number * processes / rounds, order }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_one_turn_in_every_round() {
        let all = rounds(3, 20, 1, 1);
        assert!(all.iter().all(|round| {
            let mut order = round.order.clone();
            order.sort_unstable();
            order == [0, 1, 2]
        }));
        assert!(all.windows(2).any(|pair| pair[0].order != pair[1].order));
        assert_eq!(all, rounds(3, 20, 1, 1));
    }

    #[test]
    fn processes_share_the_rounds_evenly() {
        let of = |count, processes| rounds(1, count, processes, 0).iter().map(|r| r.process).collect::<Vec<_>>();
        assert_eq!(of(7, 3), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(of(2, 5), [0, 1]);
    }
}
