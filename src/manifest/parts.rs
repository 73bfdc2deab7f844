//! The tables of a manifest, each read by itself.

use figment::error::Kind;
use figment::value::Dict;
use serde::de::DeserializeOwned;

use super::{
    Benchmark, Compute, Dataset, Goals, Manifest, Model, Quantize, RecordOptions, ReportOptions, Subset, Task, Variant,
};

/// Why a part could not be read.
type Unread = Box<figment::Error>;

fn missing(key: &'static str) -> Unread {
    Unread::new(Kind::MissingField(key.into()).into())
}

/// The tables of a manifest, each readable or not.
pub(super) struct Parts {
    pub(super) schema: Option<u32>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) task: Task,
    pub(super) model: Result<Model, Unread>,
    pub(super) dataset: Result<Dataset, Unread>,
    pub(super) calibration: Result<Subset, Unread>,
    pub(super) evaluation: Result<Subset, Unread>,
    pub(super) quantize: Result<Quantize, Unread>,
    pub(super) variant: Result<Vec<Variant>, Unread>,
    pub(super) compute: Result<Compute, Unread>,
    pub(super) benchmark: Result<Benchmark, Unread>,
    pub(super) goals: Result<Goals, Unread>,
    pub(super) record: Result<RecordOptions, Unread>,
    pub(super) report: Result<ReportOptions, Unread>,
}

impl Parts {
    pub(super) fn of(merged: &Dict) -> Self {
        fn part<T: DeserializeOwned>(merged: &Dict, key: &'static str) -> Result<T, Unread> {
            let value = merged.get(key).ok_or_else(|| missing(key))?;
            value.deserialize().map_err(Box::new)
        }
        Self {
            schema: part(merged, "schema").ok(),
            name: part(merged, "name").ok(),
            description: part(merged, "description").ok(),
            task: part(merged, "task").unwrap_or_default(),
            model: part(merged, "model"),
            dataset: part(merged, "dataset"),
            calibration: part(merged, "calibration"),
            evaluation: part(merged, "evaluation"),
            quantize: part(merged, "quantize"),
            variant: part(merged, "variant"),
            compute: part(merged, "compute"),
            benchmark: part(merged, "benchmark"),
            goals: part(merged, "goals"),
            record: part(merged, "record"),
            report: part(merged, "report"),
        }
    }

    /// All of them as one, or the first that could not be read.
    pub(super) fn whole(self) -> Result<Manifest, Unread> {
        Ok(Manifest {
            schema: self.schema.ok_or_else(|| missing("schema"))?,
            name: self.name.ok_or_else(|| missing("name"))?,
            description: self.description.unwrap_or_default(),
            task: self.task,
            model: self.model?,
            dataset: self.dataset?,
            calibration: self.calibration?,
            evaluation: self.evaluation?,
            quantize: self.quantize?,
            variant: self.variant?.into_iter().map(Variant::with_engine).collect(),
            compute: self.compute?,
            benchmark: self.benchmark?,
            goals: self.goals?,
            record: self.record?,
            report: self.report?,
        })
    }
}
