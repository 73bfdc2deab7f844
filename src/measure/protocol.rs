//! Who is measured when.

use crate::base::clock;
use crate::base::rng::Stream;

/// The variants of each round in a seeded, shuffled order, so that drift of the machine falls on
/// all of them alike.
#[must_use]
pub fn rounds(variants: usize, rounds: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut stream = Stream::named(seed, "benchmark order");
    (0..rounds)
        .map(|_| {
            let mut order: Vec<usize> = (0..variants).collect();
            stream.shuffle(&mut order);
            order
        })
        .collect()
}

/// Runs `step` untimed, then timed; returns the nanoseconds of each timed call.
pub fn time<E>(warmup: usize, iterations: usize, mut step: impl FnMut() -> Result<(), E>) -> Result<Vec<u64>, E> {
    for _ in 0..warmup {
        step()?;
    }
    let mut nanoseconds = Vec::with_capacity(iterations);
    for _ in 0..iterations {
        let start = clock::tick();
        step()?;
        nanoseconds.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_one_turn_in_every_round() {
        let order = rounds(3, 20, 1);
        assert!(order.iter().all(|round| {
            let mut r = round.clone();
            r.sort_unstable();
            r == [0, 1, 2]
        }));
        assert!(order.windows(2).any(|pair| pair[0] != pair[1]));
        assert_eq!(order, rounds(3, 20, 1));
    }

    #[test]
    fn warm_up_is_not_timed() {
        let mut calls = 0;
        let times = time(2, 5, || {
            calls += 1;
            Ok::<(), ()>(())
        })
        .unwrap();
        assert_eq!((calls, times.len()), (7, 5));
    }
}
