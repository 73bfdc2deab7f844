//! What a run leaves behind: one record that is the truth, tables for other programs, and a folder
//! that appears whole or not at all.

pub mod answers;
pub mod format;
pub mod host;
pub mod outputs;
pub mod provenance;
pub mod store;
pub mod tables;
pub mod upgrade;

pub use format::Record;
