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
        // Each variant's outputs for a batch are held until all have answered.
        let given = (model.graph.values_given() * size_of::<f32>()).saturating_mul(manifest.variant.len() + 1) as u64;
        for (key, batch, images) in batches {
            let each = if key.starts_with("evaluation") { each.saturating_add(given) } else { each };
            let (tensors, images) = (each.saturating_mul(batch as u64), images.unwrap_or(0));
            if tensors.saturating_add(images) > free {
                let [tensors, images, free] = [tensors, images, free].map(|bytes| bytes as f64 / 1e9);
                let message = format!(
                    "a batch of {batch} images needs {tensors:.1} GB for the network's tensors and {images:.1} GB for images \
                     that are decoded at the same time, and {free:.1} GB are free"
                );
                let next = if tensors > images {
                    format!("lower `{key}`")
                } else {
                    format!(
                        "shrink the largest image files, or lower `{key}`: one very large image alone can need this much"
                    )
                };
                self.problem(key, Diagnostic::error(Cause::Input, message).next(next));
            }
        }
    }
}

/// Bytes that this process may still take: of the machine, or of the groups of processes that it is limited with.
fn free() -> Option<u64> {
    let read = |path: &Path| files::read_text(path).ok();
    let machine = available(&read(Path::new("/proc/meminfo"))?)?;
    let group = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let own = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    // A group is also limited by those that it is part of. In a container its own is the root.
    let groups = Path::new(&own).ancestors().map(|group| Path::new("/sys/fs/cgroup").join(group));
    Some(groups.filter_map(|group| left_of(&group)).fold(machine, u64::min))
}

/// Bytes that are left of a group's limit; what caches files counts as left.
fn left_of(group: &Path) -> Option<u64> {
    let read = |name: &str| files::read_text(&group.join(name)).ok();
    let most: u64 = read("memory.max")?.trim().parse().ok()?;
    let taken: u64 = read("memory.current")?.trim().parse().ok()?;
    Some(most.saturating_sub(taken.saturating_sub(cached(&read("memory.stat").unwrap_or_default()))))
}

fn cached(stat: &str) -> u64 {
    let of = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    of("inactive_file ").unwrap_or(0) + of("active_file ").unwrap_or(0)
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
        assert_eq!(cached("anon 7\nfile 30\ninactive_file 10\nactive_file 20\n"), 30);
    }
}
