//! The machine that numbers were measured on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::files;

/// Vector extensions that change INT8 results or speed, as Linux spells them.
const TELLING_FLAGS: [&str; 7] = ["avx2", "avx512f", "avx512vl", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_bf16"];

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
    /// Frequency governor of the first core, where the kernel tells.
    pub governor: Option<String>,
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
        governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").map(|s| s.trim().to_owned()),
    }
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
    }
}
