//! Measuring processes and what they are told: every variant timed in fresh processes of its own.

mod pools;
mod rounds;
mod serve;

pub use pools::{pools, samples};
pub use rounds::{Ahead, Bench, Benchmarked, Expected, Footprint, Measurement, benchmark};
pub use serve::{Assignment, Wrap, output_digest, serve, serve_wrapped};
