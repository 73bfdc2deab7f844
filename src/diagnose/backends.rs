//! Did each variant run on the backend and engine that the manifest asks for?

use super::{Case, undefined_remedy};
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::Outcome;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("backends", "Are the backends supported here?");
    for variant in &record.variants {
        let name = &variant.name;
        match &variant.outcome {
            Outcome::Measured(measured) => {
                let used = measured.engine.or(variant.engine).filter(|_| variant.engine.is_some());
                let engine = used.map_or_else(String::new, |engine| format!(", engine `{engine}`"));
                let library = measured.library.as_ref().map_or_else(String::new, |library| format!(" ({library})"));
                let evidence = format!("`{name}` ran on {} {}{engine}{library}", variant.backend, variant.device);
                if let (samples, undefined @ 1..) = measured.samples() {
                    let counted = if measured.classified().is_some() { ", and count as the first class" } else { "" };
                    let evidence = format!("`{name}`: {undefined} of {samples} answers are no numbers{counted}");
                    case.against(Verdict::Fail, evidence, undefined_remedy(variant.precision));
                }
                match variant.engine.filter(|asked| used != Some(*asked)) {
                    None => case.note(evidence),
                    Some(asked) => {
                        let remedy = format!("set `engine` of `{name}` to what it ran on, or use another libtorch");
                        case.against(Verdict::Fail, format!("{evidence}, and `{asked}` was asked for"), &remedy);
                    }
                }
            }
            // A required variant that is missing has stopped the run before this point.
            Outcome::Missing { reason, remedy } => {
                case.note(format!("`{name}`, which is optional, did not run: {reason}; to have it, {remedy}"));
            }
            Outcome::Failed { reason, remedy, .. } => {
                let alone = || format!("run `requant doctor`, then this variant alone (`{name}`)");
                let remedy = remedy.clone().or_else(|| of_before(record, reason)).unwrap_or_else(alone);
                case.against(Verdict::Fail, format!("`{name}` failed: {reason}"), &remedy);
            }
        }
    }
    case.close()
}

/// The remedy of a record that holds none: before format 2.4 the kind of a failure stood in its words alone.
fn of_before(record: &Record, reason: &str) -> Option<String> {
    if record.is_since("2.4") {
        None
    } else if reason.contains("(os error 24)") {
        Some("raise the limit of open files (`ulimit -n`)".to_owned())
    } else if !reason.contains("measuring process") {
        None
    } else if let Some(limit) = record.settings.benchmark.memory_limit_mb {
        Some(format!("raise or remove `benchmark.memory_limit_mb`, which is {limit}, if that is what ended it"))
    } else {
        let words = "look into the system's log for what ended it (memory, a person), or raise `benchmark.timeout_seconds` if it was only slow";
        Some(words.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Engine, Precision};
    use crate::record::format::Judged;

    #[test]
    fn another_engine_than_asked_for_is_a_failure() {
        let text = include_str!("../../results/digits/reference/record.json");
        let mut record: Record = serde_json::from_str(text).unwrap();
        assert!(check(&record).is_clean());
        let Outcome::Measured(measured) = &mut record.variants[1].outcome else { panic!("it ran") };
        assert_eq!(measured.engine, Some(Engine::Fbgemm));
        measured.engine = Some(Engine::Onednn);
        let finding = check(&record);
        assert_eq!(finding.verdict, Verdict::Fail);
        let evidence = finding.evidence.join("; ");
        assert!(evidence.contains("engine `onednn`, and `fbgemm` was asked for"), "{evidence}");
    }

    #[test]
    fn answers_that_are_no_numbers_are_a_failure_of_the_row_and_of_a_baseline() {
        let text = include_str!("../../results/digits/reference/record.json");
        let mut record: Record = serde_json::from_str(text).unwrap();
        record.variants[0].precision = Precision::Fp16;
        let Outcome::Measured(measured) = &mut record.variants[0].outcome else { panic!("it ran") };
        let Judged::Classes(own) = &mut measured.judged else { panic!("it classifies") };
        own.undefined = 7;
        for finding in [check(&record), crate::diagnose::baseline::check(&record)] {
            assert_eq!(finding.verdict, Verdict::Fail);
            assert!(finding.evidence.join("; ").contains("7 of 797 answers are no numbers"), "{finding:?}");
            assert!(finding.remedy.contains("use `bf16` or `fp32`"), "{finding:?}");
        }
    }
}
