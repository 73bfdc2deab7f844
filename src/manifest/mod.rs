//! The TOML that a person commits: what it may say, its defaults, and how it becomes the resolved
//! settings that a run obeys.

mod benchmark;
mod choice;
mod combination;
mod compute;
mod dataset;
mod defaults;
mod goals;
pub(crate) mod load;
mod model;
mod parts;
mod quantize;
mod record;
mod report;
mod resolved;
mod rules;
mod schema;
mod subset;
mod variant;

pub use crate::document::Layer;
pub use benchmark::Benchmark;
pub use choice::{
    Backend, Choice, DatasetFormat, Device, Engine, FEW_IMAGES, Granularity, Interpolation, Isa, LayerKernel,
    LayerObserver, LayerPrecision, MemoryFormat, PixelScale, Precision, Recipe, ResizeBy, Step, Strategy, Task,
};
pub use combination::{Artefact, COMBINATIONS, Combination, engines_table};
pub use compute::Compute;
pub(crate) use dataset::row_range;
pub use dataset::{Dataset, Preprocess};
pub use defaults::SCHEMA;
pub use goals::Goals;
pub use load::{Overrides, PROJECT_FILE, load, load_bytes, restore};
pub use model::{Model, Remote};
pub use quantize::{AdaRound, LayerOverride, Quantize};
pub use record::RecordOptions;
pub use report::ReportOptions;
pub use resolved::{Override, Resolved, relative, settings_text};
pub use schema::{json_schema, reference_page};
pub use subset::Subset;
pub use variant::Variant;
use variant::calibrates_on;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A requant experiment: the model, the data, how to quantize and what to hold the result to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which set of defaults the manifest was written for; they never change for a schema.
    #[schemars(range(min = 1, max = 1))]
    pub schema: u32,
    /// Names the folder under `results/`.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// One sentence for the top of the report.
    #[serde(default)]
    pub description: String,
    /// What is judged; `classification` unless said otherwise.
    #[serde(default, skip_serializing_if = "Task::is_usual")]
    pub task: Task,
    pub model: Model,
    pub dataset: Dataset,
    /// The samples that observers see, in order.
    pub calibration: Subset,
    /// The samples that every variant is judged on, in order.
    pub evaluation: Subset,
    pub quantize: Quantize,
    /// The rows of the comparison.
    #[schemars(length(min = 1))]
    pub variant: Vec<Variant>,
    pub compute: Compute,
    pub benchmark: Benchmark,
    pub goals: Goals,
    pub record: RecordOptions,
    pub report: ReportOptions,
}

impl Manifest {
    /// The variant that the others are compared with.
    #[must_use]
    pub fn baseline(&self) -> usize {
        self.variant.iter().position(|variant| variant.baseline).unwrap_or(0)
    }

    /// The backend whose float network is observed for calibration, and which says what integers lose: libtorch where
    /// a variant is of it, otherwise that of the first variant. So the same manifest is quantized alike wherever it
    /// runs.
    #[must_use]
    pub fn calibrates_on(&self) -> Backend {
        calibrates_on(&self.variant)
    }
}
