//! `requant remedy`.

use std::path::Path;

use super::rerun::intact;
use super::runs;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::diagnose::{self, Remedy};
use crate::manifest::{Recipe, Step};
use crate::record::{Record, store};
use crate::scaffold::{Choices, chosen_text};
use crate::terminal::{Exit, print};

/// Writes the remedy of a run as a manifest beside the one that it had.
pub(super) fn remedy(run: &str, results: &Path) -> Result<Exit, Failure> {
    let folder = runs::find(results, run)?;
    if !folder.is_dir() {
        let problem = Diagnostic::error(Cause::Input, format!("`{}` is only a record", folder.display()));
        return Err(problem.next("name the run's folder, whose manifest is needed").into());
    }
    let record = store::read(&folder)?;
    intact(&folder)?;
    let Some(remedy) = diagnose::remedy(&record) else {
        print(&format!("{}\n", diagnose::why_no_remedy(&record)));
        return Ok(Exit::Failed);
    };
    let text = text(&folder, &record, &remedy)?;
    let target = store::own_manifest(&folder, &record)?.with_extension(format!("{SUFFIX}.toml"));
    write(&target, &text)?;
    print(&format!("remedy: {}\n", remedy.told()));
    for set in record.run.overrides.iter().filter(|set| !set.key.starts_with("quantize.")) {
        print(&format!(
            "note: `{}` was {}, by {}; the new manifest does not contain it: give it again\n",
            set.key, set.value, set.origin
        ));
    }
    let (manifest, name) = (target.display(), name_in(&text));
    print(&format!("manifest: {manifest}\nnext: requant run {manifest}, then requant diff {} {name}\n", record.run.id));
    Ok(Exit::Done)
}

/// What follows the experiment's name.
const SUFFIX: &str = "remedy";

fn text(folder: &Path, record: &Record, remedy: &Remedy) -> Result<String, Failure> {
    if !remedy.is_whole {
        let message = format!("`{}` does not say which nodes its remedy keeps in float", folder.display());
        return Err(Diagnostic::error(Cause::Input, message).next("run the experiment again with this requant").into());
    }
    let mut comment = vec![
        format!("The remedy of run {}, written by `requant remedy`.", record.run.id),
        format!("Tried there: {}.", remedy.promise()),
    ];
    let learns = [Step::AdaRound, Step::BiasCorrection, Step::SequentialBiasCorrection];
    if !remedy.layers.is_empty() && learns.iter().any(|step| remedy.scheme.has(*step)) {
        comment.push(
            "Rounding and biases are learned anew without these layers, and may come out a little differently.".into(),
        );
    }
    let quantize = &record.settings.quantize;
    let layers = [quantize.layer.as_slice(), &remedy.layers].concat();
    let choices = Choices {
        suffix: SUFFIX,
        recipe: Recipe::of(remedy.scheme.observer),
        steps: &remedy.scheme.steps,
        weights: remedy.scheme.weights,
        reduce_range: remedy.scheme.reduce_range,
        adaround: quantize.adaround,
        layers: &layers,
        max_accuracy_drop: None,
        comment: &comment,
    };
    let old = files::read_text(&folder.join("manifest.toml"))?;
    chosen_text(&old, &choices).map_err(|reason| {
        let message = format!("the manifest of `{}` cannot be changed: {reason}", folder.display());
        Diagnostic::error(Cause::Input, message).next(format!("change it by hand: {}", remedy.told())).into()
    })
}

/// What lies there already is somebody's, unless it is the same; so is a link that leads nowhere.
fn write(target: &Path, text: &str) -> Result<(), Failure> {
    if target.symlink_metadata().is_ok() && files::read_text(target).ok().as_deref() != Some(text) {
        let message = format!("`{}` exists already and is another manifest", target.display());
        return Err(Diagnostic::error(Cause::Input, message).next("move it away, or remove it").into());
    }
    Ok(files::replace(target, text.as_bytes())?)
}

/// The experiment's name in a manifest.
fn name_in(text: &str) -> String {
    let table: toml::Table = text.trim_start_matches('\u{feff}').parse().unwrap_or_default();
    table.get("name").and_then(toml::Value::as_str).unwrap_or(SUFFIX).to_owned()
}
