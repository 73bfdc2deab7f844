//! The report, and the run folder into its final place.

use super::Finished;
use super::record::Recorded;
use crate::base::explain::{Diagnostic, Failure};
use crate::base::interrupt;
use crate::report;

pub(super) fn render(recorded: Recorded) -> Result<Finished, Failure> {
    let Recorded { prepared, record } = recorded;
    // A template of the user's can fail on values that no look at it alone shows.
    let (text, failed) = match report::render(&record, &prepared.inputs.template) {
        Ok(text) => (text, None),
        Err(error) => (report::render(&record, report::BUILT_IN)?, Some(error)),
    };
    prepared.draft.put("report.md", text.as_bytes())?;
    interrupt::check()?;
    let folder = prepared.draft.finish()?;
    match failed {
        None => Ok(Finished { folder, record }),
        Some(error) => {
            let kept = folder.display();
            let next = format!(
                "the run `{kept}` is kept, with the built-in report; correct the template, then \
                 `requant report {kept} --template FILE`"
            );
            Err(Diagnostic::from(error).next(next).into())
        }
    }
}
