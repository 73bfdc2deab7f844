//! Is the float network right on this data? What it gets wrong is not quantization's to answer for.

use super::{Case, some, undefined_remedy};
use crate::base::finding::{Finding, Verdict};
use crate::base::units;
use crate::record::Record;
use crate::record::format::{Classified, Reading, ValueFacts};

/// An accuracy below this share is looked into.
const LOW: f64 = 0.5;

/// So many more right answers under other labels, a fraction of all, are no chance.
const RELABELLED: f64 = 0.2;

/// Preprocessed images have a mean near 0 and a spread near 1; beyond these, numbers were not normalized as a
/// network expects them.
const FAR_MEAN: f64 = 3.0;
const SPREADS: std::ops::Range<f64> = 0.15..4.0;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("baseline", "Is the baseline right on this data?");
    let Some((variant, measured)) = record.baseline().and_then(|b| Some((b, b.measured()?))) else {
        case.note("the baseline was not measured".into());
        return case.close();
    };
    let name = &variant.name;
    let (samples, undefined) = measured.samples();
    let Some(measured) = measured.classified() else {
        case.note(format!(
            "`{name}`: the others are held to its outputs for {samples} samples, and nothing says whether it is right"
        ));
        if undefined > 0 {
            let evidence = format!("{undefined} of {samples} answers are no numbers");
            case.against(Verdict::Fail, evidence, undefined_remedy(variant.precision));
        }
        normalized_twice(&mut case, record, false);
        return case.close();
    };
    let accuracy = measured.accuracy;
    case.note(format!("`{name}`: {} of {} right", units::percent(accuracy.value), accuracy.n));
    if undefined > 0 {
        let evidence = format!("{undefined} of {samples} answers are no numbers");
        case.against(Verdict::Fail, evidence, undefined_remedy(variant.precision));
        return case.close();
    }
    normalized_twice(&mut case, record, accuracy.high < LOW);
    let gained = measured.correct_if_relabelled.saturating_sub(measured.correct) as f64 / accuracy.n.max(1) as f64;
    if gained > RELABELLED {
        let right = units::percent(measured.correct_if_relabelled as f64 / accuracy.n.max(1) as f64);
        let evidence = format!("with its classes in another order {right} would be right");
        case.against(Verdict::Fail, evidence, "put `dataset.classes` into the order of the model's outputs");
    } else if accuracy.high < LOW {
        low(&mut case, record, measured);
    }
    case.close()
}

/// A network that normalizes its input and is given normalized numbers; a cause where few answers are right.
fn normalized_twice(case: &mut Case, record: &Record, few_right: bool) {
    let settings = &record.settings.dataset.preprocess;
    for reading in &record.inputs.model.reading {
        let Reading::Normalizes { nodes, pixels } = reading else { continue };
        if settings.scale == *pixels && settings.leaves_pixels() {
            continue;
        }
        let evidence = format!(
            "the network seems to normalize its input itself, in {}, and `dataset.preprocess` does it before",
            some(nodes)
        );
        if few_right {
            let remedy =
                format!("set `scale = \"{pixels}\"`, every `mean` to 0 and every `std` to 1 in `dataset.preprocess`");
            case.against(Verdict::Fail, evidence, &remedy);
        } else {
            case.note(format!("{evidence}: one is too many where the accuracy is lower than that of the training"));
        }
    }
}

/// Why so few answers are right, as far as the numbers say.
fn low(case: &mut Case, record: &Record, measured: &Classified) {
    let odd = record.inputs.evaluation.numbers.as_ref().filter(|values| is_odd(values));
    let remedy = "check `dataset.preprocess` (`mean`, `std`, `resize`) against the model's training, and the model";
    let numbers = odd.map(|ValueFacts { mean, std }| {
        format!("the network is given numbers of mean {} and spread {}, where 0 and 1 are usual", list(mean), list(std))
    });
    let chance = 1.0 / record.inputs.dataset.classes.len().max(1) as f64;
    let evidence = format!(
        "{} is low for a trained network, and quantization has no part in it; chance is {}",
        units::percent(measured.accuracy.value),
        units::percent(chance)
    );
    // A hard task is not a fault: near chance, or with odd numbers, something is wrong.
    let wrong = numbers.is_some() || measured.accuracy.low <= 2.0 * chance;
    case.against(if wrong { Verdict::Fail } else { Verdict::Pass }, evidence, remedy);
    numbers.into_iter().for_each(|numbers| case.note(numbers));
}

fn is_odd(values: &ValueFacts) -> bool {
    values.mean.iter().any(|mean| mean.abs() > FAR_MEAN) || values.std.iter().any(|std| !SPREADS.contains(std))
}

fn list(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(", ")
}
