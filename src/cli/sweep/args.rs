//! What can be typed after `requant sweep`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use crate::cli::options::{Format, Layers};
use crate::sweep::neighbours::Share;

/// A sweep to start, or what to do with one.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Sweep {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<SweepVerb>,
    /// The sweep's file
    #[arg(required = true)]
    pub(in crate::cli) file: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) layers: Layers,
    /// Print the points and what they will cost, and start nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Where runs are kept
    #[arg(long, default_value = "results", value_name = "DIR")]
    pub(in crate::cli) results: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) terms: Terms,
}

/// Where points run, and how.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct Terms {
    /// Where points run
    #[arg(long, value_enum, value_name = "LAUNCHER")]
    pub(in crate::cli) launcher: Option<Launcher>,
    /// Here: points at a time, among which the processors are divided; each is timed alone all the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(in crate::cli) jobs: Option<u16>,
    /// Time points while others compute: faster, and their times compare with nothing
    #[arg(long)]
    pub(in crate::cli) parallel_timing: bool,
    /// Slurm: tasks at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) array_throttle: Option<u32>,
    /// Slurm: the partition
    #[arg(long, value_name = "P")]
    pub(in crate::cli) partition: Option<String>,
    /// Slurm: the time limit of a point, as `sbatch --time` takes it
    #[arg(long, value_name = "T")]
    pub(in crate::cli) time: Option<String>,
    /// Slurm: processors of a point
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) cpus: Option<u32>,
    /// Slurm: generic resources of a point, such as `gpu:1`
    #[arg(long, value_name = "G")]
    pub(in crate::cli) gres: Option<String>,
    /// Slurm: memory of a point, such as `8G`
    #[arg(long, value_name = "M")]
    pub(in crate::cli) mem: Option<String>,
    /// Slurm: a further option of `sbatch`, such as `--sbatch=--account=mine`; may be repeated
    #[arg(long = "sbatch", value_name = "OPTION", allow_hyphen_values = true)]
    pub(in crate::cli) sbatch: Vec<String>,
    /// Slurm: follow the points until all have ended
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Launcher {
    /// On this machine; unless said otherwise
    Local,
    /// As an array job of a Slurm cluster
    Slurm,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SweepVerb {
    /// Say where each point stands; exits with 0 once all are done, 1 where some have none, 3 while some are under way
    Status {
        /// A sweep's name or folder
        sweep: String,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Stop what is under way; what is done stays
    Cancel {
        /// A sweep's name or folder
        sweep: String,
        /// Points; without any, all
        points: Vec<usize>,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// Run the points that are not done and that nobody has in hand, as the last launch did unless said otherwise
    Retry {
        /// A sweep's name or folder
        sweep: String,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
        #[command(flatten)]
        terms: Terms,
    },
    /// Make `sweep.csv` and `sweep.md` of what is done so far
    Gather {
        /// A sweep's name or folder
        sweep: String,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// See to one point (started by a launcher)
    #[command(hide = true)]
    Task {
        folder: PathBuf,
        #[arg(long, conflicts_with = "offset")]
        point: Option<usize>,
        /// Of the element of a job array that this process is
        #[arg(long, required_unless_present = "point")]
        offset: Option<usize>,
        #[arg(long, value_parser = share)]
        share: Option<Share>,
        #[arg(long)]
        parallel_timing: bool,
    },
    /// Run one point (started by `task`)
    #[command(hide = true)]
    Point {
        folder: PathBuf,
        point: usize,
        #[arg(long, value_parser = share)]
        share: Option<Share>,
        #[arg(long)]
        parallel_timing: bool,
    },
}

/// `0/2`
fn share(text: &str) -> Result<Share, String> {
    let parts = text.split_once('/').and_then(|(at, of)| Some((at.parse().ok()?, of.parse().ok()?)));
    parts
        .filter(|(at, of)| at < of)
        .map(|(at, of)| Share { at, of })
        .ok_or_else(|| "a share such as `0/2` is needed".to_owned())
}
