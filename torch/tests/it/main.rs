//! The integration tests of what libtorch computes and of whole runs on it: one binary, one file per subject.

use requant::backend::{self, BackendError};
use requant::manifest::Compute;

/// Models that ask for much, or whose names are no names.
mod attacks;
/// Models and images of the kinds that people have.
mod cases;
/// A Slurm to run sweeps on.
mod cluster;
/// One network on every engine at hand.
mod engines;
/// Networks written for other engines and read again.
mod exports;
/// Every way a run can be refused: the message, the exit code, and nothing left behind.
mod failures;
/// Planted faults, and whether the first finding names them.
mod faults;
/// requant's numbers against PyTorch's own.
mod golden;
/// What only an NVIDIA GPU can show.
mod gpu;
/// Ctrl-C in every stage.
mod interrupts;
/// Single operators against what ONNX records for them.
mod operators;
/// Resizing, cropping and normalizing against torchvision's own.
mod preprocessing;
/// The measuring process with sessions that answer from memory.
mod probing;
/// The archives load and compute the same in Python's PyTorch.
mod python;
/// A collapse, its cause and its cure; what each step of a recipe changes.
mod repairs;
/// Past runs again, runs side by side, and runs that were killed.
mod reruns;
/// Whole runs: what is written, and that it repeats to the bit.
mod runs;
/// Sweeps on a real Slurm, which kills, cancels and goes away.
mod slurm;
/// Grids of experiments: their points, what is wrong with them, and that nothing is lost or run twice.
mod sweeps;
/// Mixed precision under a limit of accuracy.
mod tunes;
/// Every zoo model in FP32, from both of PyTorch's exporters, and in INT8.
mod zoo;

/// Starts libtorch in this process.
fn start(compute: &Compute) -> Result<(), BackendError> {
    requant_torch::install();
    backend::start(compute)
}
