//! What a sweep's table and page say of a variant of a point, taken from its run's record.

use crate::base::digest::Digest;
use crate::base::finding::Verdict;
use crate::measure::summary::Latency;
use crate::record::Record;
use crate::record::format::{Fidelity, Measured, OutputFidelity, VariantResult};
use crate::stats::Estimate;
use crate::task::fidelity::MOST_DB;

/// A variant of a point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// From 1.
    pub point: usize,
    pub variant: String,
    pub precision: String,
    pub baseline: bool,
    /// `measured`, `missing`, `failed`.
    pub status: &'static str,
    pub reason: String,
    /// Of the run.
    pub verdict: Verdict,
    /// Digests of the model, the dataset, the calibration and the evaluation subset.
    pub inputs: [Digest; 4],
    /// requant, the libraries and the kernels.
    pub requant: String,
    /// The version of libtorch, or the library that calibrated in its place.
    pub libtorch: String,
    pub kernels: String,
    pub measured: Option<Figures>,
    pub cpu: String,
    pub cores: usize,
    /// Whether other points computed while this one was timed.
    pub beside: bool,
    /// The share of the processors that other programs took while it was timed.
    pub other_load: Option<f64>,
    /// Wall seconds of the run.
    pub seconds: i64,
    pub run: String,
    pub record: Digest,
}

/// What was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    pub samples: usize,
    /// What classifies has these three.
    pub correct: Option<usize>,
    pub accuracy: Option<Estimate>,
    pub against: Option<Against>,
    /// Of other networks, the ratio of signal to noise in dB of the output that keeps least.
    pub sqnr_db: Option<Estimate>,
    /// Whether outputs were judged, and not classes.
    pub is_fidelity: bool,
    /// Samples whose answers are no numbers.
    pub undefined: usize,
    pub library: String,
    pub artefact: Digest,
    pub model_bytes: u64,
    pub batch: Option<usize>,
    pub latency: Option<Estimate>,
    pub throughput: Option<f64>,
    pub speedup: Option<Estimate>,
    pub memory: Option<u64>,
}

/// Its answers beside the baseline's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Against {
    pub difference: Estimate,
    pub p_value: f64,
    pub agreeing: usize,
}

/// The rows of a run.
pub(crate) fn of(point: usize, run: &str, record: &Record, digest: Digest) -> Vec<Row> {
    let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
    let seconds =
        time(&record.run.finished).zip(time(&record.run.started)).map(|(end, start)| (end - start).num_seconds());
    let inputs = &record.inputs;
    let row = |variant: &VariantResult| {
        let (status, reason) = variant.status();
        Row {
            point,
            variant: variant.name.clone(),
            precision: variant.precision.to_string(),
            baseline: variant.baseline,
            status,
            reason,
            verdict: record.verdict,
            inputs: [inputs.model.sha256, inputs.dataset.sha256, inputs.calibration.sha256, inputs.evaluation.sha256],
            requant: record.requant.clone(),
            libtorch: record.runtime.reference.clone().unwrap_or_else(|| record.runtime.libtorch.clone()),
            kernels: record.runtime.cpu_capability.clone(),
            measured: variant.measured().map(figures),
            cpu: record.host.cpu.clone(),
            cores: record.host.cores,
            beside: record.conditions.as_ref().is_some_and(|conditions| conditions.beside_others),
            other_load: record.conditions.as_ref().and_then(|conditions| conditions.other_load(record.host.cores)),
            seconds: seconds.unwrap_or(0),
            run: run.to_owned(),
            record: digest,
        }
    };
    record.variants.iter().map(row).collect()
}

/// The ratio of the output that keeps least; as much as can be where none differs.
fn least(fidelity: &Fidelity) -> Option<Estimate> {
    let exact = |own: &OutputFidelity| Estimate { value: MOST_DB, low: MOST_DB, high: MOST_DB, n: own.identical };
    let each = fidelity.outputs.iter().map(|own| own.sqnr_db.unwrap_or_else(|| exact(own)));
    each.filter(|own| own.n > 0).min_by(|a, b| a.value.total_cmp(&b.value))
}

fn figures(measured: &Measured) -> Figures {
    let first = measured.latency.first();
    let against = measured.against_baseline().map(|comparison| Against {
        difference: comparison.difference,
        p_value: comparison.p_value,
        agreeing: comparison.agreeing,
    });
    Figures {
        samples: measured.samples().0,
        correct: measured.classified().map(|own| own.correct),
        accuracy: measured.classified().map(|own| own.accuracy),
        against,
        sqnr_db: measured.fidelity().and_then(least),
        undefined: measured.samples().1,
        is_fidelity: measured.fidelity().is_some(),
        library: measured.library.clone().unwrap_or_default(),
        artefact: measured.artefact.sha256,
        model_bytes: measured.artefact.bytes,
        batch: first.map(|latency| latency.batch),
        latency: first.map(|latency| latency.milliseconds),
        throughput: first.map(Latency::throughput),
        speedup: first.and_then(|latency| latency.speedup),
        memory: measured.peak_memory_bytes(),
    }
}
