//! What else the machine did while it measured, from the kernel's counters. Everything here is read
//! between turns, never inside one.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::base::{clock, files};

/// The machine during a benchmark. Seconds of processors are summed over all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Wall seconds.
    pub seconds: f64,
    /// Rounds that were begun, of those that the manifest asks for.
    pub rounds: usize,
    /// Processor seconds that some process used, and those that requant and its children used.
    pub busy_seconds: Option<f64>,
    pub own_seconds: Option<f64>,
    /// Processor seconds in which a hypervisor ran something else.
    pub stolen_seconds: Option<f64>,
    /// Lowest and highest clock of any processor that was seen between rounds, in MHz.
    pub slowest_mhz: Option<f64>,
    pub fastest_mhz: Option<f64>,
    /// Times that a processor was slowed for its heat.
    pub throttled: Option<u64>,
    /// Whether requant itself was built without optimization.
    pub debug_build: bool,
    /// Whether other points of a sweep were allowed to compute at the same time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside_others: bool,
    /// The highest nice value of a measuring process: below 0 they computed before other programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
}

/// A share of the processors' time from which on other programs disturb a timing.
pub const OTHER_LOAD: f64 = 0.10;

impl Conditions {
    /// The share of so many processors' time that other programs took.
    #[must_use]
    pub fn other_load(&self, cores: usize) -> Option<f64> {
        Some(self.share((self.busy_seconds? - self.own_seconds?).max(0.0), cores))
    }

    /// Processor seconds as a share of what there was.
    #[must_use]
    pub fn share(&self, seconds: f64, cores: usize) -> f64 {
        seconds / (self.seconds * cores as f64).max(f64::MIN_POSITIVE)
    }
}

/// Watches a benchmark from its start.
pub struct Watch {
    started: Instant,
    first: Counters,
    clocks: Option<(f64, f64)>,
}

impl Watch {
    /// `running` are children that work already: what they used before counts for nothing, and would otherwise come in
    /// when they end.
    #[must_use]
    pub fn start(running: &[u32]) -> Self {
        let mut first = Counters::now();
        let stat = |child: &u32| files::read_text(Path::new(&format!("/proc/{child}/stat"))).ok();
        let before: f64 = running.iter().filter_map(|child| own(&stat(child)?)).sum();
        first.own = first.own.map(|own| own + before);
        Self { started: clock::tick(), first, clocks: clocks() }
    }

    /// Looks at the clocks between two rounds.
    pub fn look(&mut self) {
        self.clocks = match (self.clocks, clocks()) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (seen, now) => seen.or(now),
        };
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The conditions so far; children count once they have ended.
    #[must_use]
    pub fn finish(&self, rounds: usize) -> Conditions {
        let last = Counters::now();
        let since = |pick: fn(&Counters) -> Option<f64>| Some((pick(&last)? - pick(&self.first)?).max(0.0));
        Conditions {
            seconds: self.elapsed().as_secs_f64(),
            rounds,
            busy_seconds: since(|c| c.busy),
            own_seconds: since(|c| c.own),
            stolen_seconds: since(|c| c.stolen),
            slowest_mhz: self.clocks.map(|clocks| clocks.0),
            fastest_mhz: self.clocks.map(|clocks| clocks.1),
            throttled: last.throttled.zip(self.first.throttled).map(|(last, first)| last.saturating_sub(first)),
            debug_build: cfg!(debug_assertions),
            beside_others: false,
            nice: None,
        }
    }
}

/// What a hypervisor takes from this process's processors from now on.
pub struct Stolen {
    started: Instant,
    before: Option<f64>,
    processors: Vec<usize>,
}

impl Stolen {
    #[must_use]
    pub fn now() -> Self {
        let processors = own_processors();
        Self { started: clock::tick(), before: stolen(&processors), processors }
    }

    /// As a share of what the processors could do meanwhile; `None` where the kernel does not say. It counts in
    /// hundredths of a second, so that less than two of them tell nothing.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let taken = stolen(&self.processors)? - self.before?;
        let whole = self.started.elapsed().as_secs_f64() * self.processors.len() as f64;
        Some(if taken < 1.5 / TICKS { 0.0 } else { taken / whole.max(f64::MIN_POSITIVE) })
    }
}

fn stolen(processors: &[usize]) -> Option<f64> {
    machine(&files::read_text(Path::new("/proc/stat")).ok()?, processors).map(|(_, stolen)| stolen)
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    busy: Option<f64>,
    own: Option<f64>,
    stolen: Option<f64>,
    throttled: Option<u64>,
}

/// The kernel counts processor time for its readers in hundredths of a second.
const TICKS: f64 = 100.0;

impl Counters {
    fn now() -> Self {
        let read = |path: &str| files::read_text(Path::new(path)).ok();
        let stat = read("/proc/stat").unwrap_or_default();
        let (busy, stolen) = machine(&stat, &own_processors()).unzip();
        Self { busy, stolen, own: read("/proc/self/stat").as_deref().and_then(own), throttled: throttled() }
    }
}

/// The processors that this process may use; what others do on the rest does not concern it.
fn own_processors() -> Vec<usize> {
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect()
}

/// Busy and stolen seconds of some processors, from `/proc/stat`.
fn machine(stat: &str, processors: &[usize]) -> Option<(f64, f64)> {
    let lines = stat.lines().filter_map(|line| line.strip_prefix("cpu")?.split_once(' '));
    let of_these = lines.filter(|(number, _)| number.parse().is_ok_and(|number| processors.contains(&number)));
    let each = of_these.filter_map(|(_, line)| {
        let ticks: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let &[user, nice, system, _, _, irq, softirq, steal, ..] = ticks.as_slice() else { return None };
        Some(((user + nice + system + irq + softirq) / TICKS, steal / TICKS))
    });
    each.reduce(|(busy, stolen), (more, stolen_more)| (busy + more, stolen + stolen_more))
}

/// Seconds of this process and of its children that have ended, from `/proc/self/stat`.
fn own(stat: &str) -> Option<f64> {
    // The name in parentheses may hold anything; after it come the state and eleven other fields.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    (ticks.len() == 4).then(|| ticks.iter().sum::<f64>() / TICKS)
}

/// Slowest and fastest processor now, in MHz: of the frequency driver, else what `/proc/cpuinfo` says.
fn clocks() -> Option<(f64, f64)> {
    let driver = |cpu: &String| {
        let path = format!("/sys/devices/system/cpu/{cpu}/cpufreq/scaling_cur_freq");
        Some(files::read_text(Path::new(&path)).ok()?.trim().parse::<f64>().ok()? / 1e3)
    };
    let mut clocks: Vec<f64> = processors().iter().filter_map(driver).collect();
    if clocks.is_empty() {
        let cpuinfo = files::read_text(Path::new("/proc/cpuinfo")).ok()?;
        let lines = cpuinfo.lines().filter_map(|line| line.strip_prefix("cpu MHz")?.split_once(':'));
        clocks = lines.filter_map(|(_, value)| value.trim().parse().ok()).collect();
    }
    Some((clocks.iter().copied().reduce(f64::min)?, clocks.iter().copied().reduce(f64::max)?))
}

fn throttled() -> Option<u64> {
    let count = |cpu: &String| {
        let path = format!("/sys/devices/system/cpu/{cpu}/thermal_throttle/core_throttle_count");
        files::read_text(Path::new(&path)).ok()?.trim().parse::<u64>().ok()
    };
    processors().iter().filter_map(count).reduce(|a, b| a + b)
}

fn processors() -> Vec<String> {
    let names = files::list(Path::new("/sys/devices/system/cpu")).unwrap_or_default();
    let is_one = |name: &String| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
    names.into_iter().filter(is_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_as_linux_writes_them() {
        let stat = "cpu  9 9\ncpu0 100 20 30 400 50 6 7 800 0 0\ncpu1 1 1\ncpu2 10 0 0 0 0 0 0 100 0 0\n";
        assert_eq!(machine(stat, &[0]), Some((1.63, 8.0)));
        assert_eq!(machine(stat, &[0, 2]), Some((1.73, 9.0)));
        assert_eq!(machine("nothing", &[0]), None);
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 10 20 0 0 150 50 30 20 20 0 1 0 123";
        assert_eq!(own(stat), Some(2.5));
    }

    #[test]
    fn our_own_work_is_seen_as_ours() {
        let watch = Watch::start(&[]);
        let until = clock::tick() + Duration::from_millis(300);
        while clock::tick() < until {
            std::hint::spin_loop();
        }
        let seen = watch.finish(1);
        assert!(seen.own_seconds.unwrap() > 0.05 && seen.busy_seconds.unwrap() >= 0.05, "{seen:?}");
    }
}
