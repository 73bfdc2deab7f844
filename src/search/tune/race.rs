//! Networks timed in turns, to rank them: what slows the machine slows each.

use crate::backend::Session;
use crate::base::clock;
use crate::base::explain::Failure;
use crate::tensor::Tensor;

/// Passes before times are taken, and least rounds of passes while they are.
const WARM_UP: usize = 5;
const ROUNDS: usize = 15;

/// The quantile that counts: what else runs on the machine makes passes slower, never faster.
const QUANTILE: f64 = 0.25;

/// What a pass of each takes on an input, in milliseconds, after so many seconds of turns at least.
pub(super) fn race<const N: usize>(
    mut runners: [&mut Box<dyn Session>; N],
    input: &Tensor,
    seconds: f64,
) -> Result<[f64; N], Failure> {
    for runner in &mut runners {
        runner.load(input)?;
        for _ in 0..WARM_UP {
            runner.forward()?;
        }
    }
    let (mut times, began) = ([const { Vec::new() }; N], clock::tick());
    while times[0].len() < ROUNDS || began.elapsed().as_secs_f64() < seconds {
        for (runner, times) in runners.iter_mut().zip(&mut times) {
            let start = clock::tick();
            runner.forward()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
        let place = (times.len() as f64 * QUANTILE) as usize;
        times[place]
    }))
}
