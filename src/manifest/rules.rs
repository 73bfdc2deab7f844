//! What the form alone cannot rule out: combinations of keys.
//!
//! A rule reads the parts that it needs and runs wherever those could be read, so that a mistake in
//! one table does not hide another's.

use super::parts::Parts;
use super::{DatasetFormat, Strategy, Task, benchmark, dataset, model, quantize, report, subset, variant};
use crate::base::explain::{Cause, Diagnostic};
use crate::document::{Layers, Problem, is_within, problem};

/// Every rule that is broken, but for those about keys that were found wrong already.
pub(super) fn check(parts: &Parts, layers: &Layers, dropped: &[String]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if let Ok(table) = &parts.dataset {
        problems.extend(dataset::storage(table));
        problems.extend(dataset::labels(table));
        problems.extend(dataset::preprocessing(table));
    }
    problems.extend(judged(parts));
    for (name, table) in [("calibration", &parts.calibration), ("evaluation", &parts.evaluation)] {
        problems.extend(table.iter().flat_map(|table| subset::samples(name, table)));
    }
    if let Ok(variants) = &parts.variant {
        problems.extend(variant::each(variants));
        problems.extend(parts.quantize.iter().flat_map(|quantize| variant::of_libtorch(variants, quantize)));
        if let (Ok(quantize), Ok(benchmark)) = (&parts.quantize, &parts.benchmark) {
            problems.extend(variant::batches(variants, quantize, benchmark));
        }
    }
    problems.extend(parts.quantize.iter().flat_map(quantize::exceptions));
    problems.extend(parts.benchmark.iter().flat_map(benchmark::length));
    let of_model = parts.model.iter().filter_map(|model| model.source.as_ref()).map(|source| ("model", source));
    let of_dataset =
        parts.dataset.iter().filter_map(|dataset| dataset.source.as_ref()).map(|source| ("dataset", source));
    problems.extend(of_model.chain(of_dataset).filter_map(|(table, source)| model::secret(table, &source.url)));
    problems.extend(parts.report.iter().flat_map(report::template));
    let located = |Problem { key, message, next }: Problem| {
        let message = format!("`{key}` {message}");
        Diagnostic::error(Cause::Input, message).next(next).at(layers.place(&key))
    };
    problems.into_iter().filter(|problem| !is_within(dropped, &problem.key)).map(located).collect()
}

/// Keys that only one task has.
fn judged(parts: &Parts) -> Vec<Problem> {
    let mut found = Vec::new();
    let (task, fidelity) = (parts.task, parts.task == Task::Fidelity);
    if let Ok(goals) = &parts.goals {
        let of_fidelity = [("min_sqnr_db", goals.min_sqnr_db), ("min_cosine", goals.min_cosine)];
        let of_classes = [("max_accuracy_drop", goals.max_accuracy_drop)];
        let foreign = if fidelity { &of_classes[..] } else { &of_fidelity[..] };
        for (key, _) in foreign.iter().filter(|(_, given)| given.is_some()) {
            let (other, instead) = if fidelity {
                (Task::Classification, "hold the outputs to `min_sqnr_db` or `min_cosine`")
            } else {
                (Task::Fidelity, "hold the classes to `max_accuracy_drop`")
            };
            let message = format!("is of `task = \"{other}\"`, and `task` is `{task}`");
            found.push(problem(format!("goals.{key}"), message, format!("{instead}, or change `task`")));
        }
    }
    if fidelity && parts.record.as_ref().is_ok_and(|record| record.logits) {
        let message = "is of `task = \"classification\"`: outputs of any size are not kept";
        found.push(problem("record.logits", message, "remove it; `outputs.csv` has what is known of every sample"));
    }
    if parts.dataset.as_ref().is_ok_and(|dataset| dataset.format == DatasetFormat::Images) && !fidelity {
        let next = "set `task = \"fidelity\"`, or lay the images out by class and use `image-folder`";
        found.push(problem("dataset.format", format!("has no labels, and `task = \"{task}\"` needs them"), next));
    }
    let stratified = [("calibration", &parts.calibration), ("evaluation", &parts.evaluation)].into_iter();
    let stratified = stratified.filter(|(_, table)| {
        table.as_ref().is_ok_and(|table| table.strategy == Strategy::Stratified)
            && parts.dataset.as_ref().is_ok_and(|dataset| dataset.format == DatasetFormat::Images)
    });
    found.extend(
        stratified.map(|(name, _)| {
            problem(format!("{name}.strategy"), "is by class, and `images` have none", "use `random`")
        }),
    );
    found
}
