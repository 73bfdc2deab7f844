//! `requant show`.

use std::path::Path;

use super::{Exit, print};
use crate::base::explain::Failure;
use crate::history;
use crate::record::store;
use crate::report::terminal;

pub(super) fn show(run: &str, results: &Path) -> Result<Exit, Failure> {
    print(&terminal::page(&store::read(&history::find(results, run)?)?));
    Ok(Exit::Done)
}
