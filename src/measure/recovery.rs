//! From when on a wait for a processor is no longer felt. A network whose threads were stopped has to fetch its weights
//! into the caches again, and threads that fell asleep meanwhile have to wake up: how many passes that takes differs from
//! network to network and from machine to machine, and so it is measured, on the passes themselves.

use super::turn::{FAR, Pass, waits};
use crate::stats::sample;

/// Medians that differ by less than this fraction are alike.
const ALIKE: f64 = 0.025;

/// Passes that a median needs.
const ENOUGH: usize = 20;

/// After how many passes since a wait those of a network take as long as any later ones. `None` where that cannot be
/// told, for waits follow each other too closely: the passes between them may all be slow.
#[must_use]
pub fn recovered_after(passes: &[&Pass]) -> Option<usize> {
    let free = |passes: &[&Pass], since: usize| -> Vec<f64> {
        let of_place = passes.iter().filter(|pass| pass.since_wait == since && !waits(pass.waited, pass.nanoseconds));
        of_place.map(|pass| pass.nanoseconds as f64).collect()
    };
    let medians: Vec<Option<f64>> = (0..=FAR)
        .map(|since| Some(free(passes, since)).filter(|times| times.len() >= ENOUGH))
        .map(|times| sample::median(&times?))
        .collect();
    if medians.iter().all(Option::is_none) {
        // So few passes, or none without a wait, that nothing can be compared.
        return Some(FIRST);
    }
    (FIRST..=FAR).find(|&place| {
        let Some(own) = medians[place] else { return false };
        let mut later = medians[place + 1..].iter().flatten().peekable();
        let is_last = later.peek().is_none();
        let is_level = later.all(|later| own <= later * (1.0 + ALIKE));
        // The last place with enough passes is as good as the one before it, or so far away that nothing is felt.
        let was_level = || medians[place - 1].is_some_and(|before| before <= own * (1.0 + ALIKE));
        is_level && (!is_last || place == FAR || was_level())
    })
}

/// The pass after one with a wait is never counted.
const FIRST: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes of these microseconds after a wait, so many times over.
    fn after_waits(microseconds: &[u64], times: usize) -> Vec<Pass> {
        let pass = |(since_wait, microseconds): (usize, &u64)| Pass {
            nanoseconds: microseconds * 1000,
            input: 0,
            waited: Some(0),
            since_wait: since_wait.min(FAR),
        };
        let window: Vec<Pass> = microseconds.iter().enumerate().map(pass).collect();
        window.repeat(times)
    }

    fn told(microseconds: &[u64], times: usize) -> Option<usize> {
        let passes = after_waits(microseconds, times);
        recovered_after(&passes.iter().collect::<Vec<_>>())
    }

    #[test]
    fn passes_count_from_where_they_no_longer_get_faster() {
        assert_eq!(told(&[1120, 1040, 1000, 960, 960, 960], 30), Some(3));
        assert_eq!(told(&[270; 20], 30), Some(1));
        // Slow at first, and all at once as fast as ever.
        assert_eq!(told(&[1090, 1090, 1090, 275, 275], 30), Some(3));
    }

    #[test]
    fn waits_that_follow_each_other_too_closely_leave_nothing_to_compare_with() {
        // As measured: passes of 1.57 ms at rest.
        assert_eq!(told(&[1864, 1751], 45), None);
        assert_eq!(told(&[1120, 1040], 45), None);
        // Level from the start, they have recovered.
        assert_eq!(told(&[985, 976], 45), Some(1));
        // All in one place, next to the waits.
        assert_eq!(told(&[1864], 45), None);
    }

    #[test]
    fn far_from_every_wait_nothing_has_to_be_compared() {
        let far = Pass { nanoseconds: 5, input: 0, waited: None, since_wait: FAR };
        assert_eq!(recovered_after(&[&far; 40]), Some(FAR));
        assert_eq!(told(&[1000; 6], 3), Some(1), "too few passes to tell");
    }

    #[test]
    fn a_pass_with_a_wait_is_in_no_median() {
        let mut passes = after_waits(&[270, 270, 270], 30);
        let waiting = Pass { nanoseconds: 4_000_000, input: 0, waited: Some(3_000_000), since_wait: 2 };
        passes.extend([waiting; 100]);
        assert_eq!(recovered_after(&passes.iter().collect::<Vec<_>>()), Some(1));
    }
}
