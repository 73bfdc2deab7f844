//! The integration tests: one binary, one file per subject.

mod lab;

/// Whole runs on one engine, with nothing of libtorch.
mod alone;
/// Models that ask for much, or whose names are no names.
#[cfg(feature = "torch")]
mod attacks;
/// Models and images of the kinds that people have.
#[cfg(feature = "torch")]
mod cases;
/// `requant check`: what it says, and how it ends.
mod checks;
/// What is said of two runs, and laws of every pair.
mod diffs;
/// `requant fetch` from servers that cut, lie, stall and go in circles.
mod fetches;
/// Networks that are judged by their outputs.
mod fidelity;
/// The rooms import downwards only, and only one names tch.
mod floors;
/// Every data format, and that archives are the folders they were made of.
mod formats;
/// A hundred thousand manifests that nobody meant.
mod fuzz;
/// What a new operator touches.
mod growth;
/// Cut and damaged model files are refused, never a panic.
mod hostile_models;
/// What is told of models, data, archives, lists and templates that are wrong.
mod inputs;
/// Constants that are folded while a file is read.
mod integers;
/// What a wrong manifest is told, and how layers become one.
mod manifests;
/// `requant pin`, and that anyone can recompute what it writes.
mod pins;
/// Resizing, cropping and normalizing against torchvision's own.
mod preprocessing;
/// The committed reference run: its digests, and its report rendered anew.
mod reference_run;
/// `requant new` for models and data never seen.
mod scaffolds;
/// Grids of experiments: their points, what is wrong with them, and that nothing is lost or run twice.
mod sweeps;
/// `requant verify`: a run tampered with in every file.
mod verifies;

/// A Slurm to run sweeps on.
#[cfg(feature = "torch")]
mod cluster;
/// One network on every engine at hand.
#[cfg(feature = "torch")]
mod engines;
/// Networks written for other engines and read again.
#[cfg(feature = "torch")]
mod exports;
/// Every way a run can be refused: the message, the exit code, and nothing left behind.
#[cfg(feature = "torch")]
mod failures;
/// Planted faults, and whether the first finding names them.
#[cfg(feature = "torch")]
mod faults;
/// requant's numbers against PyTorch's own.
#[cfg(feature = "torch")]
mod golden;
/// What only an NVIDIA GPU can show.
#[cfg(feature = "torch")]
mod gpu;
/// Ctrl-C in every stage.
#[cfg(feature = "torch")]
mod interrupts;
/// Single operators against what ONNX records for them.
#[cfg(feature = "torch")]
mod operators;
/// The measuring process with sessions that answer from memory.
#[cfg(feature = "torch")]
mod probing;
/// The archives load and compute the same in Python's PyTorch.
#[cfg(feature = "torch")]
mod python;
/// A collapse, its cause and its cure; what each step of a recipe changes.
#[cfg(feature = "torch")]
mod repairs;
/// Past runs again, runs side by side, and runs that were killed.
#[cfg(feature = "torch")]
mod reruns;
/// Whole runs: what is written, and that it repeats to the bit.
#[cfg(feature = "torch")]
mod runs;
/// Sweeps on a real Slurm, which kills, cancels and goes away.
#[cfg(feature = "torch")]
mod slurm;
/// Mixed precision under a limit of accuracy.
#[cfg(feature = "torch")]
mod tunes;
/// Every zoo model in FP32, from both of PyTorch's exporters, and in INT8.
#[cfg(feature = "torch")]
mod zoo;
