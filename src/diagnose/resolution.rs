//! Can as many samples decide what the goals ask?

use super::Case;
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::Comparison;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("resolution", "Can this many samples decide the goals?");
    let Some(limit) = record.settings.goals.max_accuracy_drop else {
        case.note("no goal depends on accuracy".into());
        return case.close();
    };
    for variant in record.variants.iter().filter(|variant| !variant.baseline) {
        let compared = variant.measured().and_then(|measured| measured.against_baseline());
        let Some((Comparison { difference, .. }, resolved)) =
            compared.and_then(|compared| Some((compared, compared.counts.smallest_resolved_drop()? * 100.0)))
        else {
            continue;
        };
        let (name, n) = (&variant.name, difference.n);
        let evidence = format!("`{name}`: {n} samples resolve a drop of {resolved:.2} points, and {limit:.2} is asked");
        // A drop that is surely too large needs no finer resolution.
        if resolved > limit && -difference.high * 100.0 <= limit {
            // What is resolved falls with the root of the number of samples.
            let enough = (n as f64 * (resolved / limit.max(0.01)).powi(2)).ceil();
            let remedy = format!("evaluate {enough:.0} samples or more, or ask for no less than {resolved:.2} points");
            case.against(Verdict::Inconclusive, evidence, &remedy);
        } else {
            case.note(evidence);
        }
    }
    case.close()
}
