//! One quantity of every variant, by precision and device.

use serde::Serialize;

use super::text::quality;
use super::{best_throughput, own_batch, precision};
use crate::base::units;
use crate::manifest::{Choice as _, Task};
use crate::measure::summary::Latency;
use crate::record::Record;
use crate::record::format::{Measured, Outcome, VariantResult};

#[derive(Debug, Serialize)]
pub(super) struct Matrix {
    title: &'static str,
    devices: Vec<&'static str>,
    rows: Vec<MatrixRow>,
}

#[derive(Debug, Serialize)]
struct MatrixRow {
    label: String,
    cells: Vec<String>,
}

/// The title of what the task is about, where classes are judged.
const QUALITY: &str = "Accuracy";

/// Accuracy, time, memory and throughput by precision and device.
pub(super) fn matrices(record: &Record) -> Vec<Matrix> {
    type Cell = fn(&Measured) -> Option<String>;
    let quantities: [(&'static str, Cell); 5] = [
        (QUALITY, |m| Some(quality(m))),
        ("Time per batch", |m| m.latency.first().map(time_cell)),
        ("Peak memory of the process", |m| m.peak_memory_bytes().map(units::megabytes)),
        ("Peak memory of tensors on the GPU", |m| m.peak_device_bytes().map(units::megabytes)),
        ("Throughput", |m| best_throughput(Some(m))),
    ];
    let on_gpu = record.variants.iter().filter_map(VariantResult::measured).any(|m| m.peak_device_bytes().is_some());
    let is_fidelity = record.settings.task == Task::Fidelity;
    let asked = |(title, _): &(&str, Cell)| on_gpu || !title.ends_with("GPU");
    let found = quantities.into_iter().filter(asked).map(|(title, cell)| {
        let title = if title == QUALITY && is_fidelity { "SQNR of the output that keeps least" } else { title };
        matrix(record, title, cell)
    });
    found.collect()
}

fn time_cell(latency: &Latency) -> String {
    format!("{} at batch {}", units::milliseconds(latency.milliseconds.value), latency.batch)
}

fn matrix(record: &Record, title: &'static str, cell: fn(&Measured) -> Option<String>) -> Matrix {
    let mut devices: Vec<&'static str> = record.variants.iter().map(|v| v.device.word()).collect();
    devices.sort_unstable();
    devices.dedup();
    let label = |v: &VariantResult| {
        let engine = v.engine.map_or_else(|| v.backend.clone(), |engine| engine.to_string());
        format!("{} ({engine}){}", precision(v), own_batch(record, v))
    };
    let mut labels: Vec<String> = Vec::new();
    for variant in &record.variants {
        if !labels.contains(&label(variant)) {
            labels.push(label(variant));
        }
    }
    let content = |row: &str, device: &str| {
        let found = record.variants.iter().find(|v| label(v) == row && v.device.word() == device);
        match found.map(|variant| &variant.outcome) {
            None => "not in the manifest".to_owned(),
            Some(Outcome::Measured(measured)) => cell(measured).unwrap_or_else(|| "not available".into()),
            Some(Outcome::Missing { .. }) => "missing".to_owned(),
            Some(Outcome::Failed { .. }) => "failed".to_owned(),
        }
    };
    let rows = labels.iter().map(|row| MatrixRow {
        label: row.clone(),
        cells: devices.iter().map(|device| content(row, device)).collect(),
    });
    Matrix { title, rows: rows.collect(), devices }
}
