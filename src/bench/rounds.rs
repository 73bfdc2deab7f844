//! Times every variant in fresh processes of its own, round by round in shuffled order.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::pools;
use super::serve::Assignment;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::{files, interrupt};
use crate::manifest::{Benchmark, Manifest};
use crate::measure::conditions::{Conditions, Watch};
use crate::measure::pool::Pool;
use crate::measure::protocol::{Round, Schedule};
use crate::measure::summary::{self, Timing};
use crate::measure::turn::{Computed, Inputs, Length, Pass, Timed};
use crate::measure::worker::{Answer, Ask, Limits, Worker, WorkerError};
use crate::record::format::ArtefactFacts;
use crate::record::host::{self, Host};
use crate::tensor::Tensor;
use crate::workbench::event::Event;
use crate::workbench::{Neighbours, Prepared, Surroundings};

/// By batch size and first sample, the digest of what a session computes.
pub type Expected = BTreeMap<(usize, usize), Digest>;

/// What was timed.
pub struct Benchmarked {
    /// One per variant; absent where it did not run.
    pub measurements: Vec<Option<Measurement>>,
    pub conditions: Conditions,
    /// As the measuring processes saw it: before and after, this one may have had a share of the processors only.
    pub host: Host,
}

/// Raw measurements of one variant.
#[derive(Debug, Default)]
pub struct Measurement {
    pub timings: Vec<Timing>,
    /// Warm-ups of new processes, and those that ended by their cap.
    pub warm_ups: usize,
    pub unsettled: usize,
    /// By batch size.
    pub outputs: BTreeMap<usize, Outputs>,
    /// One per process.
    pub memory: Vec<Footprint>,
    /// The highest nice value of a process.
    pub nice: Option<i32>,
    /// Why a measuring process failed, if one did.
    pub failed: Option<Diagnostic>,
}

/// What the passes in measuring processes computed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outputs {
    pub passes: usize,
    /// Those whose output is, to the bit, that of the session which was judged for accuracy.
    pub identical: usize,
}

/// Largest resident sets of one measuring process, and what its tensors held on a device, in bytes.
#[derive(Debug, Default, Clone, Copy)]
pub struct Footprint {
    /// With the runtime alone.
    pub runtime: Option<u64>,
    /// Until the model was loaded.
    pub loaded: Option<u64>,
    /// From then on.
    pub inference: Option<u64>,
    /// The same two of tensors on a device with memory of its own.
    pub device_loaded: Option<u64>,
    pub device_inference: Option<u64>,
}

/// The samples for the measuring processes, kept only while they run.
const SAMPLES: &str = ".benchmark-input";

/// A turn that was disturbed is repeated at most this often. All turns of a batch size together are repeated no more
/// often than there are rounds, nor once `IN_VAIN` repetitions in a row were disturbed too: a machine that is always busy
/// is not waited for.
const AGAIN: usize = 4;
const IN_VAIN: usize = AGAIN;

/// The processes of the first rounds: they start and load while answers are judged, and wait until it is their turn.
pub struct Ahead(Vec<Option<JoinHandle<Bench>>>);

impl Ahead {
    /// One for each variant that has an artefact.
    #[must_use]
    pub fn start(prepared: &Prepared, artefacts: &[Option<ArtefactFacts>], around: &Surroundings<'_>) -> Self {
        let limits = limits(&prepared.manifest().benchmark);
        let start = |(index, artefact): (usize, &Option<ArtefactFacts>)| {
            let mut bench = Bench::new(prepared, index, artefact.as_ref()?);
            bench.start((around.worker)(), limits);
            Some(thread::spawn(move || {
                bench.open();
                bench
            }))
        };
        Self(artefacts.iter().enumerate().map(start).collect())
    }

    /// Those of the variants that gave answers, each with what its session must compute.
    pub fn benches<'a>(mut self, expected: impl Iterator<Item = Option<&'a Expected>>) -> Vec<Option<Bench>> {
        let open = |process: Option<JoinHandle<Bench>>| process.and_then(|process| process.join().ok());
        let benches = std::mem::take(&mut self.0).into_iter().map(open).zip(expected);
        let judged = |(bench, expected): (Option<Bench>, Option<&Expected>)| {
            Some(Bench { expected: expected?.clone(), ..bench? })
        };
        benches.map(judged).collect()
    }
}

impl Drop for Ahead {
    /// Where nobody wants them any more, they end before the run does.
    fn drop(&mut self) {
        self.0.drain(..).flatten().for_each(|process| drop(process.join()));
    }
}

/// Times the variants on the first preprocessed samples.
pub fn benchmark(
    prepared: &Prepared,
    samples: &Tensor,
    mut benches: Vec<Option<Bench>>,
    around: &Surroundings<'_>,
) -> Result<Benchmarked, Failure> {
    let path = prepared.draft.path().join(SAMPLES);
    prepared.draft.put(SAMPLES, &samples.data().to_le_bytes())?;
    let mut conditions = all_rounds(&mut benches, prepared.manifest(), around)?;
    conditions.beside_others = around.neighbours.is_some_and(Neighbours::compute_meanwhile);
    conditions.nice = benches.iter().flatten().filter_map(|bench| bench.measurement.nice).max();
    let measurements = benches.into_iter().map(|bench| bench.map(|bench| bench.measurement)).collect();
    std::fs::remove_file(&path).map_err(|e| files::FileError::new("remove", &path, e))?;
    Ok(Benchmarked { measurements, conditions, host: host::facts() })
}

/// Rounds until the speedups are known as closely as the manifest asks, or there may be no more.
fn all_rounds(
    benches: &mut [Option<Bench>],
    manifest: &Manifest,
    around: &Surroundings<'_>,
) -> Result<Conditions, Failure> {
    let settings = &manifest.benchmark;
    let mut schedule = Schedule::new(benches.len(), settings.rounds, settings.processes, settings.seed);
    let running: Vec<u32> = benches.iter().flatten().filter_map(|bench| Some(bench.worker.as_ref()?.id())).collect();
    let mut watch = Watch::start(&running);
    let mut longest = Duration::ZERO;
    let mut begun = 0;
    // The first processes run already.
    let mut process = Some(0);
    'all: loop {
        let block = schedule.block();
        let total = begun + block.len();
        let processes = block.last().map_or(1, |round| round.process + 1);
        for round in &block {
            let whole = Duration::from_secs(settings.max_seconds);
            if begun > 0 && watch.elapsed() + longest > whole {
                break 'all;
            }
            // Each process has its share of the time: fewer rounds of every process tell more than all
            // rounds of the first.
            let share = whole.mul_f64((round.process + 1) as f64 / processes as f64);
            if process == Some(round.process) && watch.elapsed() + longest > share {
                continue;
            }
            let before = watch.elapsed();
            if process.replace(round.process) != Some(round.process) {
                finish_all(benches);
                start_all(benches, settings, around);
            }
            take_round(benches, round, settings, || watch.elapsed() < share)?;
            watch.look();
            longest = longest.max(watch.elapsed().saturating_sub(before));
            begun += 1;
            around.events.emit(&Event::Progress { done: begun, total, unit: "rounds" });
        }
        if !settings.precision.is_some_and(|wanted| begun < settings.most_rounds() && !known(benches, manifest, wanted))
        {
            break;
        }
    }
    finish_all(benches);
    Ok(watch.finish(begun))
}

/// Whether every speedup's interval ends within the fraction `wanted` of it. Only widths are looked
/// at, never which side of 1 an interval lies on: stopping on an answer would favour that answer.
fn known(benches: &[Option<Bench>], manifest: &Manifest, wanted: f64) -> bool {
    let timings = |index: usize| benches[index].as_ref().map(|bench| bench.measurement.timings.as_slice());
    let Some(baseline) = timings(manifest.baseline()) else { return true };
    let others = (0..benches.len()).filter(|&index| index != manifest.baseline());
    let each = others.flat_map(|index| manifest.benchmark.batch_sizes.iter().map(move |&batch| (index, batch)));
    let reaches = |(index, batch): (usize, usize)| {
        let name = &manifest.variant[index].name;
        summary::latency(timings(index)?, Some(baseline), batch, name)?.speedup.map(|speedup| speedup.reach())
    };
    each.filter_map(reaches).all(|reach| reach <= wanted)
}

fn take_round(
    benches: &mut [Option<Bench>],
    round: &Round,
    settings: &Benchmark,
    in_time: impl Fn() -> bool,
) -> Result<(), Failure> {
    for &variant in &round.order {
        interrupt::check()?;
        if let Some(bench) = &mut benches[variant] {
            bench.take_turns(round, settings, &in_time);
        }
    }
    Ok(interrupt::check()?)
}

/// One variant and its process of the moment; there is none once one has failed.
pub struct Bench {
    open: Ask<Assignment>,
    /// Of each batch size that is timed.
    pools: Vec<Pool>,
    /// Digest of the outputs for each batch size and input, of the session that was judged for accuracy.
    expected: Expected,
    worker: Option<Worker>,
    /// By batch size, how many timed passes the process of the moment has taken; absent before it has warmed up.
    taken: BTreeMap<usize, usize>,
    /// By batch size.
    repetitions: BTreeMap<usize, Repetitions>,
    measurement: Measurement,
}

/// How often turns of a batch size were taken again, and how often since one was last left alone.
#[derive(Debug, Default, Clone, Copy)]
struct Repetitions {
    all: usize,
    in_vain: usize,
}

/// Starts the next process of every variant that has not failed, all at once.
fn start_all(benches: &mut [Option<Bench>], settings: &Benchmark, around: &Surroundings<'_>) {
    let limits = limits(settings);
    let mut healthy: Vec<&mut Bench> =
        benches.iter_mut().flatten().filter(|bench| bench.measurement.failed.is_none()).collect();
    healthy.iter_mut().for_each(|bench| bench.start((around.worker)(), limits));
    thread::scope(|scope| {
        for bench in healthy {
            scope.spawn(|| bench.open());
        }
    });
}

fn limits(settings: &Benchmark) -> Limits {
    Limits {
        timeout: Duration::from_secs(settings.timeout_seconds),
        memory_bytes: settings.memory_limit_mb.map(|megabytes| megabytes.saturating_mul(1_000_000)),
    }
}

/// All at once: the memory of a process takes its time to be given back.
fn finish_all(benches: &mut [Option<Bench>]) {
    thread::scope(|scope| {
        for bench in benches.iter_mut().flatten() {
            scope.spawn(|| bench.finish());
        }
    });
}

impl Bench {
    fn new(prepared: &Prepared, index: usize, artefact: &ArtefactFacts) -> Self {
        let (manifest, folder) = (prepared.manifest(), prepared.draft.path());
        let pools = pools::pools(prepared, &manifest.variant[index].timed_at(&manifest.benchmark));
        let images = std::iter::once(pools::samples(prepared));
        let open = Ask::Open {
            variant: Assignment { variant: manifest.variant[index].clone(), compute: manifest.compute.clone() },
            artefact: folder.join(&artefact.path),
            input: folder.join(SAMPLES),
            shape: images.chain(prepared.inputs.model.facts.input.iter().copied()).collect(),
        };
        Self {
            open,
            pools,
            expected: Expected::new(),
            worker: None,
            taken: BTreeMap::new(),
            repetitions: BTreeMap::new(),
            measurement: Measurement::default(),
        }
    }

    fn start(&mut self, mut command: Command, limits: Limits) {
        self.taken.clear();
        match Worker::start(&mut command, limits) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => self.fail(error),
        }
    }

    fn open(&mut self) {
        let open = self.open.clone();
        match self.ask(&open) {
            Some(Answer::Opened { runtime_bytes, loaded_bytes, device_bytes, nice }) => {
                self.measurement.nice = self.measurement.nice.max(nice);
                let (runtime, loaded, device_loaded) = (runtime_bytes, loaded_bytes, device_bytes);
                self.measurement.memory.push(Footprint { runtime, loaded, device_loaded, ..Footprint::default() });
            }
            other => self.expected_another(other.as_ref()),
        }
    }

    /// An answer to another question than was asked is none.
    fn expected_another(&mut self, answer: Option<&Answer>) {
        if answer.is_some() {
            let message = "the measuring process answered another question";
            self.measurement.failed = Some(Diagnostic::error(Cause::Bug, message));
            self.worker = None;
        }
    }

    fn fail(&mut self, error: WorkerError) {
        self.measurement.failed = Some(error.into());
        self.worker = None;
    }

    /// Asks the process; a failure ends the process and is kept.
    fn ask(&mut self, ask: &Ask<Assignment>) -> Option<Answer> {
        match self.worker.as_mut()?.ask(ask) {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// A turn at each batch size, again where others had the processors.
    fn take_turns(&mut self, round: &Round, settings: &Benchmark, in_time: impl Fn() -> bool) {
        for pool in self.pools.clone() {
            for take in 0..=AGAIN {
                let Some(timed) = self.take_turn(&pool, settings) else { break };
                let disturbed = timed.is_disturbed(settings.iterations);
                self.keep(round, pool.batch, take, disturbed, timed);
                let repetitions = self.repetitions.entry(pool.batch).or_default();
                if !disturbed {
                    repetitions.in_vain = 0;
                    break;
                }
                let enough = repetitions.all >= settings.rounds || repetitions.in_vain >= IN_VAIN || take == AGAIN;
                if enough || !in_time() || interrupt::check().is_err() {
                    break;
                }
                repetitions.all += 1;
                repetitions.in_vain += 1;
            }
        }
    }

    fn take_turn(&mut self, pool: &Pool, settings: &Benchmark) -> Option<Timed> {
        let length = Length {
            warmup: settings.warmup,
            max_warmup: settings.max_warmup.max(settings.warmup),
            iterations: settings.iterations,
            min_seconds: settings.min_seconds,
        };
        let Pool { batch, warm_up, ref timed } = *pool;
        let taken = self.taken.get(&batch).copied();
        let length = if taken.is_some() { length.again() } else { length };
        let inputs = Inputs { warm_up, timed: timed.clone(), next: taken.unwrap_or(0) % timed.len() };
        match self.ask(&Ask::Time { batch, length, inputs }) {
            Some(Answer::Timed(turn)) => {
                if taken.is_none() {
                    self.measurement.warm_ups += 1;
                    self.measurement.unsettled += usize::from(!turn.settled);
                }
                *self.taken.entry(batch).or_default() += turn.passes.len();
                Some(turn)
            }
            other => {
                self.expected_another(other.as_ref());
                None
            }
        }
    }

    fn keep(&mut self, round: &Round, batch: usize, take: usize, disturbed: bool, turn: Timed) {
        let measurement = &mut self.measurement;
        let outputs = measurement.outputs.entry(batch).or_default();
        for Computed { input, output, passes } in &turn.outputs {
            outputs.passes += passes;
            outputs.identical += if self.expected.get(&(batch, *input)) == Some(output) { *passes } else { 0 };
        }
        let timing = |(iteration, pass): (usize, Pass)| Timing {
            round: round.number,
            process: round.process,
            batch,
            iteration,
            nanoseconds: pass.nanoseconds,
            take,
            input: pass.input,
            waited: pass.waited,
            disturbed: disturbed || pass.is_disturbed(),
        };
        measurement.timings.extend(turn.passes.into_iter().enumerate().map(timing));
    }

    fn finish(&mut self) {
        if let Some(Answer::Finished { peak_bytes, device_bytes }) = self.ask(&Ask::Finish)
            && let Some(footprint) = self.measurement.memory.last_mut()
        {
            (footprint.inference, footprint.device_inference) = (peak_bytes, device_bytes);
        }
        self.worker = None;
    }
}
