//! `requant show`.

use std::path::Path;

use super::runs;
use crate::base::explain::Failure;
use crate::record::store;
use crate::report::terminal;
use crate::terminal::{Exit, print};

pub(super) fn show(run: &str, results: &Path) -> Result<Exit, Failure> {
    print(&terminal::page(&store::read(&runs::find(results, run)?)?));
    Ok(Exit::Done)
}
