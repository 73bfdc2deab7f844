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

/// Rounds in blocks, as many as are asked for, one after the other.
///
/// A block's rounds are spread evenly over its processes, so that what one process is lucky or unlucky
/// in, such as its memory layout, is seen as spread and not taken for a difference (Kalibera and
/// Jones, 2013). Within each round the variants have a seeded, shuffled order, so that drift of the
/// machine falls on all of them alike.
pub struct Schedule {
    variants: usize,
    rounds: usize,
    processes: usize,
    blocks: usize,
    stream: Stream,
}

impl Schedule {
    /// Blocks of `rounds` rounds in `processes` processes.
    #[must_use]
    pub fn new(variants: usize, rounds: usize, processes: usize, seed: u64) -> Self {
        let processes = processes.clamp(1, rounds.max(1));
        Self { variants, rounds, processes, blocks: 0, stream: Stream::named(seed, "benchmark order") }
    }

    /// The rounds of the next block.
    pub fn block(&mut self) -> Vec<Round> {
        let (first_round, first_process) = (self.blocks * self.rounds, self.blocks * self.processes);
        self.blocks += 1;
        (0..self.rounds)
            .map(|number| {
                let mut order: Vec<usize> = (0..self.variants).collect();
                self.stream.shuffle(&mut order);
                let process = first_process + number * self.processes / self.rounds;
                Round { number: first_round + number, process, order }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_one_turn_in_every_round() {
        let block = || Schedule::new(3, 20, 1, 1).block();
        let all = block();
        assert!(all.iter().all(|round| {
            let mut order = round.order.clone();
            order.sort_unstable();
            order == [0, 1, 2]
        }));
        assert!(all.windows(2).any(|pair| pair[0].order != pair[1].order));
        assert_eq!(all, block());
    }

    #[test]
    fn processes_share_the_rounds_evenly() {
        let of = |rounds, processes| {
            Schedule::new(1, rounds, processes, 0).block().iter().map(|r| r.process).collect::<Vec<_>>()
        };
        assert_eq!(of(7, 3), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(of(2, 5), [0, 1]);
    }

    #[test]
    fn a_further_block_has_rounds_and_processes_of_its_own() {
        let mut schedule = Schedule::new(2, 3, 2, 7);
        let both: Vec<Round> = [schedule.block(), schedule.block()].concat();
        assert_eq!(both.iter().map(|r| r.number).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(both.iter().map(|r| r.process).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 3]);
    }
}
