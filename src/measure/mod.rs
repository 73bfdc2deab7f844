//! Measuring: in what order, how often, in which process, under what conditions. Knows no backend:
//! the measured thing is a closure on the child's side and a child process on the parent's.

pub mod conditions;
pub mod memory;
pub mod pool;
pub mod priority;
pub mod protocol;
pub mod summary;
pub mod turn;
pub mod waiting;
pub mod worker;
