//! Arguments that several commands have.

use clap::ValueEnum;

/// Settings from the command line.
#[derive(Debug, clap::Args)]
pub(super) struct Layers {
    /// Override a setting, such as `compute.threads=4`; the report says so
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// With the line and a caret
    Text,
    /// One JSON document, for editors and CI
    Json,
}
