//! Words every room needs and no domain owns: failures, findings, digests, whole-file writes, the
//! clock, named random streams, who owns what. Nothing here knows what a model is.

pub mod clock;
pub mod digest;
pub mod explain;
pub mod files;
pub mod finding;
pub mod interrupt;
pub mod owner;
pub mod progress;
pub mod rng;
pub mod text;
pub mod units;
