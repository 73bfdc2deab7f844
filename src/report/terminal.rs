//! The few lines that end a run on a terminal.

use std::fmt::Write as _;

use super::view::text;
use crate::base::finding::Verdict;
use crate::base::text::one_line;
use crate::base::units;
use crate::record::Record;
use crate::record::format::{Fidelity, Judged, Outcome, OutputFidelity};
use crate::task::fidelity::shown;

/// A table of the variants and the verdict, ready to print.
#[must_use]
pub fn summary(record: &Record) -> String {
    let width = record.variants.iter().map(|v| v.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for variant in &record.variants {
        let line = match &variant.outcome {
            Outcome::Measured(m) => {
                let time = m.latency.first().map_or_else(String::new, |l| {
                    let claimed = l.speedup.map(|speedup| text::speedup(record, speedup));
                    let speed = claimed.or_else(|| l.why_unclaimed().map(|why| format!("speedup {why}")));
                    let speed = speed.map_or_else(String::new, |speed| format!(", {speed}"));
                    format!("  {} at batch {}{speed}", units::milliseconds(l.milliseconds.value), l.batch)
                });
                let correct = match &m.judged {
                    Judged::Classes(own) => {
                        format!("{} ({} of {})", units::percent(own.accuracy.value), own.correct, own.accuracy.n)
                    }
                    Judged::Outputs { fidelity } => outputs(fidelity),
                };
                format!("{correct}{time}  {}", units::megabytes(m.artefact.bytes))
            }
            Outcome::Missing { reason, .. } => format!("missing: {reason}"),
            Outcome::Failed { reason, .. } => format!("failed: {reason}"),
        };
        let _ = writeln!(out, "  {:width$}  {line}", variant.name);
    }
    for goal in &record.goals {
        let _ = writeln!(out, "  {}: {} {} ({})", goal.verdict.word(), goal.variant, goal.goal, goal.because);
    }
    for finding in record.findings.iter().filter(|finding| !finding.is_clean()) {
        let word = if finding.verdict == Verdict::Pass { "WARNING" } else { finding.verdict.word() };
        let _ = writeln!(out, "  {word}: {} To do: {}.", finding.question, finding.remedy);
    }
    let _ = writeln!(out, "verdict: {}", record.verdict.word());
    out
}

/// Every output with its ratio of signal to noise.
fn outputs(fidelity: &Fidelity) -> String {
    let told = |own: &OutputFidelity| match own.sqnr_db {
        Some(ratio) => format!("{} {}", one_line(&own.name), shown(ratio.value)),
        None => format!("{} the same", one_line(&own.name)),
    };
    if fidelity.undefined > 0 {
        return format!("{} of {} samples undefined", fidelity.undefined, fidelity.samples);
    }
    if fidelity.outputs.is_empty() {
        return format!("{} samples", fidelity.samples);
    }
    fidelity.outputs.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// A run on one page: what it is, its figures, where and from what they come.
#[must_use]
pub fn page(record: &Record) -> String {
    let Record { run, host, inputs, settings, .. } = record;
    let mut out = format!("{} · {}\n", settings.name, run.id);
    if !settings.description.is_empty() {
        let _ = writeln!(out, "{}", one_line(&settings.description));
    }
    let layers = record.network.layers.len();
    let in_float = record.network.layers.iter().filter(|layer| layer.float_because.is_some()).count();
    let runtime = match record.runtime.cpu_capability.as_str() {
        "" => record.runtime.calibrated_on(),
        kernels => format!("{}, {kernels}", record.runtime.calibrated_on()),
    };
    let lines = [
        ("measured", format!("{} to {}", run.started, run.finished)),
        ("machine", format!("{}, {}", host.cpu, units::counted(host.cores, "core"))),
        ("runtime", runtime),
        ("model", format!("{}, sha256 {}", settings.model.path.display(), inputs.model.sha256)),
        ("dataset", format!("{}, sha256 {}", settings.dataset.format, inputs.dataset.sha256)),
        ("samples", format!("{} to calibrate, {} to judge", inputs.calibration.samples, inputs.evaluation.samples)),
        ("recipe", format!("{}; {in_float} of {layers} operators in float", record.quantization.recipe)),
    ];
    for (name, value) in lines {
        let _ = writeln!(out, "  {name:8}  {value}");
    }
    if let Some(repeats) = &run.repeats {
        let _ = writeln!(out, "  repeats   {}", repeats.id);
    }
    for change in &run.overrides {
        let _ = writeln!(out, "  set       {} = {} ({})", change.key, change.value, change.origin);
    }
    out + &summary(record)
}
