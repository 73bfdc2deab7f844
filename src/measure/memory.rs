//! The resident set of this process, from the kernel's own high-water mark. A mark is a maximum of
//! whole pages, so no figure can be negative.

use std::path::Path;

use crate::base::files;

/// Bytes of the largest resident set since the process started or since [`forget_peak`]; `None`
/// where the kernel does not say.
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

/// Lowers the mark to what is resident now, so that the next peak is that of what follows. Where
/// the kernel does not allow it the mark stays, and the next peak covers what came before as well.
#[expect(clippy::disallowed_methods, reason = "a switch of the kernel, no file of ours")]
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_seen_and_forgotten() {
        const LARGE: usize = 256 << 20;
        let before = peak_resident_bytes().unwrap();
        let pages = std::hint::black_box(vec![1_u8; LARGE]);
        let with = peak_resident_bytes().unwrap();
        assert!(with >= before.min(with - LARGE as u64 / 2) + LARGE as u64 / 2, "{before} then {with}");
        drop(pages);
        forget_peak();
        assert!(peak_resident_bytes().unwrap() < with - LARGE as u64 / 2);
    }
}
