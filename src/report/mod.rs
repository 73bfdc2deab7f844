//! A record as text. Every function here is pure: the same record gives the same bytes.

pub mod apart;
pub mod chart;
mod markdown;
pub mod terminal;
mod view;

pub use apart::{check, render};
pub use markdown::{BUILT_IN, TemplateError};
pub(crate) use markdown::{figure, fill};
