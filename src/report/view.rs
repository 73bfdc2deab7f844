//! What a page needs, as text: every value formatted, every absence given its reason.

mod attribution;
mod layers;
mod matrix;
pub(super) mod text;

use serde::Serialize;

use crate::base::finding::{self, Finding};
use crate::base::units;
use crate::dataset::endings;
use crate::manifest::{MemoryFormat, Precision, Task};
use crate::measure::summary::Latency;
use crate::record::Record;
use crate::record::format::{Agreement, Comparison, Judged, Measured, Outcome, OutputFidelity, Reading, VariantResult};
use crate::task::fidelity::{self, MOST_DB};
use attribution::AttributionView;
use layers::{LayerSummary, TrialRow};
use matrix::Matrix;
use text::interval;

/// The whole report, ready to be placed.
#[derive(Debug, Serialize)]
pub(super) struct View<'a> {
    record: &'a Record,
    verdict: &'static str,
    headline: String,
    /// Of `record.json`; empty where it is of another format.
    record_sha256: String,
    goals: Vec<GoalRow<'a>>,
    variants: Vec<VariantRow<'a>>,
    /// The variants that are compared with the baseline and were measured.
    compared: Vec<ComparedRow<'a>>,
    matrices: Vec<Matrix>,
    latency: Vec<LatencyRow<'a>>,
    findings: Vec<FindingRow<'a>>,
    /// The same, those that ask for something first.
    ranked: Vec<FindingRow<'a>>,
    /// What the recipe tried; empty where it leaves nothing to try.
    trials: Vec<TrialRow>,
    inputs: Inputs,
    layers: LayerSummary,
    host: HostView,
    agreements: Vec<AgreementRow<'a>>,
    /// Absent where nothing was tried.
    attribution: Option<AttributionView>,
    conclusions: Vec<String>,
    /// Whether outputs were judged, and not classes.
    is_fidelity: bool,
    /// Every output of every compared variant.
    outputs: Vec<OutputRow<'a>>,
}

/// An output of a variant beside the baseline's.
#[derive(Debug, Serialize)]
struct OutputRow<'a> {
    variant: &'a str,
    output: &'a str,
    sqnr: String,
    sqnr_interval: String,
    cosine: String,
    cosine_interval: String,
    identical: String,
    worst: String,
}

#[derive(Debug, Serialize)]
struct GoalRow<'a> {
    goal: &'a str,
    variant: &'a str,
    verdict: &'static str,
    because: &'a str,
}

#[derive(Debug, Serialize)]
struct VariantRow<'a> {
    name: &'a str,
    backend: &'a str,
    engine: String,
    precision: String,
    device: &'static str,
    role: &'static str,
    status: &'static str,
    reason: &'a str,
    accuracy: String,
    accuracy_interval: String,
    correct: String,
    latency: String,
    latency_interval: String,
    spread: String,
    throughput: String,
    peak_memory: String,
    inference_memory: String,
    loaded_memory: String,
    runtime_memory: String,
    /// Of tensors on a device with memory of its own; empty where there is none.
    device_loaded_memory: String,
    device_memory: String,
    size: String,
    artefact: &'a str,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct ComparedRow<'a> {
    name: &'a str,
    accuracy: String,
    baseline_accuracy: String,
    difference: String,
    difference_interval: String,
    lost: usize,
    gained: usize,
    p_value: String,
    agreement: String,
    smallest_drop: String,
    speedup: String,
    speedup_interval: String,
    compression: String,
    size: String,
    baseline_size: String,
    warning: String,
}

#[derive(Debug, Serialize)]
struct AgreementRow<'a> {
    first: &'a str,
    second: &'a str,
    agreement: String,
    largest: String,
    difference: String,
}

impl<'a> AgreementRow<'a> {
    fn of(pair: &'a Agreement) -> Self {
        let Agreement { first, second, agreeing, samples, largest_difference, difference, .. } = pair;
        let [value, low, high] =
            [difference.value, difference.low, difference.high].map(|x| units::signed(x * 100.0, 2));
        Self {
            first,
            second,
            agreement: format!("{agreeing} of {samples}"),
            largest: format!("{largest_difference:.2e}"),
            difference: format!("{value} points ({low} to {high})"),
        }
    }
}

/// One quantity, precisions down and devices across.
#[derive(Debug, Serialize)]
struct LatencyRow<'a> {
    variant: &'a str,
    batch: usize,
    median: String,
    interval: String,
    spread: String,
    p90: String,
    p99: String,
    outliers: usize,
    calls: usize,
    rounds: usize,
    /// Turns that were left out.
    disturbed: String,
    throughput: String,
    speedup: String,
}

#[derive(Debug, Serialize)]
struct FindingRow<'a> {
    finding: &'a Finding,
    verdict: &'static str,
}

#[derive(Debug, Serialize)]
struct Inputs {
    model_size: String,
    input_shape: String,
    /// The first of them, where there are many.
    classes: String,
    /// What else there is to know of how the model was read.
    reading: Vec<String>,
    passed_over: String,
}

#[derive(Debug, Serialize)]
struct HostView {
    isa: String,
    memory: String,
    virtual_machine: &'static str,
    governor: String,
}

/// A quality warning is due beyond this loss, a fraction.
const WARN_BEYOND: f64 = 0.05;

impl<'a> View<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        Self {
            record,
            verdict: record.verdict.word(),
            headline: text::headline(record),
            record_sha256: record.digest().map(|digest| digest.to_string()).unwrap_or_default(),
            goals: record.goals.iter().map(GoalRow::of).collect(),
            variants: record.variants.iter().map(|variant| VariantRow::of(record, variant)).collect(),
            compared: record.variants.iter().filter_map(|variant| ComparedRow::of(record, variant)).collect(),
            matrices: matrix::matrices(record),
            latency: record.variants.iter().flat_map(|variant| latency_rows(record, variant)).collect(),
            findings: record.findings.iter().map(FindingRow::of).collect(),
            ranked: finding::ranked(&record.findings).into_iter().map(FindingRow::of).collect(),
            trials: record.quantization.trials.iter().map(TrialRow::of).collect(),
            inputs: Inputs::of(record),
            layers: LayerSummary::of(record),
            host: HostView::of(record),
            agreements: record.agreements.iter().map(AgreementRow::of).collect(),
            attribution: AttributionView::of(record),
            conclusions: text::conclusions(record),
            is_fidelity: record.settings.task == Task::Fidelity,
            outputs: record.variants.iter().flat_map(output_rows).collect(),
        }
    }
}

fn output_rows(variant: &VariantResult) -> Vec<OutputRow<'_>> {
    let Some(all) = variant.measured().and_then(Measured::fidelity) else { return Vec::new() };
    let absent = || units::ABSENT.to_owned();
    let row = |own: &'_ OutputFidelity| {
        let worst = own.worst.iter().map(|worst| format!("{} ({})", worst.sample, fidelity::shown(worst.sqnr_db)));
        (
            fidelity::shown(own.sqnr_db.map_or(MOST_DB, |own| own.value)),
            own.sqnr_db.map_or_else(absent, |own| interval(own, 2, " dB")),
            own.cosine.map_or_else(absent, |own| format!("{:.5}", own.value)),
            own.cosine.map_or_else(absent, |own| interval(own, 5, "")),
            match all.undefined {
                0 => format!("{} of {}", own.identical, all.samples),
                odd => format!("{} of {}; {odd} undefined", own.identical, all.samples),
            },
            worst.collect::<Vec<_>>().join(", "),
        )
    };
    all.outputs
        .iter()
        .map(|own| {
            let (sqnr, sqnr_interval, cosine, cosine_interval, identical, worst) = row(own);
            let (variant, output) = (variant.name.as_str(), own.name.as_str());
            OutputRow { variant, output, sqnr, sqnr_interval, cosine, cosine_interval, identical, worst }
        })
        .collect()
}

impl<'a> FindingRow<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self { finding, verdict: finding.verdict.word() }
    }
}

impl<'a> GoalRow<'a> {
    fn of(goal: &'a crate::record::format::GoalOutcome) -> Self {
        Self { goal: &goal.goal, variant: &goal.variant, verdict: goal.verdict.word(), because: &goal.because }
    }
}

impl<'a> VariantRow<'a> {
    fn of(record: &Record, variant: &'a VariantResult) -> Self {
        let (status, reason) = match &variant.outcome {
            Outcome::Measured(_) => ("measured", ""),
            Outcome::Missing { reason, .. } => ("missing", reason.as_str()),
            Outcome::Failed { reason, .. } => ("failed", reason.as_str()),
        };
        let measured = variant.measured();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| units::ABSENT.to_owned());
        let first = measured.and_then(|m| m.latency.first());
        let own = own_batch(record, variant);
        Self {
            name: &variant.name,
            backend: &variant.backend,
            engine: or_dash(variant.engine.map(|engine| engine.to_string())),
            precision: precision(variant),
            device: crate::manifest::Choice::word(variant.device),
            role: if variant.baseline { "baseline" } else { "compared" },
            status,
            reason,
            accuracy: or_dash(measured.map(text::quality)),
            accuracy_interval: or_dash(measured.and_then(quality_interval)),
            correct: or_dash(measured.map(counted_samples)),
            latency: or_dash(first.map(|l| format!("{}{own}", units::milliseconds(l.milliseconds.value)))),
            latency_interval: or_dash(first.map(|l| interval(l.milliseconds, 3, " ms"))),
            spread: or_dash(first.map(|l| text::spread(l) + &own)),
            throughput: or_dash(best_throughput(measured)),
            peak_memory: or_dash(measured.and_then(Measured::peak_memory_bytes).map(units::megabytes)),
            inference_memory: or_dash(measured.and_then(|m| m.memory.inference).map(text::memory)),
            loaded_memory: or_dash(measured.and_then(|m| m.memory.loaded).map(text::memory)),
            runtime_memory: or_dash(measured.and_then(|m| m.memory.runtime).map(text::memory)),
            device_loaded_memory: measured.and_then(|m| m.memory.device_loaded).map(text::memory).unwrap_or_default(),
            device_memory: measured.and_then(|m| m.memory.device_inference).map(text::memory).unwrap_or_default(),
            size: or_dash(measured.map(|m| units::megabytes(m.artefact.bytes))),
            artefact: measured.map_or("", |m| m.artefact.path.as_str()),
            sha256: measured.map(|m| m.artefact.sha256.to_string()).unwrap_or_default(),
        }
    }
}

fn quality_interval(measured: &Measured) -> Option<String> {
    match &measured.judged {
        Judged::Classes(own) => Some(interval(own.accuracy.map(|x| x * 100.0), 2, " %")),
        Judged::Outputs { fidelity } => Some(interval(fidelity.worst()?.sqnr_db?, 2, " dB")),
    }
}

/// Right answers; of outputs, the one that keeps least.
fn counted_samples(measured: &Measured) -> String {
    match &measured.judged {
        Judged::Classes(own) => format!("{} of {}", own.correct, own.accuracy.n),
        Judged::Outputs { fidelity } => {
            fidelity.worst().map_or_else(|| units::ABSENT.to_owned(), |worst| format!("`{}`", worst.name))
        }
    }
}

/// The precision, with the memory format where it is not the usual one.
fn precision(variant: &VariantResult) -> String {
    let precision = match variant.precision {
        Precision::Fp32 => "FP32",
        Precision::Fp16 => "FP16",
        Precision::Bf16 => "BF16",
        Precision::Int8 => "INT8",
    };
    match variant.memory_format {
        MemoryFormat::Contiguous => precision.to_owned(),
        format @ MemoryFormat::ChannelsLast => format!("{precision} {format}"),
    }
}

/// The size of batches that a row alone is about, where it says one.
fn own_batch(record: &Record, variant: &VariantResult) -> String {
    let settings = record.settings.variant.iter().find(|settings| settings.name == variant.name);
    settings.and_then(|settings| settings.batch_size).map_or_else(String::new, |size| format!(", batch {size}"))
}

fn best_throughput(measured: Option<&Measured>) -> Option<String> {
    let best = measured?.latency.iter().max_by(|a, b| a.throughput().total_cmp(&b.throughput()))?;
    Some(format!("{:.0} images/s at batch {}", best.throughput(), best.batch))
}

impl<'a> ComparedRow<'a> {
    fn of(record: &Record, variant: &'a VariantResult) -> Option<Self> {
        let baseline = record.baseline()?.measured()?;
        let measured = variant.measured()?;
        let comparison = measured.against_baseline();
        let (own, theirs) = (measured.classified(), baseline.classified());
        if variant.baseline || (comparison.is_none() && own.is_some()) {
            return None;
        }
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| units::ABSENT.to_owned());
        let speedup = measured.latency.first().and_then(|latency| latency.speedup);
        let lost = comparison.map_or(0.0, |comparison| -comparison.difference.value);
        let n = comparison.map_or(1, |comparison| comparison.counts.n().max(1));
        let agreement = |comparison: &Comparison| {
            let share = units::percent(comparison.agreeing as f64 / n as f64);
            format!("{share} ({} of {n})", comparison.agreeing)
        };
        let smallest = comparison.and_then(|comparison| comparison.counts.smallest_resolved_drop());
        Some(Self {
            name: &variant.name,
            accuracy: or_dash(own.map(|own| units::percent(own.accuracy.value))),
            baseline_accuracy: or_dash(theirs.map(|own| units::percent(own.accuracy.value))),
            difference: or_dash(comparison.map(|own| units::points(own.difference.value))),
            difference_interval: or_dash(comparison.map(|own| text::signed_interval(own.difference))),
            lost: comparison.map_or(0, |own| own.counts.only_first),
            gained: comparison.map_or(0, |own| own.counts.only_second),
            p_value: or_dash(comparison.map(|own| text::p_value(own.p_value))),
            agreement: or_dash(comparison.map(agreement)),
            smallest_drop: or_dash(smallest.map(|drop| format!("{:.2} points", drop * 100.0))),
            speedup: speedup
                .map(|speedup| text::speedup(record, speedup))
                .or_else(|| measured.latency.first().and_then(Latency::why_unclaimed))
                .unwrap_or_else(|| units::ABSENT.to_owned()),
            speedup_interval: speedup.map_or_else(|| units::ABSENT.to_owned(), |s| interval(s, 2, "×")),
            compression: units::times(baseline.artefact.bytes as f64 / measured.artefact.bytes.max(1) as f64),
            size: units::megabytes(measured.artefact.bytes),
            baseline_size: units::megabytes(baseline.artefact.bytes),
            warning: if lost > WARN_BEYOND {
                format!("accuracy fell by {:.2} points, more than {:.0}", lost * 100.0, WARN_BEYOND * 100.0)
            } else {
                String::new()
            },
        })
    }
}

fn latency_rows<'a>(record: &Record, variant: &'a VariantResult) -> Vec<LatencyRow<'a>> {
    let tail = |ms: Option<f64>| ms.map_or_else(|| units::ABSENT.to_owned(), units::milliseconds);
    let row = |latency: &Latency| LatencyRow {
        variant: &variant.name,
        batch: latency.batch,
        median: units::milliseconds(latency.milliseconds.value),
        interval: interval(latency.milliseconds, 3, " ms"),
        spread: text::spread(latency),
        p90: tail(latency.p90_ms),
        p99: tail(latency.p99_ms),
        outliers: latency.outliers,
        calls: latency.calls,
        rounds: latency.milliseconds.n,
        disturbed: match latency.turns {
            // Runs of before 2.3 did not look.
            0 => units::ABSENT.to_owned(),
            turns => format!("{} of {turns}", latency.disturbed_turns),
        },
        throughput: format!("{:.0} images/s", latency.throughput()),
        speedup: match latency.speedup {
            Some(speedup) => format!("{} ({})", text::speedup(record, speedup), interval(speedup, 2, "×")),
            None if variant.baseline => "baseline".to_owned(),
            None => latency.why_unclaimed().unwrap_or_else(|| units::ABSENT.to_owned()),
        },
    };
    variant.measured().map(|measured| measured.latency.iter().map(row).collect()).unwrap_or_default()
}

impl Inputs {
    fn of(record: &Record) -> Self {
        let inputs = &record.inputs;
        Self {
            model_size: units::megabytes(inputs.model.bytes),
            input_shape: inputs.model.input.iter().map(usize::to_string).collect::<Vec<_>>().join(" × "),
            classes: listed(&inputs.dataset.classes),
            reading: inputs.model.reading.iter().map(Reading::sentence).collect(),
            passed_over: Some(&inputs.dataset.passed_over).filter(|o| !o.is_empty()).map(endings).unwrap_or_default(),
        }
    }
}

/// Class names that a report lists.
const CLASSES: usize = 100;

fn listed(classes: &[String]) -> String {
    let shown = classes[..classes.len().min(CLASSES)].join(", ");
    match classes.len().saturating_sub(CLASSES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl HostView {
    fn of(record: &Record) -> Self {
        let host = &record.host;
        Self {
            isa: if host.isa_flags.is_empty() { "none of note".into() } else { host.isa_flags.join(", ") },
            memory: host
                .memory_bytes
                .map_or_else(|| "unknown".into(), |b| format!("{:.1} GiB", b as f64 / f64::from(1 << 30))),
            virtual_machine: if host.virtual_machine { "yes: timings carry the neighbours' noise" } else { "no" },
            governor: host.governor.clone().unwrap_or_else(|| "not readable".into()),
        }
    }
}
