//! Every variant answers for every sample of the evaluation subset, on the same tensors.

mod parting;
mod timed;

use std::collections::BTreeMap;

use super::calibrate::Calibrated;
use super::quantize::Quantized;
use crate::backend::{self, BackendError, Request, Session};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::bench::{self, Expected, output_digest};
use crate::manifest::{Artefact, Engine, FEW_IMAGES, Precision, Variant};
use crate::measure::pool::Pool;
use crate::record::format::Parting;
use crate::task::Outputs;
use crate::task::classification::{Answer, is_undefined};
use crate::task::fidelity::Closeness;
use crate::tensor::Tensor;
use crate::workbench::{Prepared, Surroundings, each_batch};

/// What the variants answered.
pub(super) struct Evaluated {
    /// One per variant.
    pub answers: Vec<Answers>,
    /// By places of two variants of one precision, how far their logits lie apart.
    pub apart: BTreeMap<(usize, usize), Apart>,
    /// The first preprocessed samples, as many as the benchmark needs.
    pub samples: Tensor,
}

/// Two variants' logits.
#[derive(Debug, Clone, Default)]
pub(super) struct Apart {
    pub difference: f32,
    /// The largest of the first's.
    pub logit: f32,
    /// Of INT8 networks on different engines, where they begin to differ.
    pub parting: Option<Parting>,
}

/// The result of a variant's accuracy pass.
pub(super) enum Answers {
    Missing,
    Failed(Diagnostic),
    Given {
        given: Given,
        /// The engine in use at the end of the last pass.
        engine: Option<Engine>,
        /// What the same session computes of the inputs that are timed.
        expected: Expected,
    },
}

/// A variant's answers to every sample, in the order of the subset.
#[derive(Default)]
pub(super) struct Given {
    /// Of a classifier.
    pub answers: Vec<Answer>,
    /// The first output's numbers, where they are kept, and how many there are for a sample.
    pub numbers: Vec<f32>,
    pub width: usize,
    /// Of other networks, by output: each sample beside the baseline's. Empty where the baseline gave none.
    pub closeness: Vec<Vec<Closeness>>,
    /// Samples that were answered, and those whose answers hold what is no number, or no finite one.
    pub samples: usize,
    pub undefined: usize,
}

impl Answers {
    /// What the measuring processes must compute.
    pub(super) const fn expected(&self) -> Option<&Expected> {
        match self {
            Self::Given { expected, .. } => Some(expected),
            Self::Missing | Self::Failed(_) => None,
        }
    }

    pub(super) const fn engine(&self) -> Option<Engine> {
        match self {
            Self::Given { engine, .. } => *engine,
            Self::Missing | Self::Failed(_) => None,
        }
    }

    pub(super) const fn given(&self) -> Option<&Given> {
        match self {
            Self::Given { given, .. } => Some(given),
            Self::Missing | Self::Failed(_) => None,
        }
    }
}

/// Which network a variant runs: answers are compared between engines on the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Float(Precision),
    Int8,
    /// That for batches of few images.
    Few,
    /// That with ranges around zero.
    Symmetric,
}

impl Network {
    fn of(variant: &Variant, two_ways: bool) -> Self {
        let few = two_ways && variant.batch_size.is_some_and(|size| size < FEW_IMAGES);
        match (variant.precision, variant.artefact()) {
            (Precision::Int8, Some(Artefact::TorchScript)) if few => Self::Few,
            (Precision::Int8, Some(Artefact::SymmetricOnnx)) => Self::Symmetric,
            (Precision::Int8, Some(Artefact::TorchScript | Artefact::Onnx) | None) => Self::Int8,
            (precision @ (Precision::Fp32 | Precision::Fp16 | Precision::Bf16), _) => Self::Float(precision),
        }
    }
}

/// A variant while it is answering.
struct Respondent<'a> {
    session: Option<Box<dyn Session>>,
    answers: Answers,
    network: Network,
    /// How many images it is given at once, where that is not as many as there are.
    batch_size: Option<usize>,
    outputs: &'a Outputs,
    /// All outputs for the last batch; none where it failed.
    last: Vec<Tensor>,
}

pub(super) fn evaluate(
    prepared: &Prepared,
    calibrated: &Calibrated,
    quantized: &Quantized,
    around: &Surroundings<'_>,
) -> Result<Evaluated, Failure> {
    let mut respondents = open(prepared, calibrated, quantized)?;
    let mut apart = BTreeMap::new();
    let samples = ask_all(prepared, &mut respondents, &mut apart, around)?;
    let manifest = prepared.manifest();
    for (variant, respondent) in manifest.variant.iter().zip(&mut respondents) {
        let pools = bench::pools(prepared, &variant.timed_at(&manifest.benchmark));
        pools.iter().for_each(|pool| respondent.repeat(&samples, pool));
    }
    for (&(first, second), apart) in &mut apart {
        let pair = [first, second].map(|place| &manifest.variant[place]);
        let differ = pair[0].precision == Precision::Int8 && pair[0].backend != pair[1].backend;
        if differ && apart.difference > 0.0 {
            apart.parting = parting::first(&calibrated.attempt, pair, &samples);
        }
    }
    let answers = respondents.into_iter().map(|respondent| respondent.answers).collect();
    Ok(Evaluated { answers, apart, samples })
}

fn open<'a>(
    prepared: &'a Prepared,
    calibrated: &Calibrated,
    quantized: &Quantized,
) -> Result<Vec<Respondent<'a>>, Failure> {
    let open = |(variant, artefact): (&Variant, &Option<_>)| {
        let network = Network::of(variant, calibrated.attempt.few.is_some());
        let (batch_size, outputs) = (variant.batch_size, &prepared.inputs.model.outputs);
        let respondent =
            |session, answers| Respondent { session, answers, network, batch_size, outputs, last: Vec::new() };
        let Some(crate::record::format::ArtefactFacts { path, .. }) = artefact else {
            return Ok(respondent(None, Answers::Missing));
        };
        let bytes = files::read(&prepared.draft.path().join(path))?;
        Ok(match backend::open(Request::from(variant), &bytes) {
            Ok(session) => {
                let given = Answers::Given { given: Given::default(), engine: None, expected: Expected::new() };
                respondent(Some(session), given)
            }
            Err(error) => respondent(None, Answers::Failed(error.into())),
        })
    };
    prepared.manifest().variant.iter().zip(&quantized.artefacts).map(open).collect()
}

fn ask_all(
    prepared: &Prepared,
    respondents: &mut [Respondent<'_>],
    apart: &mut BTreeMap<(usize, usize), Apart>,
    around: &Surroundings<'_>,
) -> Result<Tensor, Failure> {
    let manifest = prepared.manifest();
    let mut kept = Kept::new(bench::samples(prepared), &prepared.inputs.model.facts.input);
    each_batch(prepared, &prepared.inputs.data.evaluation, manifest.evaluation.batch_size, around, |input| {
        respondents.iter_mut().for_each(|respondent| respondent.answer(input, manifest.record.logits));
        match &prepared.inputs.model.outputs {
            Outputs::Scores { .. } => compare(respondents, apart),
            Outputs::Tensors(_) => measure(respondents, manifest.baseline()),
        }
        kept.take(input);
        Ok(())
    })?;
    Ok(kept.finish())
}

/// How far two logits lie apart: as far as can be where only one is a number.
fn distance(a: f32, b: f32) -> f32 {
    let apart = (a - b).abs();
    if a.to_bits() == b.to_bits() {
        0.0
    } else if apart.is_finite() {
        apart
    } else {
        f32::MAX
    }
}

/// How far the answers to the last batch lie apart, for each pair of one precision on one network.
fn compare(respondents: &[Respondent<'_>], apart: &mut BTreeMap<(usize, usize), Apart>) {
    for (first, a) in respondents.iter().enumerate() {
        let later = respondents.iter().enumerate().skip(first + 1);
        for (second, b) in later.filter(|(_, b)| b.network == a.network) {
            let (Some(a), Some(b)) = (a.last.first(), b.last.first()) else { continue };
            let (a, b) = (a.as_f32().unwrap_or(&[]), b.as_f32().unwrap_or(&[]));
            let known = apart.entry((first, second)).or_default();
            known.difference = a.iter().zip(b).map(|(a, b)| distance(*a, *b)).fold(known.difference, f32::max);
            known.logit = a.iter().filter(|a| a.is_finite()).fold(known.logit, |most, a| most.max(a.abs()));
        }
    }
}

/// How close the answers to the last batch are to the baseline's, image by image and output by output.
fn measure(respondents: &mut [Respondent<'_>], baseline: usize) {
    let should = std::mem::take(&mut respondents[baseline].last);
    let shapes = |outputs: &[Tensor]| outputs.iter().map(|output| output.shape().to_vec()).collect::<Vec<_>>();
    for (place, respondent) in respondents.iter_mut().enumerate() {
        let is_baseline = place == baseline;
        if !is_baseline
            && respondent.is_answering()
            && !should.is_empty()
            && shapes(&respondent.last) != shapes(&should)
        {
            let given = format!("{:?}", shapes(&respondent.last));
            respondent
                .refuse(format!("it gives outputs of the shapes {given}, and the baseline of {:?}", shapes(&should)));
        }
        let Answers::Given { given, .. } = &mut respondent.answers else { continue };
        given.closeness.resize(should.len(), Vec::new());
        let own = if is_baseline { &should } else { &respondent.last };
        for ((closeness, should), is) in given.closeness.iter_mut().zip(&should).zip(own) {
            let pairs = should.f32_rows().zip(is.f32_rows());
            closeness.extend(pairs.map(|(should, is)| Closeness::of(should, is)));
        }
    }
}

impl Respondent<'_> {
    const fn is_answering(&self) -> bool {
        self.session.is_some()
    }

    fn answer(&mut self, input: &Tensor, keep_numbers: bool) {
        let (Some(session), Answers::Given { given, engine, expected }) = (&mut self.session, &mut self.answers) else {
            return;
        };
        match in_batches(&mut **session, input, self.batch_size) {
            Ok(outputs) if !outputs.is_empty() => {
                // The first batches may be what is timed.
                let (rows, first) = (input.shape().first().copied().unwrap_or(0), given.samples);
                if self.batch_size.is_none() && first <= MOST_INPUTS * rows {
                    expected.extend(output_digest(&**session).ok().map(|digest| ((rows, first), digest)));
                }
                *engine = session.engine();
                given.take(self.outputs, &outputs, rows, keep_numbers);
                self.last = outputs;
            }
            Ok(_) => self.refuse("it gave no output".into()),
            Err(error) => self.fail(error.into()),
        }
    }
}

impl Given {
    /// Takes in what a network gave for a batch.
    fn take(&mut self, outputs: &Outputs, given: &[Tensor], images: usize, keep_numbers: bool) {
        self.samples += images;
        let Some(first) = given.first() else { return };
        match outputs {
            Outputs::Scores { head, .. } => {
                self.answers.extend(first.f32_rows().map(|row| head.answer(row)));
                self.undefined += first.f32_rows().filter(|row| is_undefined(row)).count();
            }
            Outputs::Tensors(_) => {
                let mut is_odd = vec![false; images];
                for output in given {
                    let odd = output.f32_rows().map(|row| !row.iter().all(|value| value.is_finite()));
                    is_odd.iter_mut().zip(odd).for_each(|(known, odd)| *known |= odd);
                }
                self.undefined += is_odd.into_iter().filter(|odd| *odd).count();
            }
        }
        self.width = first.data().len() / images.max(1);
        if keep_numbers {
            self.numbers.extend_from_slice(first.as_f32().unwrap_or(&[]));
        }
    }
}

/// All outputs for all rows of an input, exactly `size` at a time: a last batch that lacks some is filled up
/// with rows from the first on, whose answers are dropped.
fn in_batches(session: &mut dyn Session, input: &Tensor, size: Option<usize>) -> Result<Vec<Tensor>, BackendError> {
    let Some(size) = size else { return session.run(input) };
    let rows = input.shape().first().copied().unwrap_or(0);
    let mut parts: Vec<Vec<Tensor>> = Vec::new();
    for start in (0..rows).step_by(size) {
        let mut batch = vec![input.rows(start, size)];
        let mut lacking = (start + size).saturating_sub(rows);
        while lacking > 0 {
            let filling = lacking.min(rows);
            batch.push(input.rows(0, filling));
            lacking -= filling;
        }
        let Ok(batch) = Tensor::stacked(batch) else { return Ok(Vec::new()) };
        let given = session.run(&batch)?;
        parts.resize(given.len(), Vec::new());
        let wanted = size.min(rows - start);
        parts.iter_mut().zip(given).for_each(|(parts, output)| parts.push(output.rows(0, wanted)));
    }
    Ok(parts.into_iter().filter_map(|parts| Tensor::stacked(parts).ok()).collect())
}

/// As many inputs of one size as are timed at most, and one to warm up.
const MOST_INPUTS: usize = 9;

impl Respondent<'_> {
    /// Runs the inputs that are timed, unless that is how they were judged, and holds the answers to those already
    /// given: so what is timed is what was judged.
    fn repeat(&mut self, samples: &Tensor, pool: &Pool) {
        let batch = pool.batch;
        for input in pool.inputs() {
            let (Some(session), Answers::Given { given, expected, .. }) = (&mut self.session, &mut self.answers) else {
                return;
            };
            if expected.contains_key(&(batch, input)) {
                continue;
            }
            let rows = samples.rows(input, batch);
            let again = session.run(&rows).and_then(|outputs| {
                expected.insert((batch, input), output_digest(&**session)?);
                Ok(outputs)
            });
            let trouble = match (again, self.outputs) {
                (Ok(again), Outputs::Scores { head, .. }) => {
                    timed::changed_classes(self.network, *head, given, &again, input).map(Ok)
                }
                (Ok(again), Outputs::Tensors(_)) => {
                    timed::changed_outputs(self.network, session, &rows, &again, given).transpose()
                }
                (Err(error), _) => Some(Err(error)),
            };
            match trouble {
                None => {}
                Some(Ok(trouble)) => return self.refuse(format!("at batch {batch} {trouble}")),
                Some(Err(error)) => return self.fail(error.into()),
            }
        }
    }

    /// What it gives cannot be judged.
    fn refuse(&mut self, why: String) {
        self.fail(Diagnostic::error(Cause::Refuted, why));
    }

    fn fail(&mut self, why: Diagnostic) {
        (self.session, self.last) = (None, Vec::new());
        self.answers = Answers::Failed(why);
    }
}

/// The first samples of a stream of batches.
struct Kept {
    wanted: usize,
    image: Vec<usize>,
    values: Vec<f32>,
}

impl Kept {
    fn new(wanted: usize, image: &[usize]) -> Self {
        Self { wanted, image: image.to_vec(), values: Vec::new() }
    }

    fn take(&mut self, batch: &Tensor) {
        let room = self.wanted * self.image.iter().product::<usize>() - self.values.len();
        let values = batch.as_f32().unwrap_or(&[]);
        self.values.extend_from_slice(&values[..room.min(values.len())]);
    }

    /// Fewer samples than the largest batch are repeated from the first.
    fn finish(self) -> Tensor {
        let size = self.image.iter().product::<usize>();
        let values: Vec<f32> = self.values.iter().copied().cycle().take(self.wanted * size).collect();
        let shape = std::iter::once(self.wanted).chain(self.image).collect();
        Tensor::f32(shape, values).expect("as many values as the shape holds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each row with itself, and remembers how many rows there were.
    struct Echo(Vec<usize>, Option<Tensor>);

    impl Session for Echo {
        fn load(&mut self, input: &Tensor) -> Result<(), BackendError> {
            self.0.push(input.shape()[0]);
            self.1 = Some(input.clone());
            Ok(())
        }

        fn forward(&mut self) -> Result<(), BackendError> {
            Ok(())
        }

        fn outputs(&self) -> Result<Vec<Tensor>, BackendError> {
            Ok(self.1.iter().cloned().collect())
        }
    }

    #[test]
    fn every_batch_of_a_row_with_a_size_has_that_size() {
        let input = Tensor::f32(vec![5, 1], vec![1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        for (size, batches) in [(Some(2), vec![2, 2, 2]), (Some(7), vec![7]), (Some(13), vec![13]), (None, vec![5])] {
            let mut echo = Echo(Vec::new(), None);
            assert_eq!(in_batches(&mut echo, &input, size).unwrap(), std::slice::from_ref(&input));
            assert_eq!(echo.0, batches);
        }
    }

    #[test]
    fn few_samples_are_repeated() {
        let mut kept = Kept::new(3, &[1]);
        kept.take(&Tensor::f32(vec![2, 1], vec![1.0, 2.0]).unwrap());
        assert_eq!(kept.finish().as_f32().unwrap(), [1.0, 2.0, 1.0]);
    }
}
