//! A bar for reading that takes longer than a second.

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::base::clock;
use crate::base::progress::Meter;

const PATIENCE: Duration = Duration::from_secs(1);

/// Counts bytes from any thread.
pub struct Gauge {
    what: &'static str,
    began: Instant,
    expected: AtomicU64,
    done: AtomicU64,
    bar: OnceLock<ProgressBar>,
}

impl Gauge {
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, began: clock::tick(), expected: 0.into(), done: 0.into(), bar: OnceLock::new() }
    }

    fn bar(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg:10} [{bar:32}] {bytes} of {total_bytes}, {bytes_per_sec}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(0).with_style(style).with_message(self.what)
    }
}

impl Meter for Gauge {
    fn expect(&self, bytes: u64) {
        self.expected.fetch_add(bytes, Ordering::Relaxed);
    }

    fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if std::io::stderr().is_terminal() && self.began.elapsed() > PATIENCE {
            let bar = self.bar.get_or_init(|| self.bar());
            bar.set_length(self.expected.load(Ordering::Relaxed).max(done));
            bar.set_position(done);
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
