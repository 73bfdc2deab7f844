//! The peak resident set of this process, from the kernel's own high-water mark.

use std::path::Path;

use crate::base::files;

/// Bytes of the largest resident set so far; `None` where the kernel does not say.
///
/// Read from `VmHWM` of `/proc/self/status`: unlike `getrusage`, it starts anew when a process
/// image is replaced, so a child never inherits its parent's peak.
#[must_use]
pub fn peak_resident_bytes() -> Option<u64> {
    let status = files::read_text(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
