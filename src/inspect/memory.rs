//! What a run will hold, against what the machine has.

use std::path::Path;

use super::model::ModelInputs;
use super::{DataInputs, Look};
use crate::base::explain::{Cause, Diagnostic};
use crate::base::files;
use crate::dataset::{self, Chosen};
use crate::graph::live;

impl Look<'_> {
    /// Refuses batches whose tensors, with the images on their way into them, are more than the machine has.
    pub(super) fn at_memory(&mut self, model: &ModelInputs, data: Option<&DataInputs>) {
        let Some(free) = free() else { return };
        let manifest = &self.resolved.manifest;
        let largest = manifest.benchmark.batch_sizes.iter().copied().max().unwrap_or(1);
        let (calibration, evaluation) = (manifest.calibration.batch_size, manifest.evaluation.batch_size);
        let decoded = |chosen: &Chosen, batch: usize| dataset::most_bytes(&dataset::pieces(chosen, batch)) as u64;
        let batches = [
            ("calibration.batch_size", calibration, data.map(|data| decoded(&data.calibration, calibration))),
            ("evaluation.batch_size", evaluation, data.map(|data| decoded(&data.evaluation, evaluation))),
            ("benchmark.batch_sizes", largest, None),
        ];
        let each = live::most_values(&model.graph).saturating_mul(size_of::<f32>()) as u64;
        for (key, batch, images) in batches {
            let (tensors, images) = (each.saturating_mul(batch as u64), images.unwrap_or(0));
            if tensors.saturating_add(images) > free {
                let [tensors, images, free] = [tensors, images, free].map(|bytes| bytes as f64 / 1e9);
                let message = format!(
                    "a batch of {batch} images needs {tensors:.1} GB for the network's tensors and {images:.1} GB for images \
                     that are decoded meanwhile, and {free:.1} GB are free"
                );
                let next = if tensors > images {
                    format!("lower `{key}`")
                } else {
                    format!("lower `{key}`, or make the images smaller: the largest decide, one by one")
                };
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
