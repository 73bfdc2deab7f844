//! The integration tests: one binary, one file per subject.

mod lab;

/// requant's numbers against PyTorch's own.
#[cfg(feature = "torch")]
mod golden;
/// Every zoo model in FP32, from both of PyTorch's exporters.
#[cfg(feature = "torch")]
mod zoo;
