//! `requant report`.

use std::path::Path;

use super::runs;
use crate::base::explain::Failure;
use crate::base::files;
use crate::record::store;
use crate::report;
use crate::terminal::{Exit, print};

pub(super) fn report(run: &str, template: Option<&Path>, results: &Path) -> Result<Exit, Failure> {
    let record = store::read(&runs::find(results, run)?)?;
    let template = template.map_or_else(|| Ok(report::BUILT_IN.to_owned()), files::read_text)?;
    print(&report::render(&record, &template)?);
    Ok(Exit::Done)
}
