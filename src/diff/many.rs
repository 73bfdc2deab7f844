//! More than two runs: a table of their figures and of the settings in which they differ.

use std::collections::{BTreeMap, BTreeSet};

use super::causes::Rank;
use super::page::{self, Layout, Section};
use super::results::{QuantityKind, Standing, Status};
use super::{Diff, Side, VariantDiff};
use crate::base::units::ABSENT;
use crate::manifest::Task;

/// Every run against the first; figures that are no different from the first's carry a `~`.
#[must_use]
pub fn table(first: &Side, others: &[Diff], layout: Layout) -> String {
    page::set(&[figures(first, others), settings(first, others)], layout)
}

fn figures(first: &Side, others: &[Diff]) -> Section {
    let quality = match first.record.settings.task {
        Task::Classification => QuantityKind::Accuracy,
        Task::Fidelity => QuantityKind::Sqnr,
    };
    let shown = [quality, QuantityKind::Latency, QuantityKind::Size];
    let [first_column, latency, size] = shown.map(title);
    let mut rows = vec![["run", "verdict", "variant", first_column, latency, size].map(str::to_owned).to_vec()];
    // The first run against itself has the figures of A on both sides.
    let own = Diff::of(first, first);
    let all = std::iter::once(&own).chain(others);
    for (number, diff) in all.enumerate() {
        let turned = diff.judgements.iter().find(|turned| turned.what == "verdict");
        let verdict = turned.map_or_else(|| first.record.verdict.word().to_owned(), |turned| turned.b.clone());
        let mut name = Some((format!("{}: {}", number + 1, diff.b.name), verdict));
        for variant in diff.variants.iter().filter(|variant| variant.status_b.is_some()) {
            let (run, verdict) = name.take().unwrap_or_default();
            let mut row = vec![run, verdict, variant.name.clone()];
            row.extend(shown.map(|kind| cell(variant, kind)));
            rows.push(row);
        }
    }
    let mut lines = vec!["Against the first: ~ no difference, ≠ a difference, ? not comparable".to_owned()];
    let reasons: BTreeSet<&String> = others.iter().filter_map(|diff| diff.no_speed_because.as_ref()).collect();
    lines.extend(reasons.into_iter().map(|why| format!("Speed is not compared where the machine differs: {why}.")));
    Section { title: "Figures".to_owned(), lines, rows }
}

const fn title(kind: QuantityKind) -> &'static str {
    match kind {
        QuantityKind::Accuracy => "accuracy",
        QuantityKind::Sqnr => "SQNR",
        QuantityKind::Latency => "latency",
        QuantityKind::Speedup => "speedup",
        QuantityKind::Memory | QuantityKind::DeviceMemory => "memory",
        QuantityKind::Size => "size",
    }
}

/// Of several outputs, the one that keeps least.
fn cell(variant: &VariantDiff, kind: QuantityKind) -> String {
    let mut all = variant.quantities(kind);
    let found =
        if kind == QuantityKind::Sqnr { all.min_by(|a, b| a.b.value.total_cmp(&b.b.value)) } else { all.next() };
    let Some(quantity) = found else {
        let status = variant.status_b.as_ref().filter(|status| **status != Status::Measured);
        let status = status.filter(|_| matches!(kind, QuantityKind::Accuracy | QuantityKind::Sqnr));
        return status.map_or(ABSENT, Status::word).to_owned();
    };
    let figure = kind.shown(quantity.b.value);
    let sign = match quantity.standing {
        Standing::Same => "",
        Standing::NoDifference => " ~",
        Standing::Differs => " ≠",
        Standing::NotComparable => " ?",
    };
    figure + sign
}

/// A row per setting that any run has otherwise than the first.
fn settings(first: &Side, others: &[Diff]) -> Section {
    let mut keys: BTreeSet<(Rank, &str)> = BTreeSet::new();
    let mut of_first: BTreeMap<&str, Option<&String>> = BTreeMap::new();
    for change in others.iter().flat_map(|diff| &diff.causes) {
        keys.insert((change.rank, &change.key));
        of_first.insert(&change.key, change.a.as_ref());
    }
    let numbers = (1..=others.len() + 1).map(|number| number.to_string());
    let mut rows = vec![std::iter::once("what".to_owned()).chain(numbers).collect::<Vec<_>>()];
    for (_, key) in keys {
        let own = of_first.get(key).copied().flatten();
        let values = others.iter().map(|diff| match diff.causes.iter().find(|change| change.key == key) {
            Some(change) => page::short(change.b.as_ref()),
            None => "=".to_owned(),
        });
        rows.push([key.to_owned(), page::short(own)].into_iter().chain(values).collect());
    }
    let title = format!("What differs from {}", first.name);
    if rows.len() == 1 {
        return Section { title, lines: vec!["nothing".to_owned()], rows: Vec::new() };
    }
    Section { title, lines: Vec::new(), rows }
}
