//! One turn of one variant at one batch size, inside the measuring process: untimed passes until
//! they are no longer getting faster, then timed ones. Nothing but the pass lies between two looks
//! at the clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::conditions::Stolen;
use super::waiting::{DISTURBED, Threads};
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
    /// Whether a turn that has taken `passes` passes in `seconds` takes another. `alone` of the passes were left alone:
    /// where other programs disturb a turn, it lasts longer, until no other pass can save it.
    fn goes_on(&self, passes: usize, alone: usize, seconds: f64) -> bool {
        if seconds >= LONGER * self.min_seconds {
            let is_lost = alone < passes && seconds >= ENOUGH;
            return passes < self.iterations && !is_lost;
        }
        let short = passes < self.iterations || seconds < self.min_seconds || alone < self.iterations;
        short && passes < MOST_PASSES
    }

    /// The length of a turn in a process that has warmed up before.
    #[must_use]
    pub const fn again(self) -> Self {
        Self { max_warmup: self.warmup, ..self }
    }
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// The timed passes, in order.
    pub passes: Vec<Pass>,
    /// Untimed passes, and whether they ended because they were no longer getting faster.
    pub warmup: usize,
    pub settled: bool,
    /// Passes, timed or not, by the input that they ran on and the digest of what they computed.
    pub outputs: Vec<Computed>,
    /// Processor seconds that a hypervisor gave to others meanwhile, as a share of what there was.
    pub stolen: Option<f64>,
}

/// A timed pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    pub nanoseconds: u64,
    /// Which of the turn's inputs it ran on.
    pub input: usize,
    /// Nanoseconds that the process's threads together waited for a processor; absent where the kernel does not say.
    pub waited: Option<u64>,
    /// Whether they waited in the pass before it.
    pub follows_wait: bool,
}

impl Pass {
    /// Whether others kept it from its processors, or kept the pass before it from them: threads that were stopped
    /// and went on, or fell asleep meanwhile, still slow down the next pass.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        self.follows_wait || waits(self.waited, self.nanoseconds)
    }
}

/// Whether threads waited for more than a small share of a pass.
fn waits(waited: Option<u64>, nanoseconds: u64) -> bool {
    waited.is_some_and(|waited| waited as f64 > DISTURBED * nanoseconds as f64)
}

/// What passes on one input computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computed {
    pub input: usize,
    pub output: Digest,
    pub passes: usize,
}

impl Timed {
    /// Whether too few of its passes, `wanted` at least, had the processors to themselves.
    #[must_use]
    pub fn is_disturbed(&self, wanted: usize) -> bool {
        let free = self.passes.iter().filter(|pass| !pass.is_disturbed()).count();
        free < wanted.min(self.passes.len()) || self.stolen.is_some_and(|share| share > DISTURBED)
    }
}

/// A pass that gains less than this on the fastest before it, a fraction, has settled.
const GAIN: f64 = 0.05;

/// So many settled passes in a row end the warm-up.
const SETTLED: usize = 2;

/// A turn that is disturbed lasts at most this many times `min_seconds`.
const LONGER: f64 = 4.0;

/// Seconds after which a disturbed turn ends even before its least passes: they would all have to be left alone.
const ENOUGH: f64 = 1.0;

/// A turn ends here however short its passes are.
const MOST_PASSES: usize = 100_000;

/// What a turn does with a network.
pub trait Network {
    type Error;

    /// Hands over the input of this number.
    fn load(&mut self, input: usize) -> Result<(), Self::Error>;

    /// What is timed: a pass over the input that was handed over last.
    fn pass(&mut self) -> Result<(), Self::Error>;

    /// Of what the last pass computed.
    fn output(&mut self) -> Result<Digest, Self::Error>;
}

/// The inputs of a turn, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Of the untimed passes.
    pub warm_up: usize,
    /// Of the timed passes, one after the other and again from the first.
    pub timed: Vec<usize>,
    /// The place among `timed` that the first timed pass takes.
    pub next: usize,
}

/// Takes a turn.
pub fn take<N: Network>(length: &Length, inputs: &Inputs, network: &mut N) -> Result<Timed, N::Error> {
    let mut outputs: BTreeMap<(usize, Digest), usize> = BTreeMap::new();
    network.load(inputs.warm_up)?;
    let (warmup, settled) = warm_up(length, || {
        let nanoseconds = nanoseconds(&mut || network.pass())?;
        *outputs.entry((inputs.warm_up, network.output()?)).or_insert(0) += 1;
        Ok(nanoseconds)
    })?;
    let threads = Threads::now();
    let stolen = Stolen::now();
    let mut measured = |input: usize, network: &mut N| -> Result<(u64, Option<u64>), N::Error> {
        network.load(input)?;
        let before = threads.waited();
        let nanoseconds = nanoseconds(&mut || network.pass())?;
        let waited = threads.waited().zip(before).map(|(after, before)| after.saturating_sub(before));
        *outputs.entry((input, network.output()?)).or_insert(0) += 1;
        Ok((nanoseconds, waited))
    };
    // One more pass that is not timed: the first timed one must not follow a wait unseen.
    let (nanoseconds, waited) = measured(inputs.warm_up, network)?;
    let (warmup, mut follows_wait) = (warmup + 1, waits(waited, nanoseconds));
    let mut passes: Vec<Pass> = Vec::with_capacity(length.iterations);
    let (mut spent, mut alone) = (0, 0);
    while length.goes_on(passes.len(), alone, seconds(spent)) {
        let input = inputs.timed[(inputs.next + passes.len()) % inputs.timed.len()];
        let (nanoseconds, waited) = measured(input, network)?;
        let pass = Pass { nanoseconds, input, waited, follows_wait };
        follows_wait = waits(waited, nanoseconds);
        spent += nanoseconds;
        alone += usize::from(!pass.is_disturbed());
        passes.push(pass);
    }
    let outputs = outputs.into_iter().map(|((input, output), passes)| Computed { input, output, passes }).collect();
    Ok(Timed { passes, warmup, settled, outputs, stolen: stolen.share() })
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const SHORT: Length = Length { warmup: 2, max_warmup: 50, iterations: 5, min_seconds: 0.0 };

    /// A network of a test's own making: a pass is told its number, and computes its input.
    struct Scripted<F>(F, usize, usize);

    impl<F: FnMut(usize)> Network for Scripted<F> {
        type Error = Infallible;

        fn load(&mut self, input: usize) -> Result<(), Infallible> {
            self.2 = input;
            Ok(())
        }

        fn pass(&mut self) -> Result<(), Infallible> {
            (self.0)(self.1);
            self.1 += 1;
            Ok(())
        }

        fn output(&mut self) -> Result<Digest, Infallible> {
            Ok(Digest::of(&self.2.to_le_bytes()))
        }
    }

    fn run(length: Length, pass: impl FnMut(usize)) -> Timed {
        let inputs = Inputs { warm_up: 0, timed: vec![7, 8, 9], next: 1 };
        let Ok(timed) = take(&length, &inputs, &mut Scripted(pass, 0, 0));
        timed
    }

    /// Warms up with passes that take these nanoseconds; the last time repeats.
    fn warmed_up(length: Length, passes: &[u64]) -> (usize, bool) {
        let (mut next, last) = (passes.iter().copied(), passes[passes.len() - 1]);
        let Ok(warmed_up) = warm_up(&length, || Ok::<_, Infallible>(next.next().unwrap_or(last)));
        warmed_up
    }

    #[test]
    fn warm_up_lasts_until_passes_settle() {
        // Four that gain, the first among them, and two that do not.
        assert_eq!(warmed_up(SHORT, &[40, 20, 10, 5, 5, 5]), (6, true));
        // A pass that something slows down gains nothing, and less than a twentieth is no gain.
        assert_eq!(warmed_up(SHORT, &[40, 90, 20, 100, 98]), (5, true));
    }

    #[test]
    fn a_pass_that_never_settles_is_capped_and_said_so() {
        assert_eq!(warmed_up(Length { max_warmup: 4, ..SHORT }, &[128, 64, 32, 16, 8, 4]), (4, false));
        assert_eq!(warmed_up(SHORT.again(), &[128, 64, 32]), (2, false));
    }

    #[test]
    fn a_turn_lasts_its_least_passes_and_its_least_time() {
        let length = Length { min_seconds: 0.02, ..SHORT };
        assert!(length.goes_on(4, 4, 1.0) && length.goes_on(15, 15, 0.019));
        assert!(!length.goes_on(15, 15, 0.021));
        // Where passes are disturbed it goes on for some times as long.
        assert!(length.goes_on(15, 4, 0.021) && length.goes_on(15, 4, 0.079));
        assert!(!length.goes_on(15, 4, 0.081) && !length.goes_on(15, 5, 0.021));
        assert!(!length.goes_on(MOST_PASSES, 4, 0.0));
        // Slow passes are all taken, unless one was disturbed: no turn of its least passes would do then.
        assert!(length.goes_on(4, 4, 9.0) && !length.goes_on(5, 5, 9.0));
        assert!(!length.goes_on(2, 1, 9.0) && length.goes_on(2, 1, 0.9));
    }

    #[test]
    fn untimed_passes_run_on_an_input_of_their_own() {
        let timed = run(SHORT, |_| ());
        assert!(timed.warmup > SHORT.warmup, "one more than it warms up with: {timed:?}");
        assert_eq!((timed.outputs[0].input, timed.outputs[0].passes), (0, timed.warmup));
    }

    #[test]
    fn timed_passes_take_the_inputs_in_turn() {
        let timed = run(SHORT, |_| ());
        assert_eq!(timed.passes.iter().map(|pass| pass.input).collect::<Vec<_>>(), [8, 9, 7, 8, 9]);
        let computed: Vec<_> = timed.outputs.iter().map(|seen| (seen.input, seen.passes)).collect();
        assert_eq!(computed, [(0, timed.warmup), (7, 1), (8, 2), (9, 2)]);
    }

    #[test]
    fn a_turn_is_disturbed_where_too_few_passes_were_left_alone() {
        let pass = |waited| Pass { nanoseconds: 1_000_000, input: 0, waited, follows_wait: false };
        let turn = |passes: Vec<Pass>, stolen| Timed { passes, warmup: 0, settled: true, outputs: Vec::new(), stolen };
        let mixed = || vec![pass(Some(0)), pass(Some(5_000)), pass(Some(900_000)), pass(Some(21_000))];
        assert!(!turn(mixed(), None).is_disturbed(2));
        assert!(turn(mixed(), None).is_disturbed(3));
        assert!(turn(mixed(), Some(0.5)).is_disturbed(2));
        let after = |pass: Pass| Pass { follows_wait: true, ..pass };
        assert!(turn(vec![pass(Some(0)), after(pass(Some(0)))], None).is_disturbed(2));
        // What is not counted cannot be left out.
        assert!(!turn(vec![pass(None); 3], None).is_disturbed(5));
    }
}
