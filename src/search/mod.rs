//! Quantizations tried one after the other: for the recipe `robust`, for where accuracy was lost, and for speed under a
//! limit of accuracy.

pub mod attribute;
mod ledger;
pub(crate) mod robust;
pub mod tune;
