//! A record as text. Every function here is pure: the same record gives the same bytes.

pub mod chart;
mod markdown;
pub mod terminal;
mod view;

pub(crate) use markdown::fill;
pub use markdown::{BUILT_IN, TemplateError, check, render};
