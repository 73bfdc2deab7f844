//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use super::options::{Format, Layers};
use super::sweep::args::Sweep;

/// Declarative, reproducible post-training INT8 quantization.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 goals met, checks passed, run reproduced, 1 one was not, 2 wrong input, 3 inconclusive, \
    4 a required engine is missing, 5 a pinned digest does not match, 70 a bug in requant, 130 interrupted."
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What tuning is to reach, and how long it may take.
#[derive(Debug, clap::Args)]
pub(super) struct Wishes {
    /// Points of accuracy that may be lost at most, on held-out samples
    #[arg(long, value_name = "POINTS", value_parser = points)]
    max_drop: f64,
    /// Times as fast as fused FP32, at the manifest's first batch size
    #[arg(long, value_name = "TIMES", value_parser = times)]
    min_speedup: Option<f64>,
    /// Candidates to try at most
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    trials: u32,
    /// Begin no candidate after so long, such as `90s` or `10m`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    budget: Option<Duration>,
    /// Held-out samples to judge candidates by
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(50..=1_000_000))]
    samples: u32,
}

impl From<Wishes> for crate::search::tune::Wish {
    fn from(wishes: Wishes) -> Self {
        let Wishes { max_drop, min_speedup, trials, budget, samples } = wishes;
        Self { max_drop, min_speedup, trials: trials as usize, budget, samples: samples as usize }
    }
}

fn points(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|points| (0.0..=100.0).contains(points))
        .ok_or_else(|| "a number from 0 to 100 is needed".into())
}

fn times(text: &str) -> Result<f64, String> {
    number(text).filter(|times| *times > 0.0).ok_or_else(|| "a number above 0 is needed".into())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `90s`, `10m` or `2h`; a number alone is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(|| "a time such as `90s`, `10m` or `2h` is needed".into())
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Write a commented, pinned manifest for a model and its data
    New {
        /// Names the experiment and its file
        name: String,
        /// The ONNX model
        #[arg(long, value_name = "FILE")]
        model: PathBuf,
        /// A folder or archive of images, CIFAR binaries, IDX files or a CSV file
        #[arg(long, value_name = "PATH")]
        data: PathBuf,
        /// A named set of quantization choices
        #[arg(long, default_value = "fx-default", value_name = "RECIPE")]
        recipe: String,
        /// What is judged: `classification`, whether classes are right, or `fidelity`, how far every output of any image model lies
        /// from the float network's
        #[arg(long, default_value = "classification", value_name = "TASK")]
        task: String,
        /// The library that runs the variants, `torch`, `onnxruntime` or `openvino`; without it libtorch where it is here, or
        /// else ONNX Runtime
        #[arg(long, value_name = "BACKEND")]
        backend: Option<String>,
        /// The tensor that holds the scores, where the model has several outputs
        #[arg(long, value_name = "TENSOR")]
        scores: Option<String>,
        /// A file with the names of all the model's scores in their order, a JSON array or a line for each; needed where
        /// the model has more scores than the data has classes
        #[arg(long, value_name = "FILE")]
        classes: Option<PathBuf>,
        /// Where to write it; `experiments/NAME.toml` where there is such a folder, or else `NAME.toml`
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check manifests against the world, without an engine: form, pins, operators, samples, leaks
    Check {
        /// Manifests; without any, every one in `experiments`
        manifests: Vec<PathBuf>,
        #[command(flatten)]
        layers: Layers,
        /// Also decode every chosen sample: whether it can be, and whether pictures are on both sides
        #[arg(long)]
        deep: bool,
        /// How to print what was found
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Fill in or refresh every pin of a manifest, in place
    Pin {
        /// The manifest
        manifest: PathBuf,
        /// Change nothing; exit with 5 where a pin is missing or does not match
        #[arg(long)]
        check: bool,
        /// Also pin the artefacts that this run produced
        #[arg(long, value_name = "RUN", conflicts_with = "check")]
        from: Option<PathBuf>,
    },
    /// Download the inputs whose manifest gives a `source`, verified before they get their names
    Fetch {
        /// The manifest
        manifest: PathBuf,
        /// Seconds without a byte after which a connection is given up
        #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        timeout: u64,
    },
    /// Run an experiment: calibrate, quantize, evaluate, time, and write the report
    Run {
        /// The manifest
        manifest: PathBuf,
        #[command(flatten)]
        layers: Layers,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
        /// Afterwards show in what it differs from this run
        #[arg(long, value_name = "RUN")]
        against: Option<String>,
    },
    /// Search for the fastest way to quantize that holds a limit of accuracy, and write it as a manifest
    Tune {
        /// The manifest
        manifest: PathBuf,
        #[command(flatten)]
        layers: Layers,
        #[command(flatten)]
        wishes: Wishes,
    },
    /// Run a grid of experiments, here or on a Slurm cluster, and gather them into one table and page
    Sweep(Box<Sweep>),
    /// Print a run's report, rendered anew from its record
    Report {
        /// A run's folder or its record.json, its name, or an experiment for its latest run
        run: String,
        /// Render with this Tera template instead of the built-in one
        #[arg(long, value_name = "FILE")]
        template: Option<PathBuf>,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// Run a past run again as it was, and judge level by level whether it is reproduced
    Rerun {
        /// A run's folder, its name, or an experiment for its latest run
        run: String,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
        /// The last level that the verdict depends on
        #[arg(long, default_value = "memory", value_name = "LEVEL",
            value_parser = ["inputs", "artefact", "predictions", "accuracy", "speed", "memory"])]
        to: String,
    },
    /// Write the cheapest change that was measured to bring a run's lost accuracy back, as a manifest beside its own
    Remedy {
        /// A run's folder, its name, or an experiment for its latest run
        run: String,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// Show in what runs differ: causes, results, flipped samples, layers
    Diff {
        /// Two or more runs: folders, names, experiments for their latest run, or record files
        #[arg(required = true, num_args = 2.., value_name = "RUN")]
        runs: Vec<String>,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t = DiffFormat::Terminal)]
        format: DiffFormat,
        /// Exit with 1 where the results differ by more than chance
        #[arg(long)]
        check: bool,
    },
    /// Write a run's network as a file for another engine, stamped with the run that it came of
    Export {
        /// A run's folder, its name, or an experiment for its latest run
        run: String,
        /// What to write
        #[arg(long = "format", value_enum)]
        form: ExportForm,
        /// Where to write it; the experiment's name in the working folder unless said otherwise
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// With `torchscript`: which variant's network; the first in INT8 unless said otherwise
        #[arg(long, value_name = "NAME")]
        variant: Option<String>,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// List experiments and their runs
    List {
        #[command(flatten)]
        filters: Filters,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
        /// How to print them
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show a run on the terminal
    Show {
        /// A run's folder, its name, or an experiment for its latest run
        run: String,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// Remove what killed runs left behind
    Clean {
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// Check that a run is as it was sealed and that its files agree, without an engine; or a sweep with all its runs
    Verify {
        /// A run's folder, its name, or an experiment for its latest run; or a sweep's name or folder
        run: String,
        /// Where runs are kept
        #[arg(long, default_value = "results", value_name = "DIR")]
        results: PathBuf,
    },
    /// Print the manifest's JSON Schema, for editors
    Schema {
        /// Print the reference page instead
        #[arg(long)]
        markdown: bool,
    },
    /// Say what this machine can run, and what each missing piece needs
    Doctor,
    /// Measure one variant (started by `run`, spoken to in JSON lines)
    #[command(hide = true)]
    Worker,
    /// Fills a template in a process of its own; requant starts it
    #[command(hide = true)]
    Template,
}

/// Which runs to list.
#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// Experiments; without any, all
    pub(super) experiments: Vec<String>,
    /// Only runs with this verdict: pass, fail or inconclusive
    #[arg(long, value_name = "VERDICT")]
    pub(super) verdict: Option<String>,
    /// Only runs on a CPU whose name contains this
    #[arg(long, value_name = "CPU")]
    pub(super) machine: Option<String>,
}

impl Filters {
    pub(super) fn names(&self, experiment: &str) -> bool {
        self.experiments.is_empty() || self.experiments.iter().any(|wanted| wanted == experiment)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DiffFormat {
    Terminal,
    /// A markdown page
    Md,
    /// One JSON document
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportForm {
    /// The quantized network with QuantizeLinear and DequantizeLinear, for ONNX Runtime, OpenVINO and others
    OnnxQdq,
    /// The float network that was quantized, its normalizations folded
    OnnxFp32,
    /// A variant's artefact as it was judged, for libtorch and PyTorch
    Torchscript,
}
