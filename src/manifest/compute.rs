//! `[compute]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Isa;

/// The conditions that numbers are computed under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// Threads of every engine.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: usize,
    pub isa: Isa,
}
