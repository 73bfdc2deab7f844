//! What a run will hold, against what the machine has.

use std::path::Path;

use super::Look;
use super::model::ModelInputs;
use crate::base::explain::{Cause, Diagnostic};
use crate::base::files;
use crate::graph::live;

impl Look<'_> {
    /// Refuses batches whose tensors alone are more than the machine has.
    pub(super) fn at_memory(&mut self, model: &ModelInputs) {
        let Some(free) = free() else { return };
        let manifest = &self.resolved.manifest;
        let largest = manifest.benchmark.batch_sizes.iter().copied().max().unwrap_or(1);
        let batches = [
            ("calibration.batch_size", manifest.calibration.batch_size),
            ("evaluation.batch_size", manifest.evaluation.batch_size),
            ("benchmark.batch_sizes", largest),
        ];
        let each = live::most_values(&model.graph).saturating_mul(size_of::<f32>()) as u64;
        for (key, batch) in batches {
            let needed = each.saturating_mul(batch as u64);
            if needed > free {
                let [needed, free] = [needed, free].map(|bytes| bytes as f64 / 1e9);
                let message = format!(
                    "a batch of {batch} images needs {needed:.1} GB for the network's tensors, and {free:.1} GB are free"
                );
                let next = format!("lower `{key}`");
                self.problem(key, Diagnostic::error(Cause::Input, message).next(next));
            }
        }
    }
}

/// Bytes that this process may still take: of the machine, or of the group of processes that it is limited with.
fn free() -> Option<u64> {
    let read = |path: &str| files::read_text(Path::new(path)).ok();
    let machine = available(&read("/proc/meminfo")?)?;
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max")
        .map(|most| most.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    Some(group.map_or(machine, |group| group.min(machine)))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_is_available() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   16384 kB\n"), Some(16 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }
}
