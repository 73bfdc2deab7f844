//! Carries quantizations out on the calibration subset, and measures what becomes of the network there.

mod attempt;
mod batches;
pub mod event;
pub mod levels;
mod prepared;
mod surroundings;

pub(crate) use attempt::{Attempt, Workbench, open};
pub use batches::each_batch;
pub use prepared::Prepared;
pub use surroundings::{Neighbours, Surroundings, stage};
