//! requant: a manifest in, a defensible quantization report out.
//!
//! Rooms by floor; a room imports only from lower floors, which a test enforces:
//!
//! 0. `base`: failures, findings, digests, files, clock, random streams, units
//! 1. `stats`: intervals and tests · `tensor`: host tensors · `manifest`: the TOML a person commits
//! 2. `graph`: the network and its rewrites · `dataset`: images and subsets · `measure`: the timing
//!    protocol and the measuring process
//! 3. `codec`: ONNX in, TorchScript out · `quantize`: observers and parameters · `record`: what a
//!    run leaves behind
//! 4. `backend`: engines · `diagnose`: record → findings and verdict · `report`: record → text · `history`: the runs
//!    there are · `diff`: two runs side by side
//! 5. `inspect`: a manifest against the world · `doctor`: what this machine can do · `fetch`: files
//!    from elsewhere, verified
//! 6. `pipeline`: one file per stage · `scaffold`: a manifest for a model and data never seen ·
//!    `verify`: a finished run against itself
//! 7. `sweep`: many experiments as one, here and on a cluster
//! 8. `cli`: arguments, printing, exit codes
//!
//! Above them are the programs: `requant` (`src/main.rs`) links no engine; `requant-torch`
//! (`src/bin/requant-torch`) is the same with libtorch, and `requant` starts it where it is needed.

pub mod backend;
pub mod base;
pub mod cli;
pub mod codec;
pub mod dataset;
pub mod diagnose;
pub mod diff;
pub mod doctor;
pub mod fetch;
pub mod graph;
pub mod history;
pub mod inspect;
pub mod manifest;
pub mod measure;
pub mod pipeline;
pub mod quantize;
pub mod record;
pub mod report;
pub mod scaffold;
pub mod stats;
pub mod sweep;
pub mod tensor;
pub mod verify;
