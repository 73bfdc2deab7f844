//! Did each variant run on the backend and engine that the manifest asks for?

use super::Case;
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::Outcome;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("backends", "Are the backends supported here?");
    for variant in &record.variants {
        let name = &variant.name;
        match &variant.outcome {
            Outcome::Measured(_) => {
                let engine = variant.engine.map_or_else(String::new, |engine| format!(", engine `{engine}`"));
                case.note(format!("`{name}` ran on {} {}{engine}", variant.backend, variant.device));
            }
            // A required variant that is missing has stopped the run before this point.
            Outcome::Missing { reason, remedy } => {
                case.note(format!("`{name}`, which is optional, did not run: {reason}; to have it, {remedy}"));
            }
            Outcome::Failed { reason } => {
                let remedy = if !reason.contains("measuring process") {
                    format!("run `requant doctor`, then this variant alone (`{name}`)")
                } else if let Some(limit) = record.settings.benchmark.memory_limit_mb {
                    format!("raise or remove `benchmark.memory_limit_mb`, which is {limit}, if that is what ended it")
                } else {
                    "look into the system's log for what ended it (memory, a person), or raise \
                     `benchmark.timeout_seconds` if it was only slow"
                        .to_owned()
                };
                case.against(Verdict::Fail, format!("`{name}` failed: {reason}"), &remedy);
            }
        }
    }
    case.close()
}
