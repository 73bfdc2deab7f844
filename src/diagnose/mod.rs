//! Judging a record: goals and checks. Pure, so that old runs can be judged by new checks.

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

/// The checks, in the order of the report's questions.
const CHECKS: [fn(&Record) -> Finding; 18] = [
    baseline::check,
    observers::check,
    calibration::check,
    likeness::check,
    channels::check,
    weights::check,
    ranges::check,
    gates::check,
    saturation::check,
    activations::check,
    layers::check,
    resolution::check,
    modules::check,
    runtime::check,
    backends::check,
    agreement::check,
    timing::check,
    health::check,
];

/// Runs every check.
#[must_use]
pub fn findings(record: &Record) -> Vec<Finding> {
    let mut findings: Vec<Finding> = CHECKS.iter().map(|check| check(record)).collect();
    prescribe(record, &mut findings);
    findings
}

/// Findings about what integers lose. Of the others, the cure is not in the quantization.
const OF_INTEGERS: [&str; 6] = ["channels", "weights", "ranges", "gates", "saturation", "layers"];

/// Findings of what comes before the quantization: while one of them fails, other integers are no cure.
const OF_INPUTS: [&str; 4] = ["baseline", "observers", "calibration", "likeness"];

/// The first failing finding of what comes before the quantization.
#[must_use]
pub fn inputs_at_fault(record: &Record) -> Option<&Finding> {
    let ranked = finding::ranked(&record.findings).into_iter();
    ranked.filter(|finding| finding.verdict == Verdict::Fail).find(|own| OF_INPUTS.contains(&own.code.as_str()))
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
    let is_of_integers = |finding: &&Finding| !finding.is_clean() && OF_INTEGERS.contains(&finding.code.as_str());
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
