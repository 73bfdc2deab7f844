//! Judging a record: goals and checks. Pure, so that old runs can be judged by new checks.

mod backends;
mod calibration;
mod channels;
pub mod goals;
mod health;
mod modules;
mod observers;
mod runtime;
mod timing;

use crate::base::finding::{Finding, Verdict};
use crate::record::Record;

/// The checks, in the order of the report's questions.
const CHECKS: [fn(&Record) -> Finding; 8] = [
    observers::check,
    calibration::check,
    channels::check,
    modules::check,
    runtime::check,
    backends::check,
    timing::check,
    health::check,
];

/// Runs every check.
#[must_use]
pub fn findings(record: &Record) -> Vec<Finding> {
    CHECKS.iter().map(|check| check(record)).collect()
}

/// A finding under construction: evidence accumulates, and the worst observation decides.
struct Case {
    finding: Finding,
}

impl Case {
    fn open(code: &str, question: &str) -> Self {
        let finding = Finding {
            code: code.to_owned(),
            question: question.to_owned(),
            verdict: Verdict::Pass,
            evidence: Vec::new(),
            remedy: String::new(),
        };
        Self { finding }
    }

    fn note(&mut self, evidence: String) {
        self.finding.evidence.push(evidence);
    }

    /// Adds an observation against the pass, with what to do about it.
    fn against(&mut self, verdict: Verdict, evidence: String, remedy: &str) {
        self.note(evidence);
        self.finding.verdict = Verdict::all([self.finding.verdict, verdict]);
        if self.finding.remedy.split("; ").any(|known| known == remedy) {
            return;
        }
        if !self.finding.remedy.is_empty() {
            self.finding.remedy.push_str("; ");
        }
        self.finding.remedy.push_str(remedy);
    }

    fn close(self) -> Finding {
        self.finding
    }
}

/// `` `a`, `b` and 3 more ``
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
