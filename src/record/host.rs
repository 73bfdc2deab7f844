//! The machine that numbers were measured on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::files;

/// Vector extensions that change INT8 results or speed, as Linux spells them.
const TELLING_FLAGS: [&str; 9] =
    ["avx2", "avx512f", "avx512vl", "avx512_vnni", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16", "avx512_bf16"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub cpu: String,
    pub isa_flags: Vec<String>,
    pub cores: usize,
    pub memory_bytes: Option<u64>,
    pub os: String,
    pub kernel: String,
    /// Whether the CPU says that it runs under a hypervisor.
    pub virtual_machine: bool,
    /// What the machine's firmware calls itself, which names most hypervisors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Frequency governor of the first core, where the kernel tells.
    pub governor: Option<String>,
    /// Caches of the first core, such as `L1d 32K`.
    #[serde(default)]
    pub caches: Vec<String>,
    /// NVIDIA GPUs by model, and the driver's version.
    #[serde(default)]
    pub gpus: Vec<String>,
    #[serde(default)]
    pub gpu_driver: Option<String>,
}

/// Reads what the operating system says of this machine.
#[must_use]
pub fn facts() -> Host {
    let read = |path: &str| files::read_text(Path::new(path)).ok();
    let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let value = cpuinfo.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name));
        value.map(|(_, value)| value.trim().to_owned())
    };
    let flags = field("flags").unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
    Host {
        cpu: field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        isa_flags: TELLING_FLAGS.iter().filter(|flag| has(flag)).map(|flag| (*flag).to_owned()).collect(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory_bytes: read("/proc/meminfo").as_deref().and_then(total_memory),
        os: read("/etc/os-release").as_deref().and_then(pretty_name).unwrap_or_else(|| std::env::consts::OS.to_owned()),
        kernel: read("/proc/sys/kernel/osrelease").map(|s| s.trim().to_owned()).unwrap_or_default(),
        virtual_machine: has("hypervisor"),
        product: read("/sys/class/dmi/id/product_name").map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()),
        governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").map(|s| s.trim().to_owned()),
        caches: caches(Path::new("/sys/devices/system/cpu/cpu0/cache")),
        gpus: gpus(Path::new("/proc/driver/nvidia/gpus")),
        gpu_driver: read("/proc/driver/nvidia/version").as_deref().and_then(driver_version),
    }
}

fn caches(folder: &Path) -> Vec<String> {
    let names = files::list(folder).unwrap_or_default();
    let cache = |name: &String| {
        let read = |file: &str| Some(files::read_text(&folder.join(name).join(file)).ok()?.trim().to_owned());
        let kind = match read("type")?.as_str() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        Some(format!("L{}{kind} {}", read("level")?, read("size")?))
    };
    names.iter().filter(|name| name.starts_with("index")).filter_map(cache).collect()
}

fn gpus(folder: &Path) -> Vec<String> {
    let names = files::list(folder).unwrap_or_default();
    let texts = names.iter().filter_map(|name| files::read_text(&folder.join(name).join("information")).ok());
    texts.filter_map(|text| Some(text.lines().find_map(|l| l.strip_prefix("Model:"))?.trim().to_owned())).collect()
}

/// The first word with dots in what the driver says of itself.
fn driver_version(text: &str) -> Option<String> {
    let words = text.lines().next()?.split_whitespace();
    words
        .filter(|word| word.contains('.'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn pretty_name(os_release: &str) -> Option<String> {
    let line = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_files_are_read_as_linux_writes_them() {
        assert_eq!(total_memory("MemTotal:       24000 kB\nMemFree: 1 kB\n"), Some(24_576_000));
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"Some Linux 1\"\n").as_deref(), Some("Some Linux 1"));
        let version =
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Wed Jan 1 2025\nGCC version: 12.2.0\n";
        assert_eq!(driver_version(version).as_deref(), Some("570.86.15"));
    }
}
