//! The points of a sweep side by side: a table, a page and its figures.

mod analysis;
mod figure;
pub mod page;
pub mod row;
pub mod table;
