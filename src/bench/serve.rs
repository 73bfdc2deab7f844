//! The measuring process: answers what the benchmark asks, one variant, one runtime.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::backend::{self, BackendError, Request, Session};
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Failure};
use crate::base::files;
use crate::manifest::{Compute, Variant};
use crate::measure::worker::{Answer, Ask};
use crate::measure::{memory, priority, turn};
use crate::tensor::Tensor;

/// What a measuring process is told about its variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub variant: Variant,
    pub compute: Compute,
}

/// Wraps the session that is measured.
pub type Wrap<'a> = dyn Fn(Box<dyn Session>) -> Box<dyn Session> + 'a;

/// Answers requests until it is told to finish or its input ends.
pub fn serve(requests: impl BufRead, answers: impl Write) -> std::io::Result<()> {
    serve_wrapped(requests, answers, &|session| session)
}

/// [`serve`] with a session of the caller's making around the engine's: how a bench plants a
/// slowdown that the statistics must find.
pub fn serve_wrapped(requests: impl BufRead, mut answers: impl Write, wrap: &Wrap<'_>) -> std::io::Result<()> {
    let mut server = Server::default();
    for line in requests.lines() {
        let answer = match serde_json::from_str::<Ask<Assignment>>(&line?) {
            Ok(ask) => server.answer(ask, wrap).unwrap_or_else(|failure| gave_up(&failure)),
            Err(error) => Answer::Failed { message: format!("unreadable request: {error}"), remedy: None },
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

fn gave_up(failure: &Failure) -> Answer {
    let remedy = failure.diagnostics.iter().filter(|own| own.cause != Cause::Bug).find_map(|own| own.next_step.clone());
    Answer::Failed { message: failure.to_string(), remedy }
}

#[derive(Default)]
struct Server {
    open: Option<Open>,
}

/// What was opened.
struct Open {
    session: Box<dyn Session>,
    samples: Samples,
}

/// The preprocessed samples of a file. They stay there: a process whose memory is measured holds only
/// the batch that it runs.
struct Samples {
    path: PathBuf,
    shape: Vec<usize>,
}

impl Samples {
    /// `count` samples from `first` on.
    fn rows(&self, first: usize, count: usize) -> Result<Tensor, Failure> {
        const WIDTH: usize = size_of::<f32>();
        let each: usize = self.shape.iter().skip(1).product();
        let raw = files::read_range(&self.path, (first * each * WIDTH) as u64, count * each * WIDTH)?;
        let values = raw.as_chunks::<WIDTH>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let shape = std::iter::once(count).chain(self.shape.iter().skip(1).copied()).collect();
        Tensor::f32(shape, values).map_err(|error| Failure::bug(error.to_string()))
    }
}

impl Server {
    fn answer(&mut self, ask: Ask<Assignment>, wrap: &Wrap<'_>) -> Result<Answer, Failure> {
        if let Ask::Open { variant, artefact, input, shape } = ask {
            backend::start(&variant.compute)?;
            let runtime_bytes = memory::peak_resident_bytes();
            let mut session = wrap(backend::open(Request::from(&variant.variant), &files::read(&artefact)?)?);
            let (loaded_bytes, device_bytes) = (memory::peak_resident_bytes(), session.device_peak_bytes());
            session.forget_device_peak();
            self.open = Some(Open { session, samples: Samples { path: input, shape } });
            memory::forget_peak();
            return Ok(Answer::Opened { runtime_bytes, loaded_bytes, device_bytes, nice: priority::nice() });
        }
        let Some(Open { session, samples }) = &mut self.open else {
            return Err(Failure::bug("nothing was opened"));
        };
        Ok(match ask {
            Ask::Open { .. } | Ask::Finish => Answer::Finished {
                peak_bytes: memory::peak_resident_bytes(),
                device_bytes: session.device_peak_bytes(),
            },
            Ask::Time { batch, length, inputs } => {
                Answer::Timed(turn::take(&length, &inputs, &mut Timed { session, samples, batch })?)
            }
        })
    }
}

/// A session on batches of one size.
struct Timed<'a> {
    session: &'a mut Box<dyn Session>,
    samples: &'a Samples,
    batch: usize,
}

impl turn::Network for Timed<'_> {
    type Error = Failure;

    fn load(&mut self, input: usize) -> Result<(), Failure> {
        Ok(self.session.load(&self.samples.rows(input, self.batch)?)?)
    }

    fn pass(&mut self) -> Result<(), Failure> {
        Ok(self.session.forward()?)
    }

    fn output(&mut self) -> Result<Digest, Failure> {
        Ok(output_digest(&**self.session)?)
    }
}

/// Digest of what the last pass computed, as little-endian bytes.
pub fn output_digest(session: &dyn Session) -> Result<Digest, BackendError> {
    let outputs: Vec<Vec<u8>> = session.outputs()?.iter().map(|output| output.data().to_le_bytes()).collect();
    Ok(Digest::of_parts(outputs.iter().map(Vec::as_slice)))
}
