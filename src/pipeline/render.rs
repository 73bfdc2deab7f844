//! The report, and the run folder into its final place.

use super::Finished;
use super::record::Recorded;
use crate::base::explain::Failure;
use crate::base::{files, interrupt};
use crate::report;

pub(super) fn render(recorded: Recorded) -> Result<Finished, Failure> {
    let Recorded { prepared, record } = recorded;
    let template = match &prepared.resolved.manifest.report.template {
        Some(path) => files::read_text(&prepared.resolved.locate(path))?,
        None => report::BUILT_IN.to_owned(),
    };
    prepared.draft.put("report.md", report::render(&record, &template)?.as_bytes())?;
    interrupt::check()?;
    Ok(Finished { folder: prepared.draft.finish()?, record })
}
