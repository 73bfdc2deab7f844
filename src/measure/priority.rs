//! Computing before other programs, where the kernel lets a process.

use std::path::Path;

use rustix::process::{getpriority_process, setpriority_process, setsid};

use crate::base::files;

/// Nice values from the one that comes first in line.
const FIRST: [i32; 4] = [-20, -15, -10, -5];

/// Lets this process, and the threads that it begins from now on, compute before other programs. That needs root's rights
/// or a limit that allows it (`ulimit -e`); without them nothing changes. Nor does it where the user has chosen a priority.
pub fn raise() {
    if nice() != Some(0) || !FIRST.iter().any(|first| setpriority_process(None, *first).is_ok()) {
        return;
    }
    // Where the kernel shares the processors between sessions first, a priority counts only within the own one.
    let session = Path::new("/proc/self/autogroup");
    if session.exists() && setsid().is_ok() {
        let _ = files::write(session, nice().unwrap_or(0).to_string().as_bytes());
    }
}

/// The nice value of this process: below 0 it computes before other programs.
#[must_use]
pub fn nice() -> Option<i32> {
    getpriority_process(None).ok()
}
