//! Ctrl-C as a question that long work asks between steps, so that it can leave nothing behind.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::explain::{Cause, Explain};
use super::files;

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Seconds without any work, after which a process that is to stop waits for something that may never come, such as a disk
/// or a pipe. One that computes will look whether it is to stop.
const GRACE: u32 = 5;

/// Less processor time than this in a second is nothing: even waiting for a child, with a look at it now and then, takes
/// more.
const NOTHING: Duration = Duration::from_micros(50);

/// The run was asked to stop by Ctrl-C or a termination signal.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Explain for Interrupted {
    fn class(&self) -> Cause {
        Cause::Interrupted
    }

    fn next_step(&self) -> Option<String> {
        Some("nothing was kept; run the same command again".to_owned())
    }
}

/// From now on the first signal to stop is noted, and the second ends the process at once with `code`. So does the first
/// where all that is under way is blocked, after `told` has said so.
pub fn listen(code: i32, told: impl FnOnce() + Send + 'static) {
    let hang_up = (!ignores_hang_ups()).then_some(SIGHUP);
    // Without them a signal still ends the process; only the tidying is lost.
    let watched = UnixStream::pair().ok();
    for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up) {
        let own = watched.as_ref().and_then(|(_, asked)| asked.try_clone().ok());
        let _ = own.map(|own| low_level::pipe::register(signal, own));
        let _ = flag::register_conditional_shutdown(signal, code, Arc::clone(&ASKED));
        let _ = flag::register(signal, Arc::clone(&ASKED));
    }
    // It sleeps in its read, and so disturbs no measurement.
    if let Some((mut signals, _)) = watched {
        thread::spawn(move || {
            if signals.read_exact(&mut [0]).is_ok() {
                wait_until_blocked(computed(), || {
                    thread::sleep(Duration::from_secs(1));
                    computed()
                });
                told();
                low_level::exit(code);
            }
        });
    }
}

/// Returns once the process has computed nothing for some seconds. `before` is the processor time that it has taken so
/// far, and `after_a_second` tells it again a second later.
fn wait_until_blocked(mut before: Duration, mut after_a_second: impl FnMut() -> Duration) {
    let mut idle = 0;
    while idle < GRACE {
        let now = after_a_second();
        idle = if now.saturating_sub(before) < NOTHING { idle + 1 } else { 0 };
        before = now;
    }
}

/// Processor time of this process so far, but for the thread that asks.
fn computed() -> Duration {
    let of = |clock| {
        let time = clock_gettime(clock);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    of(ClockId::ProcessCPUTime).saturating_sub(of(ClockId::ThreadCPUTime))
}

/// Whether this process was started to outlive its terminal, as `nohup` does it. Only Linux tells.
fn ignores_hang_ups() -> bool {
    let status = files::read_text(Path::new("/proc/self/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

/// Fails once the process has been asked to stop.
pub fn check() -> Result<(), Interrupted> {
    if ASKED.load(Ordering::SeqCst) { Err(Interrupted) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;

    /// Seconds until a process is called blocked. `taken` has the microseconds that it computes in each second; after them it
    /// computes nothing.
    fn seconds(taken: &[u64]) -> usize {
        let (mut taken, mut sum, mut seconds) = (taken.iter(), 0, 0);
        wait_until_blocked(Duration::ZERO, || {
            sum += taken.next().unwrap_or(&0);
            seconds += 1;
            Duration::from_micros(sum)
        });
        seconds
    }

    #[test]
    fn a_process_that_computes_is_waited_for_however_long() {
        assert_eq!(seconds(&[900_000; 60]), 65);
        // Even with little of a processor, and with pauses shorter than a blocked process's.
        assert_eq!(seconds(&[80; 60]), 65);
        assert_eq!(seconds(&[900_000, 0, 0, 0, 0, 900_000, 0, 0, 0, 0, 900_000]), 16);
    }

    #[test]
    fn a_process_that_waits_is_called_blocked_after_some_seconds() {
        assert_eq!(seconds(&[]), 5);
        assert_eq!(seconds(&[10, 0, 30, 0, 10]), 5);
    }

    #[test]
    fn the_work_of_other_threads_is_seen() {
        let before = computed();
        let spin = || {
            let until = clock::tick() + Duration::from_millis(200);
            while clock::tick() < until {
                std::hint::spin_loop();
            }
        };
        thread::spawn(spin).join().unwrap();
        assert!(computed().saturating_sub(before) > NOTHING);
    }
}
