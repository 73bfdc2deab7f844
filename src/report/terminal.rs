//! The few lines that end a run on a terminal.

use std::fmt::Write as _;

use super::view::text;
use crate::base::finding::Verdict;
use crate::base::units;
use crate::record::Record;
use crate::record::format::Outcome;

/// A table of the variants and the verdict, ready to print.
#[must_use]
pub fn summary(record: &Record) -> String {
    let width = record.variants.iter().map(|v| v.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for variant in &record.variants {
        let line = match &variant.outcome {
            Outcome::Measured(m) => {
                let time = m.latency.first().map_or_else(String::new, |l| {
                    let speed = l.speedup.map_or_else(String::new, |s| format!(", {}", text::speedup(record, s)));
                    format!("  {} at batch {}{speed}", units::milliseconds(l.milliseconds.value), l.batch)
                });
                let correct = format!("{} ({} of {})", units::percent(m.accuracy.value), m.correct, m.accuracy.n);
                format!("{correct}{time}  {}", units::megabytes(m.artefact.bytes))
            }
            Outcome::Missing { reason, .. } => format!("missing: {reason}"),
            Outcome::Failed { reason } => format!("failed: {reason}"),
        };
        let _ = writeln!(out, "  {:width$}  {line}", variant.name);
    }
    for goal in &record.goals {
        let _ = writeln!(out, "  {}: {} {} ({})", goal.verdict.word(), goal.variant, goal.goal, goal.because);
    }
    for finding in record.findings.iter().filter(|finding| finding.verdict != Verdict::Pass) {
        let _ = writeln!(out, "  {}: {} To do: {}.", finding.verdict.word(), finding.question, finding.remedy);
    }
    let _ = writeln!(out, "verdict: {}", record.verdict.word());
    out
}
