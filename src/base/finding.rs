//! One shape for every judgement requant makes about a run or a machine.

use serde::{Deserialize, Serialize};

/// The answer of a check. Inconclusive is never shown or counted as a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
    Inconclusive,
}

impl Verdict {
    /// The verdict of several parts taken together: any failure fails, any doubt is a doubt.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::Pass, |whole, part| match (whole, part) {
            (Self::Fail, _) | (_, Self::Fail) => Self::Fail,
            (Self::Inconclusive, _) | (_, Self::Inconclusive) => Self::Inconclusive,
            (Self::Pass, Self::Pass) => Self::Pass,
        })
    }

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// A check that ran: its question, the answer, what was seen and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable identifier, such as `calibration.leak`.
    pub code: String,
    pub question: String,
    pub verdict: Verdict,
    /// What was measured, as sentences with numbers in them.
    pub evidence: Vec<String>,
    /// What to change, naming manifest keys; empty where nothing needs changing.
    pub remedy: String,
    /// Points of accuracy that undoing it gives back, where that was tried and surely gives some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explains: Option<f64>,
}

impl Finding {
    /// Whether there is nothing to do about it. A check may pass and still have a word of warning.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict == Verdict::Pass && self.remedy.is_empty()
    }
}

/// Failures first, then doubts, then warnings; what explains the most of the loss before the rest, which stay in the
/// order of the checks.
#[must_use]
pub fn ranked(findings: &[Finding]) -> Vec<&Finding> {
    let rank = |finding: &&Finding| match finding.verdict {
        Verdict::Fail => 0,
        Verdict::Inconclusive => 1,
        Verdict::Pass if !finding.is_clean() => 2,
        Verdict::Pass => 3,
    };
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    let explained = |finding: &Finding| finding.explains.unwrap_or(0.0);
    sorted.sort_by(|a, b| rank(a).cmp(&rank(b)).then(explained(b).total_cmp(&explained(a))));
    sorted
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Fail, Inconclusive, Pass};
    use super::*;

    #[test]
    fn doubt_is_not_a_pass_and_failure_outranks_doubt() {
        assert_eq!(Verdict::all([]), Pass);
        assert_eq!(Verdict::all([Pass, Inconclusive, Pass]), Inconclusive);
        assert_eq!(Verdict::all([Inconclusive, Fail, Pass]), Fail);
    }
}
