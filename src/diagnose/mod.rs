//! Judging a record: goals and checks. Both are functions of the record alone, and `verify` derives them again.

mod activations;
mod agreement;
mod backends;
mod baseline;
mod calibration;
mod channels;
mod gates;
pub mod goals;
mod health;
mod layers;
mod likeness;
mod modules;
mod observers;
mod ranges;
mod remedy;
mod resolution;
mod runtime;
mod saturation;
mod timing;
mod weights;

use crate::base::finding::{self, Finding, Verdict};
use crate::base::units;
use crate::manifest::{Precision, Step, Task};
use crate::record::Record;
use crate::record::format::{Change, Measured, VariantResult};
use crate::stats::Estimate;

pub use remedy::{Remedy, next_experiment};

/// A question that a record is asked.
struct Check {
    /// The code of its finding.
    code: &'static str,
    about: About,
    /// The first format whose records it is asked of: records of earlier ones were made without it, and `verify` compares
    /// their findings word by word.
    since: &'static str,
    ask: fn(&Record) -> Finding,
}

/// What a finding is about, and so what may cure it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// What comes before the quantization: while one of these fails, other integers are no cure.
    Inputs,
    /// What integers lose: another way to quantize may bring it back.
    Integers,
    /// The program, the machine and the measurement: the cure is not in the quantization.
    Surroundings,
}

/// In the order of the report's questions.
const CHECKS: [Check; 18] = [
    Check { code: "baseline", about: About::Inputs, since: "2.3", ask: baseline::check },
    Check { code: "observers", about: About::Inputs, since: "2.3", ask: observers::check },
    Check { code: "calibration", about: About::Inputs, since: "2.3", ask: calibration::check },
    Check { code: "likeness", about: About::Inputs, since: "2.3", ask: likeness::check },
    Check { code: "channels", about: About::Integers, since: "2.3", ask: channels::check },
    Check { code: "weights", about: About::Integers, since: "2.3", ask: weights::check },
    Check { code: "ranges", about: About::Integers, since: "2.3", ask: ranges::check },
    Check { code: "gates", about: About::Integers, since: "2.3", ask: gates::check },
    Check { code: "saturation", about: About::Integers, since: "2.3", ask: saturation::check },
    Check { code: "activations", about: About::Surroundings, since: "2.3", ask: activations::check },
    Check { code: "layers", about: About::Integers, since: "2.3", ask: layers::check },
    Check { code: "resolution", about: About::Surroundings, since: "2.3", ask: resolution::check },
    Check { code: "modules", about: About::Surroundings, since: "2.3", ask: modules::check },
    Check { code: "runtime", about: About::Surroundings, since: "2.3", ask: runtime::check },
    Check { code: "backends", about: About::Surroundings, since: "2.3", ask: backends::check },
    Check { code: "agreement", about: About::Surroundings, since: "2.3", ask: agreement::check },
    Check { code: "timing", about: About::Surroundings, since: "2.3", ask: timing::check },
    Check { code: "measurement", about: About::Surroundings, since: "2.3", ask: health::check },
];

/// Whether a finding is of a check about this.
fn is_about(finding: &Finding, about: About) -> bool {
    CHECKS.iter().any(|check| check.code == finding.code && check.about == about)
}

/// Asks a record every question that its format knows.
#[must_use]
pub fn findings(record: &Record) -> Vec<Finding> {
    let asked = CHECKS.iter().filter(|check| record.is_since(check.since));
    let mut findings: Vec<Finding> = asked.map(|check| (check.ask)(record)).collect();
    prescribe(record, &mut findings);
    findings
}

/// The first failing finding of what comes before the quantization.
#[must_use]
pub fn inputs_at_fault(record: &Record) -> Option<&Finding> {
    let ranked = finding::ranked(&record.findings).into_iter();
    ranked.filter(|finding| finding.verdict == Verdict::Fail).find(|own| is_about(own, About::Inputs))
}

/// The cheapest change that was measured to bring most of the lost accuracy back, unless the fault lies before the
/// quantization.
#[must_use]
pub fn remedy(record: &Record) -> Option<Remedy> {
    remedy::cheapest(record).filter(|_| inputs_at_fault(record).is_none())
}

/// Gives the finding that is shown first the remedy that was measured to help and costs least, before its own; where
/// undoing it was measured to bring most back, its own is that already, or as good.
fn prescribe(record: &Record, findings: &mut [Finding]) {
    let is_of_integers = |finding: &&Finding| !finding.is_clean() && is_about(finding, About::Integers);
    let first = finding::ranked(findings).into_iter().find(is_of_integers).map(|first| first.code.clone());
    let Some(first) = findings.iter_mut().find(|own| first.as_ref() == Some(&own.code)) else { return };
    let Some(loss) = remedy::loss(record) else { return };
    let own_is_enough = first.explains.is_some_and(|points| points > loss * 100.0 / 2.0);
    match remedy::cheapest(record) {
        Some(cure) => first.remedy = cure.told(),
        None if own_is_enough || was_learned(record) => {}
        None => first.remedy = remedy::next_experiment(record),
    }
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
            explains: None,
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

    /// Weighs what was found by what the best of the changes that undo it gave back. Where that is surely next to
    /// nothing it is not the cause, whatever it looks like, and there is nothing to do about it.
    fn weigh(&mut self, record: &Record, changes: &[Change]) {
        let surely_little = self.explain(record, changes).is_some_and(|share| share < NEXT_TO_NOTHING);
        if surely_little && !was_learned(record) {
            self.finding.verdict = Verdict::Pass;
            self.finding.remedy.clear();
        }
    }

    /// Notes what the best of the changes that undo it gave back; returns the share of the loss, at most.
    fn explain(&mut self, record: &Record, changes: &[Change]) -> Option<f64> {
        let tried = changes.iter().filter_map(|change| gained(record, *change));
        let best = tried.max_by(|a, b| a.0.value.total_cmp(&b.0.value));
        let (gained, loss) = best.filter(|_| !self.finding.is_clean())?;
        self.tried(record, "undoing it", gained);
        self.credit(gained);
        Some(gained.high / loss)
    }

    /// Notes what an experiment gave back.
    fn tried(&mut self, record: &Record, what: &str, gained: Estimate) {
        self.note(format!("tried: {what} {} on {} samples", brought(record, gained), gained.n));
    }

    /// Says that what was found explains what an experiment surely gave back.
    fn credit(&mut self, gained: Estimate) {
        if gained.low > 0.0 {
            let points = gained.value * 100.0;
            self.finding.explains = Some(self.finding.explains.map_or(points, |known| known.max(points)));
        }
    }

    fn close(self) -> Finding {
        self.finding
    }
}

/// What a change did: `brings +1.20 points (+0.80 to +1.60)`, or what it did to the error where outputs are judged.
fn brought(record: &Record, gained: Estimate) -> String {
    let decimals = if record.settings.task == Task::Classification { 2 } else { 0 };
    let [value, low, high] = [gained.value, gained.low, gained.high].map(|x| units::signed(x * 100.0, decimals));
    match record.settings.task {
        Task::Classification => format!("brings {value} points ({low} to {high})"),
        Task::Fidelity => format!("removes {value} % of the error ({low} to {high})"),
    }
}

/// Whether changes are tried on another network than what they are compared with: none of them learns anew.
fn was_learned(record: &Record) -> bool {
    [Step::AdaRound, Step::SequentialBiasCorrection].iter().any(|step| record.quantization.steps.contains(step))
}

/// Advice to equalize channels, or what is left to do where that was a step already.
fn to_equalize<'a>(record: &Record, advice: &'a str) -> &'a str {
    if record.quantization.steps.contains(&Step::Equalize) {
        "set `precision = \"fp32\"` for these layers in `quantize.layer`; \"equalize\" was a step already"
    } else {
        advice
    }
}

/// A share of the loss that is no cause of it.
const NEXT_TO_NOTHING: f64 = 0.1;

/// What a change of the whole network brought, and what there is to gain.
fn gained(record: &Record, change: Change) -> Option<(Estimate, f64)> {
    let attribution = record.attribution.as_ref()?;
    let of = |change| attribution.interventions.iter().find(|tried| tried.change == change && tried.target.is_none());
    Some((of(change)?.gained, of(Change::Float)?.gained.value))
}

/// Whether another way to quantize surely gave back most of the loss.
fn is_explained(record: &Record) -> bool {
    const CAUSES: [Change; 10] = [
        Change::Equalize,
        Change::Percentile,
        Change::Mse,
        Change::Calibration,
        Change::PerChannel,
        Change::FloatStem,
        Change::BoundWeights,
        Change::OverflowInFloat,
        Change::GatesInFloat,
        Change::HardSwishInFloat,
    ];
    CAUSES.iter().filter_map(|cause| gained(record, *cause)).any(|(gained, loss)| gained.low > loss / 2.0)
}

/// A loss of accuracy, a fraction, that asks for a cause.
const LOSS: f64 = 0.01;

/// Whether a variant surely lost more than that, or has an output farther from the baseline's than is asked.
fn lost(record: &Record, variant: &VariantResult) -> bool {
    if let Some(fidelity) = variant.measured().and_then(Measured::fidelity) {
        let goals = &record.settings.goals;
        return !fidelity.is_close(goals.min_sqnr_db, goals.min_cosine);
    }
    let comparison = variant.measured().and_then(|measured| measured.against_baseline());
    comparison.is_some_and(|comparison| comparison.difference.high < -LOSS)
}

/// Whether a loss may be the integers' doing.
fn integers_lost(record: &Record) -> bool {
    record.variants.iter().any(|variant| variant.precision == Precision::Int8 && lost(record, variant))
}

fn has_integers(record: &Record) -> bool {
    record.variants.iter().any(|variant| variant.precision == Precision::Int8)
}

/// What to do about answers that are no numbers.
fn undefined_remedy(precision: Precision) -> &'static str {
    match precision {
        Precision::Fp16 => "use `bf16` or `fp32`: FP16 holds nothing beyond 65 504",
        _ => "check the model and `dataset.preprocess`: a healthy network computes finite numbers",
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

/// Why a run has no remedy, and what to do instead.
#[must_use]
pub fn why_no_remedy(record: &Record) -> String {
    if let Some(finding) = inputs_at_fault(record) {
        let (code, remedy) = (&finding.code, &finding.remedy);
        return format!("no remedy: correct the input first. Finding `{code}`: {remedy}");
    }
    let options = &record.settings.record;
    if record.attribution.is_some() {
        return next_experiment(record);
    }
    let lost = record.variants.iter().filter(|variant| match record.settings.task {
        Task::Classification => {
            let comparison = variant.measured().and_then(|measured| measured.against_baseline());
            comparison.is_some_and(|comparison| comparison.difference.high < 0.0)
        }
        Task::Fidelity => lost(record, variant),
    });
    let lost: Vec<String> = lost.map(|variant| format!("`{}`", variant.name)).collect();
    if lost.is_empty() {
        return "no remedy is needed: nothing was surely lost".into();
    }
    if options.interventions == 0 || !options.evidence {
        return "no change was tried: set `record.interventions` above 0 and `record.evidence = true`, and run again"
            .into();
    }
    let what = if record.settings.task == Task::Classification { "accuracy" } else { "too much" };
    let (lost, backend, precision) = (lost.join(", "), record.settings.calibrates_on(), Precision::Int8);
    format!(
        "{lost} lost {what}, and changes are tried on the first row of `{backend}` in `{precision}` alone, which is missing or \
         lost nothing: add such a row, or look at what differs between the rows"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference() -> Record {
        serde_json::from_str(include_str!("../../results/digits/reference/record.json")).unwrap()
    }

    #[test]
    fn a_check_gives_a_finding_of_its_code() {
        let record = reference();
        for check in &CHECKS {
            assert_eq!((check.ask)(&record).code, check.code);
        }
    }

    #[test]
    fn a_record_is_asked_what_its_format_knows() {
        let mut record = reference();
        let now = findings(&record).len();
        assert_eq!(now, CHECKS.len());
        record.format = "2.2".into();
        let then = CHECKS.iter().filter(|check| check.since == "2.2").count();
        assert_eq!(findings(&record).len(), then);
        record.format = "2.10".into();
        assert_eq!(findings(&record).len(), now, "formats are numbers, not text");
    }
}
