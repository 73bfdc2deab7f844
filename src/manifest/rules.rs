//! What the form alone cannot rule out: combinations of keys.
//!
//! A rule reads the parts that it needs and runs wherever those could be read, so that a mistake in
//! one table does not hide another's.

use super::parts::Parts;
use super::{benchmark, dataset, model, quantize, report, subset, variant};
use crate::base::explain::{Cause, Diagnostic};
use crate::document::{Layers, Problem, is_within};

/// Every rule that is broken, but for those about keys that were found wrong already.
pub(super) fn check(parts: &Parts, layers: &Layers, dropped: &[String]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if let Ok(table) = &parts.dataset {
        problems.extend(dataset::storage(table));
        problems.extend(dataset::labels(table));
        problems.extend(dataset::preprocessing(table));
    }
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
