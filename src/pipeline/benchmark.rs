//! Times every variant in a fresh process of its own, round by round in shuffled order.

use std::io::{BufRead, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::evaluate::{Answers, Evaluated};
use super::{Event, Surroundings};
use crate::backend::{self, Request, Session};
use crate::base::explain::Failure;
use crate::base::{files, interrupt};
use crate::manifest::{Benchmark, Compute, Variant};
use crate::measure::summary::Timing;
use crate::measure::worker::{Answer, Ask, Worker};
use crate::measure::{memory, protocol};
use crate::tensor::Tensor;

/// What a measuring process is told about its variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub variant: Variant,
    pub compute: Compute,
}

/// An evaluated run with its timings.
pub(super) struct Benchmarked {
    pub evaluated: Evaluated,
    /// One per variant; absent where it did not run.
    pub measurements: Vec<Option<Measurement>>,
}

/// Raw measurements of one variant.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    pub timings: Vec<Timing>,
    pub loaded_memory_bytes: Option<u64>,
    pub peak_memory_bytes: Option<u64>,
    /// Why the measuring process failed, if it did.
    pub failed: Option<String>,
}

/// The samples for the measuring processes, kept only while they run.
const SAMPLES: &str = ".benchmark-input";

pub(super) fn benchmark(evaluated: Evaluated, around: &Surroundings<'_>) -> Result<Benchmarked, Failure> {
    let prepared = &evaluated.quantized.calibrated.prepared;
    let folder = prepared.draft.path().to_owned();
    prepared.draft.put(SAMPLES, &evaluated.samples.data().to_le_bytes())?;
    let mut benches = start_all(&evaluated, &folder, around);
    let settings = &prepared.resolved.manifest.benchmark;
    let order = protocol::rounds(benches.len(), settings.rounds, settings.seed);
    for (round, turn) in order.iter().enumerate() {
        for &variant in turn {
            interrupt::check()?;
            if let Some(bench) = &mut benches[variant] {
                bench.take_turn(round, settings);
            }
        }
        around.events.emit(&Event::Progress { done: round + 1, total: order.len(), unit: "rounds" });
    }
    let measurements = benches.into_iter().map(|bench| bench.map(Bench::finish)).collect();
    let path = folder.join(SAMPLES);
    std::fs::remove_file(&path).map_err(|e| files::FileError::new("remove", &path, e))?;
    Ok(Benchmarked { measurements, evaluated })
}

/// One variant and its process; the process is gone once it has failed.
struct Bench {
    worker: Option<Worker>,
    measurement: Measurement,
}

fn start_all(evaluated: &Evaluated, folder: &Path, around: &Surroundings<'_>) -> Vec<Option<Bench>> {
    let quantized = &evaluated.quantized;
    let manifest = &quantized.calibrated.prepared.resolved.manifest;
    let variants = manifest.variant.iter().zip(&quantized.artefacts).zip(&evaluated.answers);
    variants
        .map(|((variant, artefact), answers)| {
            let artefact = artefact.as_ref().filter(|_| matches!(answers, Answers::Given { .. }))?;
            let ask = Ask::Open {
                variant: Task { variant: variant.clone(), compute: manifest.compute.clone() },
                artefact: folder.join(&artefact.path),
                input: folder.join(SAMPLES),
                shape: evaluated.samples.shape().to_vec(),
            };
            Some(Bench::start(&ask, around))
        })
        .collect()
}

impl Bench {
    fn start(ask: &Ask<Task>, around: &Surroundings<'_>) -> Self {
        let mut bench = Self { worker: None, measurement: Measurement::default() };
        match Worker::start(&mut (around.worker)()) {
            Ok(worker) => bench.worker = Some(worker),
            Err(error) => bench.measurement.failed = Some(error.to_string()),
        }
        if let Some(Answer::Opened { resident_bytes }) = bench.ask(ask) {
            bench.measurement.loaded_memory_bytes = resident_bytes;
        }
        bench
    }

    /// Asks the process; a failure ends the process and is kept.
    fn ask(&mut self, ask: &Ask<Task>) -> Option<Answer> {
        match self.worker.as_mut()?.ask(ask) {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.measurement.failed = Some(error.to_string());
                self.worker = None;
                None
            }
        }
    }

    fn take_turn(&mut self, round: usize, settings: &Benchmark) {
        for &batch in &settings.batch_sizes {
            let ask = Ask::Time { batch, warmup: settings.warmup, iterations: settings.iterations };
            if let Some(Answer::Timed { nanoseconds }) = self.ask(&ask) {
                let timing = |(iteration, nanoseconds)| Timing { round, batch, iteration, nanoseconds };
                self.measurement.timings.extend(nanoseconds.into_iter().enumerate().map(timing));
            }
        }
    }

    fn finish(mut self) -> Measurement {
        if let Some(Answer::Finished { peak_bytes }) = self.ask(&Ask::Finish) {
            self.measurement.peak_memory_bytes = peak_bytes;
        }
        self.measurement
    }
}

/// The measuring process: answers requests until it is told to finish or its input ends.
pub fn serve(requests: impl BufRead, mut answers: impl Write) -> std::io::Result<()> {
    let mut server = Server::default();
    for line in requests.lines() {
        let answer = match serde_json::from_str::<Ask<Task>>(&line?) {
            Ok(ask) => server.answer(ask).unwrap_or_else(|failure| Answer::Failed { message: failure.to_string() }),
            Err(error) => Answer::Failed { message: format!("unreadable request: {error}") },
        };
        let last = matches!(answer, Answer::Finished { .. } | Answer::Failed { .. });
        writeln!(answers, "{}", serde_json::to_string(&answer)?)?;
        answers.flush()?;
        if last {
            break;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Server {
    session: Option<Box<dyn Session>>,
    samples: Option<Tensor>,
}

impl Server {
    fn answer(&mut self, ask: Ask<Task>) -> Result<Answer, Failure> {
        match ask {
            Ask::Open { variant: task, artefact, input, shape } => {
                let raw = files::read(&input)?;
                let values = raw.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                self.samples = Tensor::f32(shape, values).ok();
                drop(raw);
                backend::start(&task.compute)?;
                self.session = Some(backend::open(Request::from(&task.variant), &files::read(&artefact)?)?);
                Ok(Answer::Opened { resident_bytes: memory::peak_resident_bytes() })
            }
            Ask::Time { batch, warmup, iterations } => {
                let (Some(session), Some(samples)) = (&mut self.session, &self.samples) else {
                    return Ok(Answer::Failed { message: "nothing was opened".into() });
                };
                session.load(&first(samples, batch))?;
                let nanoseconds = protocol::time(warmup, iterations, || session.forward())?;
                Ok(Answer::Timed { nanoseconds })
            }
            Ask::Finish => Ok(Answer::Finished { peak_bytes: memory::peak_resident_bytes() }),
        }
    }
}

/// The first `batch` images.
fn first(samples: &Tensor, batch: usize) -> Tensor {
    let size: usize = samples.shape()[1..].iter().product();
    let values = samples.as_f32().unwrap_or(&[])[..batch * size].to_vec();
    let shape = std::iter::once(batch).chain(samples.shape()[1..].iter().copied()).collect();
    Tensor::f32(shape, values).expect("a part of a tensor is a tensor")
}
