//! The report, and the run folder into its final place.

use super::Finished;
use super::record::Recorded;
use crate::base::explain::Failure;
use crate::base::interrupt;
use crate::report;

pub(super) fn render(recorded: Recorded) -> Result<Finished, Failure> {
    let Recorded { prepared, record } = recorded;
    prepared.draft.put("report.md", report::render(&record, &prepared.inputs.template)?.as_bytes())?;
    interrupt::check()?;
    Ok(Finished { folder: prepared.draft.finish()?, record })
}
