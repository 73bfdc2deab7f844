//! `requant remedy`.

use std::path::{Path, PathBuf};

use super::rerun::intact;
use super::{Exit, print, runs};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::diagnose::{self, Remedy};
use crate::manifest::{Choices, Recipe, chosen_text};
use crate::quantize::Scheme;
use crate::record::{Record, store};

/// Writes the remedy of a run as a manifest beside the one that it had.
pub(super) fn remedy(run: &str, results: &Path) -> Result<Exit, Failure> {
    let folder = runs::find(results, run)?;
    if !folder.is_dir() {
        let problem = Diagnostic::error(Cause::Input, format!("`{}` is a record alone", folder.display()));
        return Err(problem.next("name the run's folder, whose manifest is needed").into());
    }
    let record = store::read(&folder)?;
    intact(&folder)?;
    let Some(remedy) = diagnose::remedy(&record) else {
        print(&format!("{}\n", why_none(&record)));
        return Ok(Exit::Failed);
    };
    let text = text(&folder, &record, &remedy)?;
    let target = target(&folder, &record);
    write(&target, &text)?;
    print(&format!("remedy: {}\n", remedy.told()));
    for set in &record.run.overrides {
        print(&format!(
            "note: `{} = {}` was set from outside and is not in the manifest that is written\n",
            set.key, set.value
        ));
    }
    let name = &record.settings.name;
    let manifest = target.display();
    print(&format!(
        "manifest: {manifest}\nnext: requant run {manifest}, then requant diff {} {name}-{SUFFIX}\n",
        record.run.id
    ));
    Ok(Exit::Done)
}

/// What follows the experiment's name.
const SUFFIX: &str = "remedy";

fn text(folder: &Path, record: &Record, remedy: &Remedy) -> Result<String, Failure> {
    if remedy.layers.is_empty() && remedy.scheme == Scheme::of(&record.settings.quantize) {
        let message = format!("`{}` does not say which nodes its remedy keeps in float", folder.display());
        return Err(Diagnostic::error(Cause::Input, message).next("run the experiment again with this requant").into());
    }
    let comment = [
        format!("The remedy of run {}, written by `requant remedy`.", record.run.id),
        format!("Tried there: {}.", remedy.promise()),
    ];
    let choices = Choices {
        suffix: SUFFIX,
        recipe: Recipe::of(remedy.scheme.observer),
        steps: &remedy.scheme.steps,
        weights: remedy.scheme.weights,
        reduce_range: remedy.scheme.reduce_range,
        layers: &remedy.layers,
        max_accuracy_drop: None,
        comment: &comment,
    };
    let old = files::read_text(&folder.join("manifest.toml"))?;
    chosen_text(&old, &choices).map_err(|reason| {
        let message = format!("the manifest of `{}` cannot be changed: {reason}", folder.display());
        Diagnostic::error(Cause::Input, message).next(format!("change it by hand: {}", remedy.told())).into()
    })
}

/// Beside the run's manifest, from where its relative paths are meant; where that is not at hand, in this folder.
fn target(folder: &Path, record: &Record) -> PathBuf {
    let own = PathBuf::from(&record.run.manifest_path);
    store::manifest_place(folder, record).unwrap_or(own).with_extension(format!("{SUFFIX}.toml"))
}

/// What lies there already is somebody's, unless it is the same.
fn write(target: &Path, text: &str) -> Result<(), Failure> {
    if target.exists() && files::read_text(target)? != text {
        let message = format!("`{}` exists already and is another manifest", target.display());
        return Err(Diagnostic::error(Cause::Input, message).next("move it away, or remove it").into());
    }
    Ok(files::replace(target, text.as_bytes())?)
}

fn why_none(record: &Record) -> String {
    if let Some(finding) = diagnose::inputs_at_fault(record) {
        return format!("the fault lies before the quantization: {} To do: {}", finding.question, finding.remedy);
    }
    let options = &record.settings.record;
    match &record.attribution {
        Some(_) => diagnose::next_experiment(record),
        None if options.interventions == 0 || !options.evidence => {
            "no change was tried: set `record.interventions` above 0 and `record.evidence = true`, and run again"
                .to_owned()
        }
        None => "nothing was surely lost, so nothing is to be remedied".to_owned(),
    }
}
