//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Declarative, reproducible post-training INT8 quantization.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 goals met and checks passed, 1 one failed, 2 wrong input, 3 inconclusive, \
    4 a required engine is missing, 5 a pinned digest does not match, 70 a bug in requant, 130 interrupted."
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run an experiment: calibrate, quantize, evaluate, time, and write the report
    Run {
        /// The manifest
        manifest: PathBuf,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// Print a run's report, rendered anew from its record
    Report {
        /// A run's folder, or its record.json
        run: PathBuf,
        /// Render with this Tera template instead of the built-in one
        #[arg(long, value_name = "FILE")]
        template: Option<PathBuf>,
    },
    /// Say what this machine can run, and what each missing piece needs
    Doctor,
    /// Measure one variant (started by `run`, spoken to in JSON lines)
    #[command(hide = true)]
    Worker,
}
