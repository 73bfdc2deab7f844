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
//! 4. `backend`: engines · `diagnose`: record → findings and verdict · `report`: record → text
//! 5. `pipeline`: one file per stage · `doctor`: what this machine can do
//! 6. `cli`: arguments, printing, exit codes

pub mod backend;
pub mod base;
pub mod cli;
pub mod codec;
pub mod dataset;
pub mod diagnose;
pub mod doctor;
pub mod graph;
pub mod manifest;
pub mod measure;
pub mod pipeline;
pub mod quantize;
pub mod record;
pub mod report;
pub mod stats;
pub mod tensor;
