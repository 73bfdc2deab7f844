//! Ctrl-C as a question that long work asks between steps, so that it can leave nothing behind.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::explain::{Cause, Explain};
use super::files;

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

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

/// From now on the first signal to stop is noted, and the second ends the process at once with `code`.
pub fn listen(code: i32) {
    let hang_up = (!ignores_hang_ups()).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up) {
        // Without them a signal still ends the process; only the tidying is lost.
        let _ = flag::register_conditional_shutdown(signal, code, Arc::clone(&ASKED));
        let _ = flag::register(signal, Arc::clone(&ASKED));
    }
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
