//! How long the threads of this process waited for a processor. Linux counts it for each thread: the second number
//! of `/proc/self/task/<thread>/schedstat` is the time in nanoseconds that it was ready to run and did not.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::base::files;

/// A pass whose threads together waited for more than this share of it was disturbed. A machine at rest shows well
/// below a hundredth: the kernel's own threads run now and then.
pub const DISTURBED: f64 = 0.02;

/// The threads that there are now.
pub struct Threads(Vec<File>);

impl Threads {
    /// Threads that begin later are not among them.
    #[must_use]
    pub fn now() -> Self {
        let tasks = Path::new("/proc/self/task");
        let names = files::list(tasks).unwrap_or_default();
        Self(names.iter().filter_map(|name| files::open(&tasks.join(name).join("schedstat")).ok()).collect())
    }

    /// Nanoseconds that they have waited so far, together; `None` where the kernel does not count it.
    #[must_use]
    pub fn waited(&self) -> Option<u64> {
        let each = self.0.iter().filter_map(waited_of);
        each.reduce(u64::saturating_add)
    }
}

/// A thread that has ended waits no more.
fn waited_of(file: &File) -> Option<u64> {
    let mut line = [0; 64];
    let length = file.read_at(&mut line, 0).ok()?;
    parsed(std::str::from_utf8(line.get(..length)?).ok()?)
}

/// Nanoseconds on a processor, nanoseconds waiting for one, and times that one was given.
fn parsed(line: &str) -> Option<u64> {
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_what_a_thread_waited() {
        assert_eq!(parsed("1385911 22310 4\n"), Some(22310));
        assert_eq!(parsed(""), None);
    }

    #[test]
    fn waiting_never_decreases() {
        let threads = Threads::now();
        let (first, second) = (threads.waited(), threads.waited());
        assert!(first <= second, "{first:?} and then {second:?}");
    }
}
