//! The run's inputs against what lies on the disk today.

use std::path::Path;

use super::Verified;
use crate::base::files;
use crate::base::progress::Meter;
use crate::inspect;
use crate::manifest;
use crate::record::Record;
use crate::record::store;

/// The run itself is as it was.
const NEXT: &str = "bring back what the run was made of, or make a new run on what is there today";

pub(super) fn check(folder: &Path, record: &Record, meter: &dyn Meter, found: &mut Verified) {
    let Some(place) = store::manifest_place(folder, record) else {
        let model = record.settings.model.path.display();
        return found.skipped.push(format!("the inputs: `{model}` is not at hand"));
    };
    let path = folder.join("resolved.toml");
    let Ok(settings) = files::read(&path) else { return };
    let resolved = match manifest::restore(&place, &path, settings) {
        Ok(resolved) => resolved,
        Err(failure) => return found.problem("resolved.toml", failure.to_string()),
    };
    let now = inspect::inspect(&resolved, meter).pins;
    let inputs = &record.inputs;
    let used = [
        ("model.sha256", Some(inputs.model.sha256)),
        ("model.data_sha256", inspect::digest_beside(&inputs.model.reading)),
        ("dataset.sha256", Some(inputs.dataset.sha256)),
        ("calibration.sha256", Some(inputs.calibration.sha256)),
        ("evaluation.sha256", Some(inputs.evaluation.sha256)),
        ("report.sha256", inputs.template.filter(|_| record.settings.report.template.is_some())),
    ];
    found.group("the model, the dataset and the subsets on the disk are those of the run", |found| {
        for (key, digest) in used {
            match (digest, now.iter().find(|pin| pin.key == key)) {
                (Some(digest), Some(pin)) if pin.found != digest => {
                    found.problem_with(
                        key,
                        format!("{} has {} today; the run used {digest}", pin.what, pin.found),
                        NEXT,
                    );
                }
                (Some(_), None) => {
                    let table = key.split('.').next().unwrap_or(key);
                    found.problem_with(key, format!("the {table} cannot be read today"), "`requant check` says why");
                }
                _ => {}
            }
        }
    });
}
