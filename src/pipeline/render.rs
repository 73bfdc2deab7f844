//! The report, and the run folder into its final place.

use super::Finished;
use crate::base::explain::{Diagnostic, Failure};
use crate::base::interrupt;
use crate::record::Record;
use crate::report;
use crate::workbench::Prepared;

/// A report that does not state the digest of its record, as one of one's own may not, gets it as a comment.
fn sealed(text: String, record: &Record) -> String {
    match record.digest().map(|digest| digest.to_string()) {
        Some(digest) if !text.contains(&digest) => {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            format!("{text}{end}<!-- record.json has SHA-256 {digest} -->\n")
        }
        _ => text,
    }
}

pub(super) fn render(prepared: Prepared, record: Record) -> Result<Finished, Failure> {
    // A template of the user's can fail on values that no look at it alone shows.
    let (text, failed) = match report::render(&record, &prepared.inputs.template) {
        Ok(text) => (text, None),
        Err(error) => (report::render(&record, report::BUILT_IN)?, Some(error)),
    };
    prepared.draft.put("report.md", sealed(text, &record).as_bytes())?;
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
