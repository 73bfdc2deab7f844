//! Did the timed passes compute what accuracy was judged on, anew each time?

use super::Case;
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::TimingCheck;

/// Where each input of each process takes this many times as long the first time as later, the later answers were kept;
/// the processor's caches explain less.
const KEPT_ANSWER: f64 = 3.0;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("timing", "Was what was timed also what was judged for accuracy?");
    for variant in &record.variants {
        let checks = variant.measured().map(|measured| measured.timing_checks.as_slice()).unwrap_or_default();
        checks.iter().for_each(|check| one(&mut case, &variant.name, check));
    }
    case.close()
}

fn one(case: &mut Case, name: &str, check: &TimingCheck) {
    let TimingCheck { batch, passes, identical, .. } = *check;
    if passes == identical {
        case.note(format!(
            "`{name}` at batch {batch}: {passes} of {passes} passes gave the judged outputs, to the bit"
        ));
    } else {
        let evidence = format!("`{name}` at batch {batch}: {identical} of {passes} passes gave the judged outputs");
        case.against(
            Verdict::Fail,
            evidence,
            "its times are those of another computation: report the engine and its version",
        );
    }
    match check.fresh_over_repeated {
        Some(ratio) if ratio > KEPT_ANSWER => case.against(
            Verdict::Fail,
            format!(
                "`{name}` at batch {batch}: in every process every input takes at least {ratio:.1} times as long the first \
                 time as later"
            ),
            "switch off whatever keeps answers: repeated inputs must be computed again",
        ),
        Some(ratio) => case.note(format!("an input takes {ratio:.2} times as long the first time as later")),
        None => case.note(format!("`{name}` at batch {batch}: no process was left alone long enough to look for kept answers")),
    }
}
