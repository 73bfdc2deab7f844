//! A file of settings, whatever they mean: TOML that remembers where each value was written, layers merged into one by
//! figment, and the form of each held against a schema.

mod brackets;
mod edit;
pub mod form;
mod layers;
mod missing;
mod origins;
mod problem;
mod reference;
mod source;
mod structure;

pub(crate) use edit::edited;
pub(crate) use layers::Layers;
pub(crate) use missing::{is_within, missing};
pub(crate) use origins::Origins;
pub(crate) use problem::{Problem, problem, shortened};
pub use reference::reference_page;
pub use source::Layer;
pub(crate) use source::{Content, Entry, Node, Source, empty, insert};
#[cfg(test)]
pub(crate) use structure::PATTERNS;
pub use structure::is_file_name;
pub(crate) use structure::{Checked, check};
