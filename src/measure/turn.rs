//! One turn of one variant at one batch size, inside the measuring process: untimed passes until
//! they are no longer getting faster, then timed ones. Nothing but the pass lies between two looks
//! at the clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::clock;
use crate::base::digest::Digest;

/// How long a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Length {
    /// Least and most untimed passes.
    pub warmup: usize,
    pub max_warmup: usize,
    /// Least timed passes.
    pub iterations: usize,
    /// Least seconds of timed passes.
    pub min_seconds: f64,
}

impl Length {
    /// The length of a turn in a process that has warmed up before.
    #[must_use]
    pub const fn again(self) -> Self {
        Self { max_warmup: self.warmup, ..self }
    }
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// Of each timed pass.
    pub nanoseconds: Vec<u64>,
    /// Untimed passes, and whether the last of them were no longer getting faster.
    pub warmup: usize,
    pub settled: bool,
    /// Passes, timed or not, by the digest of what they computed.
    pub outputs: BTreeMap<Digest, usize>,
}

impl Timed {
    /// The median of the timed passes, the lower of two: where every other pass is answered from memory, it is one of
    /// those.
    #[must_use]
    pub fn usual(&self) -> Option<u64> {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }
}

/// A pass that gains less than this on the fastest before it, a fraction, has settled.
const GAIN: f64 = 0.05;

/// So many settled passes in a row end the warm-up.
const SETTLED: usize = 2;

/// A turn ends here however short its passes are.
const MOST_PASSES: usize = 100_000;

/// Takes a turn: `pass` is what is timed, `digest` looks at what the last pass computed.
pub fn take<S, E>(
    length: &Length,
    state: &mut S,
    mut pass: impl FnMut(&mut S) -> Result<(), E>,
    mut digest: impl FnMut(&mut S) -> Result<Digest, E>,
) -> Result<Timed, E> {
    let mut outputs = BTreeMap::new();
    let mut one = || {
        let nanoseconds = nanoseconds(&mut || pass(state))?;
        *outputs.entry(digest(state)?).or_insert(0) += 1;
        Ok(nanoseconds)
    };
    let (warmup, settled) = warm_up(length, &mut one)?;
    let mut times = Vec::with_capacity(length.iterations);
    let mut spent = 0;
    while times.len() < length.iterations || (seconds(spent) < length.min_seconds && times.len() < MOST_PASSES) {
        let nanoseconds = one()?;
        spent += nanoseconds;
        times.push(nanoseconds);
    }
    Ok(Timed { nanoseconds: times, warmup, settled, outputs })
}

/// Passes taken and whether they settled.
fn warm_up<E>(length: &Length, mut pass: impl FnMut() -> Result<u64, E>) -> Result<(usize, bool), E> {
    let (mut fastest, mut settled, mut taken) = (u64::MAX, 0, 0);
    while taken < length.warmup || (settled < SETTLED && taken < length.max_warmup) {
        let nanoseconds = pass()?;
        let gained = (nanoseconds as f64) < fastest as f64 * (1.0 - GAIN);
        settled = if gained { 0 } else { settled + 1 };
        fastest = fastest.min(nanoseconds);
        taken += 1;
    }
    Ok((taken, settled >= SETTLED))
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// The timed region.
fn nanoseconds<E>(pass: &mut impl FnMut() -> Result<(), E>) -> Result<u64, E> {
    let start = clock::tick();
    pass()?;
    Ok(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Passes on inputs that were never seen, beside those on one that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    pub fresh_nanoseconds: Vec<u64>,
    /// What a pass usually takes on the input of a turn.
    pub usual_nanoseconds: u64,
}

impl Probed {
    /// How many times longer the first look at an input takes than a later one: the fastest first look over the
    /// usual pass. A first look that computes is slow whenever the machine is busy, one that fills a memory is
    /// slow every time.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let fresh = self.fresh_nanoseconds.iter().min()?;
        Some(*fresh as f64 / self.usual_nanoseconds.max(1) as f64)
    }
}

/// Below this ratio of a first look to usual ones nothing was kept.
const AS_FAST: f64 = 1.2;

/// So many passes, after one that does not count, tell whether the machine has become slower since the turn.
const AGAIN: usize = 3;

/// Looks for answers kept from earlier passes, which usually took so long, on so many inputs at most: `load` hands
/// over the input of that number, 0 being that of turns, and a `pass` that computes takes as long as ever.
pub fn probe<S, E>(
    inputs: usize,
    usual_nanoseconds: u64,
    state: &mut S,
    mut load: impl FnMut(&mut S, usize) -> Result<(), E>,
    mut pass: impl FnMut(&mut S) -> Result<(), E>,
) -> Result<Probed, E> {
    let mut probed = Probed { fresh_nanoseconds: Vec::new(), usual_nanoseconds };
    // A first look as fast as usual is proof enough: more could only be faster.
    while probed.fresh_nanoseconds.len() < inputs && probed.ratio().is_none_or(|ratio| ratio >= AS_FAST) {
        load(state, 1 + probed.fresh_nanoseconds.len())?;
        probed.fresh_nanoseconds.push(nanoseconds(&mut || pass(state))?);
    }
    if probed.ratio().is_some_and(|ratio| ratio >= AS_FAST) {
        load(state, 0)?;
        let mut fastest = u64::MAX;
        for number in 0..=AGAIN {
            let taken = nanoseconds(&mut || pass(state))?;
            fastest = if number == 0 { fastest } else { fastest.min(taken) };
        }
        probed.usual_nanoseconds = probed.usual_nanoseconds.max(fastest);
    }
    Ok(probed)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use super::*;

    const SHORT: Length = Length { warmup: 2, max_warmup: 50, iterations: 5, min_seconds: 0.0 };

    fn run(length: Length, mut pass: impl FnMut(usize)) -> Timed {
        let step = |number: &mut usize| {
            pass(*number);
            *number += 1;
            Ok::<(), Infallible>(())
        };
        let Ok(timed) = take(&length, &mut 0, step, |_| Ok(Digest::of(b"same")));
        timed
    }

    #[test]
    fn warm_up_is_not_timed_and_lasts_until_passes_settle() {
        // 40, 20, 10 and then always 5 ms: three that gain, one more that does, two that do not.
        let slow = |number: usize| std::thread::sleep(Duration::from_millis(40 >> number.min(3)));
        let timed = run(SHORT, slow);
        assert!(timed.settled && (6..12).contains(&timed.warmup), "{timed:?}");
        assert_eq!(timed.nanoseconds.len(), 5);
        assert!(timed.nanoseconds.iter().all(|&ns| ns < 20_000_000), "{timed:?}");
        assert_eq!(timed.outputs.into_values().collect::<Vec<_>>(), [timed.warmup + 5]);
    }

    #[test]
    fn a_pass_that_never_settles_is_capped_and_said_so() {
        let faster = |number: usize| std::thread::sleep(Duration::from_millis(1 << (7 - number.min(7))));
        let timed = run(Length { max_warmup: 4, ..SHORT }, faster);
        assert_eq!((timed.warmup, timed.settled), (4, false));
    }

    #[test]
    fn short_passes_are_repeated_for_the_least_time() {
        let timed = run(Length { min_seconds: 0.02, ..SHORT }, |_| std::thread::sleep(Duration::from_millis(1)));
        assert!((6..=20).contains(&timed.nanoseconds.len()), "{}", timed.nanoseconds.len());
    }

    #[test]
    fn an_answer_from_memory_is_faster_than_a_first_look() {
        // The turn's own input is known.
        let mut known = (vec![true, false, false, false, false], 0);
        let load = |state: &mut (Vec<bool>, usize), input| {
            state.1 = input;
            Ok::<(), Infallible>(())
        };
        let caching = |(known, input): &mut (Vec<bool>, usize)| {
            if !std::mem::replace(&mut known[*input], true) {
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        };
        let Ok(probed) = probe(4, 1_000, &mut known, load, caching);
        assert_eq!(probed.fresh_nanoseconds.len(), 4);
        assert!(probed.ratio().unwrap() > 10.0, "{probed:?}");
    }

    #[test]
    fn every_other_answer_from_memory_is_found_too() {
        let answers = |nanoseconds: &[u64]| Timed {
            nanoseconds: nanoseconds.to_vec(),
            warmup: 0,
            settled: true,
            outputs: BTreeMap::new(),
        };
        assert_eq!(answers(&[900, 1, 900, 1]).usual(), Some(1));
        assert_eq!(answers(&[5, 1, 3]).usual(), Some(3));
        assert_eq!(answers(&[]).usual(), None);
    }

    #[test]
    fn a_machine_that_became_slower_is_not_taken_for_a_memory() {
        let sleep = |(): &mut ()| {
            std::thread::sleep(Duration::from_millis(2));
            Ok::<(), Infallible>(())
        };
        let Ok(probed) = probe(4, 1_000, &mut (), |(): &mut (), _| Ok(()), sleep);
        assert!(probed.ratio().unwrap() < 2.0, "{probed:?}");
    }

    #[test]
    fn what_computes_every_time_is_soon_believed() {
        let inputs = std::cell::Cell::new(0);
        let load = |(): &mut (), input: usize| {
            inputs.set(input);
            Ok::<(), Infallible>(())
        };
        let Ok(probed) = probe(50, 1_000_000_000, &mut (), load, |()| Ok(()));
        assert_eq!((probed.fresh_nanoseconds.len(), inputs.get()), (1, 1));
    }

    #[test]
    fn a_busy_machine_is_not_taken_for_a_memory() {
        let probed = Probed { fresh_nanoseconds: vec![4_000, 900, 5_000, 6_000, 7_000], usual_nanoseconds: 1_000 };
        assert!((probed.ratio().unwrap() - 0.9).abs() < 1e-9);
    }

    #[test]
    fn changing_outputs_are_counted() {
        let digest = |number: &mut u8| {
            *number += 1;
            Ok::<_, Infallible>(Digest::of(&[*number % 2]))
        };
        let Ok(timed) = take(&SHORT, &mut 0, |_| Ok(()), digest);
        assert_eq!(timed.outputs.len(), 2);
    }
}
