//! Combinations and ranges that the types alone cannot rule out.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Backend, DatasetFormat, Device, Manifest, ManifestError, Precision, Strategy, Subset};

/// A key, what is wrong with it and what to write instead.
type Problem = (String, String, Option<String>);

pub(super) fn check(path: &Path, manifest: &Manifest) -> Result<(), ManifestError> {
    let checks = [name, variants, dataset, numbers];
    let found = checks.iter().find_map(|check| check(manifest).err());
    let found = found.or_else(|| subset("calibration", &manifest.calibration).err());
    let found = found.or_else(|| subset("evaluation", &manifest.evaluation).err());
    match found {
        None => Ok(()),
        Some((key, problem, suggestion)) => {
            Err(ManifestError::Value { path: path.to_owned(), key, problem, suggestion })
        }
    }
}

fn problem(key: impl Into<String>, what: impl Into<String>, next: &str) -> Result<(), Problem> {
    Err((key.into(), what.into(), Some(next.to_owned())))
}

fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn name(manifest: &Manifest) -> Result<(), Problem> {
    if is_file_name(&manifest.name) {
        return Ok(());
    }
    problem(
        "name",
        format!("is `{}`, which cannot name a folder", manifest.name),
        "use letters, digits, `-`, `_` and `.`",
    )
}

fn variants(manifest: &Manifest) -> Result<(), Problem> {
    if manifest.variant.is_empty() {
        return problem("variant", "has no entry", "add a `[[variant]]` table");
    }
    let mut seen = BTreeSet::new();
    for variant in &manifest.variant {
        let key = format!("variant.{}", variant.name);
        if !is_file_name(&variant.name) {
            return problem(key, "cannot name a file", "use letters, digits, `-`, `_` and `.` in its name");
        }
        if !seen.insert(&variant.name) {
            return problem(key, "appears twice", "give each variant its own name");
        }
        if variant.engine.is_some() && (variant.backend, variant.precision) != (Backend::Torch, Precision::Int8) {
            return problem(format!("{key}.engine"), "only applies to INT8 of the torch backend", "remove it");
        }
        if (variant.backend, variant.precision, variant.device) == (Backend::Torch, Precision::Int8, Device::Cuda) {
            return problem(
                format!("{key}.device"),
                "is `cuda`, and libtorch has no INT8 kernels there",
                "use `device = \"cpu\"`",
            );
        }
    }
    if manifest.variant.iter().filter(|variant| variant.baseline).count() > 1 {
        return problem("variant", "has more than one baseline", "keep one `baseline = true`");
    }
    Ok(())
}

fn dataset(manifest: &Manifest) -> Result<(), Problem> {
    let dataset = &manifest.dataset;
    if dataset.format == DatasetFormat::ImageFolder {
        if dataset.path.is_none() {
            return problem("dataset.path", "is missing", "name the folder or `.tar` of images");
        }
        if !dataset.splits.is_empty() {
            return problem(
                "dataset.splits",
                "does not apply to image folders",
                "remove it: the folders are the splits",
            );
        }
    }
    let preprocess = &dataset.preprocess;
    if preprocess.mean.len() != preprocess.std.len() || preprocess.mean.is_empty() {
        return problem(
            "dataset.preprocess.std",
            "must have as many numbers as `mean`",
            "give one of each per channel",
        );
    }
    if preprocess.std.iter().any(|s| !s.is_finite() || *s <= 0.0) || preprocess.mean.iter().any(|m| !m.is_finite()) {
        return problem(
            "dataset.preprocess.std",
            "must be positive numbers",
            "use the values the model was trained with",
        );
    }
    if preprocess.resize.is_some_and(|size| size.iter().any(|&side| side == 0 || side > 8192)) {
        return problem(
            "dataset.preprocess.resize",
            "must be `[height, width]` between 1 and 8192",
            "use the model's input size",
        );
    }
    Ok(())
}

fn numbers(manifest: &Manifest) -> Result<(), Problem> {
    let benchmark = &manifest.benchmark;
    if manifest.compute.threads == 0 || manifest.compute.threads > 1024 {
        return problem("compute.threads", "must be between 1 and 1024", "use the number of physical cores");
    }
    if benchmark.batch_sizes.is_empty() || benchmark.batch_sizes.iter().any(|&size| size == 0 || size > 65_536) {
        return problem(
            "benchmark.batch_sizes",
            "must list sizes between 1 and 65536",
            "write `batch_sizes = [1, 32]`",
        );
    }
    if benchmark.batch_sizes.iter().collect::<BTreeSet<_>>().len() != benchmark.batch_sizes.len() {
        return problem("benchmark.batch_sizes", "names a size twice", "list each size once");
    }
    if [benchmark.rounds, benchmark.iterations, benchmark.warmup.saturating_add(1)]
        .iter()
        .any(|n| !(1..=100_000).contains(n))
    {
        let problem_text = "and `iterations` must be between 1 and 100000, `warmup` below";
        return problem("benchmark.rounds", problem_text, "write `rounds = 10`");
    }
    if manifest.goals.max_accuracy_drop.is_some_and(|drop| !(0.0..=100.0).contains(&drop)) {
        return problem(
            "goals.max_accuracy_drop",
            "must be between 0 and 100 percentage points",
            "write `max_accuracy_drop = 1.0`",
        );
    }
    if manifest.goals.min_speedup.is_some_and(|speedup| !(speedup > 0.0 && speedup.is_finite())) {
        return problem("goals.min_speedup", "must be a positive ratio", "write `min_speedup = 1.2`");
    }
    Ok(())
}

fn subset(table: &str, subset: &Subset) -> Result<(), Problem> {
    if subset.splits.is_empty() {
        return problem(format!("{table}.splits"), "is empty", "name the splits to draw from");
    }
    if subset.splits.iter().collect::<BTreeSet<_>>().len() != subset.splits.len() {
        return problem(format!("{table}.splits"), "names a split twice", "each sample may count once");
    }
    if subset.batch_size == 0 || subset.batch_size > 65_536 {
        return problem(format!("{table}.batch_size"), "must be between 1 and 65536", "write `batch_size = 32`");
    }
    match (subset.strategy, subset.samples) {
        (Strategy::All, Some(_)) => {
            problem(format!("{table}.samples"), "does not apply to `strategy = \"all\"`", "remove it, or use `first`")
        }
        (Strategy::All, None) => Ok(()),
        (_, None | Some(0)) => {
            problem(format!("{table}.samples"), "must be at least 1", "say how many samples to take")
        }
        (_, Some(_)) => Ok(()),
    }
}
