//! requant quantizes a network as a manifest says, and writes a report that anyone can repeat.
//!
//! Each folder is a room, and the numbers below are floors. A room imports only from rooms on lower floors, which a test
//! enforces:
//!
//! 0. `base`: failures, findings, digests, files, clock, random streams, units · `tensor`: host tensors
//! 1. `stats`: intervals and tests · `document`: TOML in layers, held against a schema · `container`: files in a folder or an
//!    archive · `graph`: the network and its rewrites
//! 2. `manifest`: what a person commits, one file per table · `task`: what is judged of a network's outputs · `measure`: one
//!    turn of timed passes, waiting, summaries · `codec`: ONNX in, ONNX and TorchScript out
//! 3. `picture`: decoding and preprocessing · `quantize`: observers and parameters · `record`: the format of `record.json` and of the tables ·
//!    `fetch`: files from elsewhere, verified
//! 4. `dataset`: samples and subsets · `backend`: engines behind one trait
//! 5. `diagnose`: record → findings and verdict · `report`: record → text · `history`: past runs, listed and found · `diff`: two runs
//!    side by side · `doctor`: what this machine can do
//! 6. `inspect`: a manifest against its files, its model and its data
//! 7. `workbench`: quantizations carried out and compared · `scaffold`: a manifest for a model and data never seen ·
//!    `verify`: a finished run against its digests, its figures and its inputs · `grid`: a sweep's manifest and its points
//! 8. `bench`: measuring processes and their rounds · `search`: `robust`, attribution, tuning · `comparison`: a sweep's points
//!    side by side · `terminal`: progress, complaints, exit codes
//! 9. `pipeline`: a run, one file per stage · `sweep`: many runs, here and on a cluster
//! 10. `cli`: one file per command
//!
//! Above them are the programs: `requant` (`src/main.rs`) links no engine; `requant-torch` (the package in `torch/`) is the same
//! with libtorch, and `requant` starts it where it is needed.

pub mod backend;
pub mod base;
pub mod bench;
pub mod cli;
pub mod codec;
pub mod comparison;
pub mod container;
pub mod dataset;
pub mod diagnose;
pub mod diff;
pub mod doctor;
pub mod document;
pub mod fetch;
pub mod graph;
pub mod grid;
pub mod history;
pub mod inspect;
pub mod manifest;
pub mod measure;
pub mod picture;
pub mod pipeline;
pub mod quantize;
pub mod record;
pub mod report;
pub mod scaffold;
pub mod search;
pub mod stats;
pub mod sweep;
pub mod task;
pub mod tensor;
pub mod terminal;
pub mod verify;
pub mod workbench;
