//! The integration tests: one binary, one file per subject.

mod lab;

/// The rooms import downwards only, and only one names tch.
mod floors;
/// Cut and damaged model files are refused, never a panic.
mod hostile_models;
/// What a wrong manifest is told.
mod manifests;
/// The committed reference run: its digests, and its report rendered anew.
mod reference_run;

/// Every way a run can be refused: the message, the exit code, and nothing left behind.
#[cfg(feature = "torch")]
mod failures;
/// requant's numbers against PyTorch's own.
#[cfg(feature = "torch")]
mod golden;
/// Ctrl-C in every stage.
#[cfg(feature = "torch")]
mod interrupts;
/// Resizing, cropping and normalizing against torchvision's own.
#[cfg(feature = "torch")]
mod preprocessing;
/// The archives load and compute the same in Python's PyTorch.
#[cfg(feature = "torch")]
mod python;
/// Whole runs: what is written, and that it repeats to the bit.
#[cfg(feature = "torch")]
mod runs;
/// Every zoo model in FP32, from both of PyTorch's exporters, and in INT8.
#[cfg(feature = "torch")]
mod zoo;
