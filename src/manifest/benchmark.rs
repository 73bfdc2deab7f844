//! `[benchmark]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Problem, problem};

/// How variants are timed; docs/measurement.md explains the method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    /// Images per forward pass; every variant is timed at each.
    #[schemars(length(min = 1), extend("uniqueItems" = true), inner(range(min = 1, max = 65_536)))]
    pub batch_sizes: Vec<usize>,
    /// How often every variant takes its turn.
    #[schemars(range(min = 1, max = 100_000))]
    pub rounds: usize,
    /// How closely speedups are to be known: the rounds are repeated in new processes until every
    /// speedup's 95 % interval ends within this fraction of it. Absent, `rounds` and no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 1))]
    pub precision: Option<f64>,
    /// Where `precision` is set, rounds end at this number; absent, ten times `rounds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_rounds: Option<usize>,
    /// Fresh processes per variant that share the rounds.
    #[schemars(range(min = 1, max = 1000))]
    pub processes: usize,
    /// Least timed forward passes per turn.
    #[schemars(range(min = 1, max = 100_000))]
    pub iterations: usize,
    /// Least seconds of timed passes per turn; short passes are repeated for so long.
    #[schemars(range(min = 0, max = 3600))]
    pub min_seconds: f64,
    /// Untimed passes before each turn. A new process takes more, until two in a row gain less than
    /// 5 % on the fastest before them.
    #[schemars(range(max = 100_000))]
    pub warmup: usize,
    /// Most untimed passes before the first turn of a process.
    #[schemars(range(max = 100_000))]
    pub max_warmup: usize,
    /// Changes of speed below this fraction are no difference, however sure.
    #[schemars(range(min = 0, max = 1))]
    pub noise_floor: f64,
    /// Seconds for all rounds together; a round that would end later is not begun.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_seconds: u64,
    /// A measuring process that gives no answer for this many seconds is ended, and its variant fails.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub timeout_seconds: u64,
    /// Most megabytes of writable memory of a measuring process, its runtime included; absent, no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub memory_limit_mb: Option<u64>,
    /// Orders the variants within each round.
    #[schemars(range(min = 0, max = 9_223_372_036_854_775_807_u64))]
    pub seed: u64,
}

impl Benchmark {
    /// The number of rounds after which no further block of rounds is begun.
    #[must_use]
    pub fn most_rounds(&self) -> usize {
        self.max_rounds.unwrap_or_else(|| self.rounds.saturating_mul(10))
    }
}

pub(super) fn length(benchmark: &Benchmark) -> Vec<Problem> {
    let mut found = Vec::new();
    if benchmark.max_rounds.is_some() && benchmark.precision.is_none() {
        let message = "bounds rounds that only `benchmark.precision` would add";
        found.push(problem("benchmark.max_rounds", message, "set `precision` too, or remove it"));
    }
    if benchmark.min_seconds >= benchmark.timeout_seconds as f64 {
        let message = "is no shorter than `benchmark.timeout_seconds`: every turn would be taken for a hang";
        found.push(problem("benchmark.min_seconds", message, "lower it, or raise `timeout_seconds`"));
    }
    found
}
