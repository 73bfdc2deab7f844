//! What the form alone cannot rule out: combinations of keys.
//!
//! A rule reads the parts that it needs and runs wherever those could be read, so that a mistake in
//! one table does not hide another's.

use std::collections::BTreeSet;

use super::layers::Layers;
use super::missing::is_within;
use super::parts::Parts;
use super::problem::{Problem, problem};
use super::rows;
use super::structure::is_file_name;
use super::{
    Benchmark, Dataset, DatasetFormat, LayerPrecision, Quantize, Recipe, ReportOptions, Step, Strategy, Subset,
};
use crate::base::explain::{Cause, Diagnostic};

/// Every rule that is broken, but for those about keys that were found wrong already.
pub(super) fn check(parts: &Parts, layers: &Layers, dropped: &[String]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if let Ok(dataset) = &parts.dataset {
        problems.extend(storage(dataset));
        problems.extend(labels(dataset));
        problems.extend(preprocessing(dataset));
    }
    for (table, subset) in [("calibration", &parts.calibration), ("evaluation", &parts.evaluation)] {
        problems.extend(subset.iter().flat_map(|subset| samples(table, subset)));
    }
    if let Ok(variants) = &parts.variant {
        problems.extend(rows::each(variants));
        problems.extend(parts.quantize.iter().flat_map(|quantize| rows::of_libtorch(variants, quantize)));
        if let (Ok(quantize), Ok(benchmark)) = (&parts.quantize, &parts.benchmark) {
            problems.extend(rows::batches(variants, quantize, benchmark));
        }
    }
    problems.extend(parts.quantize.iter().flat_map(exceptions));
    problems.extend(parts.benchmark.iter().flat_map(length));
    let model = parts.model.iter().filter_map(|model| model.source.as_ref()).map(|source| ("model", source));
    let dataset = parts.dataset.iter().filter_map(|dataset| dataset.source.as_ref()).map(|source| ("dataset", source));
    problems.extend(model.chain(dataset).filter_map(|(table, source)| secret(table, &source.url)));
    problems.extend(parts.report.iter().flat_map(template));
    let located = |Problem { key, message, next }: Problem| {
        let message = format!("`{key}` {message}");
        Diagnostic::error(Cause::Input, message).next(next).at(layers.place(&key))
    };
    problems.into_iter().filter(|problem| !is_within(dropped, &problem.key)).map(located).collect()
}

/// An address stands in the record and in reports.
fn secret(table: &str, url: &str) -> Option<Problem> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let message = "holds a user name or password, which every record and report would show";
    authority.contains('@').then(|| {
        let next = "fetch the file by other means, or from an address that needs none";
        problem(format!("{table}.source.url"), message, next)
    })
}

fn length(benchmark: &Benchmark) -> Vec<Problem> {
    let mut found = Vec::new();
    if benchmark.max_rounds.is_some() && benchmark.precision.is_none() {
        let message = "bounds rounds that only `benchmark.precision` would add";
        found.push(problem("benchmark.max_rounds", message, "set `precision` too, or remove it"));
    }
    if benchmark.min_seconds >= benchmark.timeout_seconds as f64 {
        let message = "is no shorter than `benchmark.timeout_seconds`: every turn would be taken for a hang";
        found.push(problem("benchmark.min_seconds", message, "lower it, or raise `timeout_seconds`"));
    }
    found
}

fn storage(dataset: &Dataset) -> Vec<Problem> {
    let mut found = Vec::new();
    let format = dataset.format;
    let has_rows = matches!(format, DatasetFormat::Csv | DatasetFormat::Digits);
    if dataset.path.is_none() && format != DatasetFormat::Digits {
        found.push(problem("dataset.path", "is missing", format!("name the file or folder of the `{format}` data")));
    }
    if !has_rows && !dataset.splits.is_empty() {
        let message = format!("does not apply to `{format}`, which names its splits itself");
        found.push(problem("dataset.splits", message, "remove it"));
    }
    if has_rows && dataset.splits.is_empty() {
        let message = format!("is missing, and `{format}` has rows, not folders");
        found.push(problem(
            "dataset.splits",
            message,
            "name row ranges, such as `{ train = \"0..1000\", test = \"1000..1797\" }`",
        ));
    }
    for name in dataset.splits.keys().filter(|name| !is_file_name(name) || name.contains('.')) {
        let message = format!("has the name `{}`", name.escape_debug());
        found.push(problem("dataset.splits", message, "name splits with letters, digits, `-` and `_`"));
    }
    for (name, range) in &dataset.splits {
        if row_range(range).is_none() {
            let message = format!("is `{range}`, not a range of rows");
            found.push(problem(format!("dataset.splits.{name}"), message, "write `first..end`, such as `0..1000`"));
        }
    }
    if format != DatasetFormat::Csv {
        for (key, given) in [("shape", dataset.shape.is_some()), ("full_scale", dataset.full_scale.is_some())] {
            if given {
                found.push(problem(
                    format!("dataset.{key}"),
                    format!("applies to `csv`, not to `{format}`"),
                    "remove it",
                ));
            }
        }
    }
    if let Some(class) = twice(&dataset.classes) {
        found.push(problem("dataset.classes", format!("names `{class}` twice"), "give each label its own name"));
    }
    if let (Some(source), Some(pin)) = (&dataset.source, &dataset.sha256)
        && source.sha256 != *pin
    {
        let message = "differs from `dataset.sha256`, so that what is fetched could never be used";
        found.push(problem("dataset.source.sha256", message, "make both the digest of the file"));
    }
    if dataset.source.is_some() && dataset.path.is_none() {
        found.push(problem("dataset.source", "has no `dataset.path` to be stored at", "add `path`"));
    }
    found
}

/// `first..end`, not empty.
#[must_use]
pub(crate) fn row_range(text: &str) -> Option<std::ops::Range<usize>> {
    let (first, end) = text.split_once("..")?;
    let (first, end) = (first.trim().parse().ok()?, end.trim().parse().ok()?);
    (first < end).then_some(first..end)
}

/// The label order is said once.
fn labels(dataset: &Dataset) -> Vec<Problem> {
    let mut found = Vec::new();
    let file = dataset.classes_file.is_some();
    let said = [
        (!dataset.classes.is_empty(), "classes"),
        (file, "classes_file"),
        (!dataset.class_index.is_empty(), "class_index"),
    ];
    let said: Vec<&str> = said.into_iter().filter_map(|(said, key)| said.then_some(key)).collect();
    if let [first, second, ..] = said.as_slice() {
        let message = format!("contradicts `{first}`, which gives the label order");
        found.push(problem(format!("dataset.{second}"), message, "keep one of the two"));
    }
    if dataset.format != DatasetFormat::ImageFolder {
        let only = said.iter().filter(|key| **key != "classes");
        found.extend(only.map(|key| {
            let message = format!("is of image folders, and `format` is `{}`", dataset.format);
            problem(format!("dataset.{key}"), message, "give the names in `classes`")
        }));
    }
    if dataset.classes_sha256.is_some() && !file {
        found.push(problem("dataset.classes_sha256", "pins no file", "add `classes_file`, or remove it"));
    }
    let mut outputs: Vec<usize> = dataset.class_index.values().copied().collect();
    outputs.sort_unstable();
    let twice = outputs.iter().zip(outputs.iter().skip(1)).find(|(one, next)| one == next);
    if let Some((twice, _)) = twice {
        let message = format!("gives output {twice} to two folders");
        found.push(problem("dataset.class_index", message, "give each folder an output of its own"));
    }
    if let Some(far) = outputs.last().filter(|last| **last > MOST_OUTPUTS) {
        let message = format!("names output {far}, and no classifier has that many outputs");
        found.push(problem("dataset.class_index", message, "count the model's outputs from 0"));
    }
    found
}

/// Outputs beyond this are no classes.
const MOST_OUTPUTS: usize = 1_000_000;

fn preprocessing(dataset: &Dataset) -> Vec<Problem> {
    let mut found = Vec::new();
    let preprocess = &dataset.preprocess;
    if preprocess.mean.len() != preprocess.std.len() {
        let message = format!("and `mean` differ in length: {} and {}", preprocess.std.len(), preprocess.mean.len());
        found.push(problem("dataset.preprocess.std", message, "give one of each per channel of the model's input"));
    }
    if preprocess.resize.is_some() && preprocess.resize_shorter_side.is_some() {
        let message = "contradicts `resize`, which fixes both sides";
        found.push(problem("dataset.preprocess.resize_shorter_side", message, "keep one of the two"));
    }
    let too_large = |crop: &[usize; 2]| match (preprocess.resize, preprocess.resize_shorter_side) {
        (Some(size), _) => crop[0] > size[0] || crop[1] > size[1],
        (None, Some(side)) => crop.iter().all(|length| *length > side),
        (None, None) => false,
    };
    if preprocess.center_crop.is_some_and(|crop| too_large(&crop)) {
        let message = "is larger than the resized image";
        found.push(problem("dataset.preprocess.center_crop", message, "crop to at most what resizing gives"));
    }
    if preprocess.antialias && preprocess.interpolation == super::Interpolation::Nearest {
        let message = "does not apply to `interpolation = \"nearest\"`";
        found.push(problem("dataset.preprocess.antialias", message, "remove it, or use `bilinear`"));
    }
    found
}

fn samples(table: &str, subset: &Subset) -> Vec<Problem> {
    let mut found = Vec::new();
    let key = |name: &str| format!("{table}.{name}");
    let strategy = subset.strategy;
    match (strategy, subset.samples) {
        (Strategy::All, Some(_)) => {
            found.push(problem(key("samples"), "does not apply to `strategy = \"all\"`", "remove it, or use `first`"));
        }
        (Strategy::First | Strategy::Random | Strategy::Stratified, None) => {
            let message = format!("is missing, and `strategy = \"{strategy}\"` needs it");
            found.push(problem(key("samples"), message, "say how many samples to take"));
        }
        _ => {}
    }
    match (strategy, &subset.list) {
        (Strategy::List, None) => {
            let message = "is missing, and `strategy = \"list\"` needs it";
            found.push(problem(key("list"), message, "name a text file of one sample id per line"));
        }
        (Strategy::List, Some(_)) | (_, None) => {}
        (other, Some(_)) => {
            let message = format!("does not apply to `strategy = \"{other}\"`");
            found.push(problem(key("list"), message, "remove it, or use `strategy = \"list\"`"));
        }
    }
    found
}

fn exceptions(quantize: &Quantize) -> Vec<Problem> {
    let mut found = Vec::new();
    if quantize.steps.is_some() && quantize.recipe == Recipe::Robust {
        let message = "cannot be given to `robust`, which chooses its own";
        found.push(problem("quantize.steps", message, "remove it, or name another recipe"));
    }
    let learns = quantize.steps.as_ref().is_some_and(|steps| steps.contains(&Step::AdaRound));
    if quantize.adaround.is_some() && !learns && quantize.recipe != Recipe::Robust {
        let next = "add \"adaround\" to `quantize.steps`, or remove the table";
        found.push(problem("quantize.adaround", "changes nothing: the step is not taken", next));
    }
    for (position, layer) in quantize.layer.iter().enumerate() {
        let key = |name: &str| format!("quantize.layer.{position}.{name}");
        if let Err(error) = globset::Glob::new(&layer.r#match) {
            let message = format!("is not a glob: {}", error.kind());
            found.push(problem(key("match"), message, "write layer names with `*`, such as `features.1.*`"));
        }
        if (layer.precision, layer.observer, layer.kernel) == (None, None, None) {
            let key = format!("quantize.layer.{position}");
            found.push(problem(key, "changes nothing", "add `precision`, `observer` or `kernel`, or remove the table"));
        }
        if layer.kernel.is_some() && layer.precision == Some(LayerPrecision::Fp32) {
            let message = "is of integers, and the table keeps its layers in FP32";
            found.push(problem(key("kernel"), message, "remove it, or `precision`"));
        }
    }
    found
}

fn template(report: &ReportOptions) -> Vec<Problem> {
    match (&report.template, &report.sha256) {
        (None, Some(_)) => vec![problem("report.sha256", "pins no template", "add `template`, or remove the pin")],
        _ => Vec::new(),
    }
}

fn twice(names: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    names.iter().find(|name| !seen.insert(*name))
}
