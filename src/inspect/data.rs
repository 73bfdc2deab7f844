//! The data: readable, chosen, and fit for the model.

use std::collections::BTreeSet;

use super::Look;
use super::model::ModelInputs;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic};
use crate::base::files;
use crate::base::progress::Meter;
use crate::dataset::{self, Chosen, DatasetError, List, Source, output_size};
use crate::manifest::{Preprocess, Resolved, Subset};

/// Samples that are ready to be read.
pub struct DataInputs {
    pub source: Box<dyn Source>,
    pub sha256: Digest,
    pub calibration: Chosen,
    pub evaluation: Chosen,
}

impl Look<'_> {
    pub(super) fn at_data(&mut self, model: Option<&ModelInputs>, meter: &dyn Meter) -> Option<DataInputs> {
        let resolved = self.resolved;
        let settings = &resolved.manifest.dataset;
        let path = settings.path.as_ref().map(|path| resolved.locate("dataset.path", path));
        if path.as_ref().is_some_and(|path| self.awaits_fetching("dataset.path", path, settings.source.as_ref())) {
            return None;
        }
        let source = self.keep("dataset.path", dataset::open(settings, path.as_deref()))?;
        let manifest = &resolved.manifest;
        let (sha256, (calibration, evaluation)) = rayon::join(
            || source.digest(meter),
            || {
                (
                    subset(resolved, &*source, "calibration", &manifest.calibration, meter),
                    subset(resolved, &*source, "evaluation", &manifest.evaluation, meter),
                )
            },
        );
        let sha256 = self.keep("dataset.path", sha256);
        if let Some(found) = sha256 {
            let what = path.map_or_else(|| "the dataset".to_owned(), |path| format!("`{}`", path.display()));
            self.holds("dataset.sha256", &what, settings.sha256, found);
        }
        if let Some(model) = model.filter(|model| model.classes != source.classes().len()) {
            let (wanted, found) = (model.classes, source.classes().len());
            let message = format!("the model gives {wanted} classes, but the dataset has {found}");
            let next = "use the dataset the model was trained for; labels must match its outputs";
            self.problem("dataset.path", Diagnostic::error(Cause::Input, message).next(next));
        }
        let calibration = self.keep("calibration", calibration);
        let evaluation = self.keep("evaluation", evaluation);
        if let Some(chosen) = &calibration {
            let batch_size = manifest.calibration.batch_size;
            let what = "the chosen subset, in its batches,";
            self.holds("calibration.sha256", what, manifest.calibration.sha256, chosen.digest_in_batches(batch_size));
        }
        if let Some(chosen) = &evaluation {
            self.holds("evaluation.sha256", "the chosen subset", manifest.evaluation.sha256, chosen.digest());
        }
        let data = DataInputs { source, sha256: sha256?, calibration: calibration?, evaluation: evaluation? };
        if let Some(model) = model {
            self.at_images(model, &data);
        }
        Some(data)
    }

    /// Every sample, by its shape alone, so that a misfit is found before the work begins.
    fn at_images(&mut self, model: &ModelInputs, data: &DataInputs) {
        let mut seen = BTreeSet::new();
        for chosen in [&data.calibration, &data.evaluation] {
            for (entry, shape) in chosen.entries.iter().zip(&chosen.shapes).filter(|(_, shape)| seen.insert(**shape)) {
                let settings = &self.resolved.manifest.dataset.preprocess;
                if let Err(Misfit { key, message, next }) = fits(&entry.id, *shape, settings, &model.facts.input) {
                    let problem = Diagnostic::error(Cause::Input, message).next(next);
                    self.problem(&format!("dataset.preprocess{key}"), problem);
                    return;
                }
            }
        }
    }
}

pub(super) fn subset(
    resolved: &Resolved,
    source: &dyn Source,
    table: &str,
    settings: &Subset,
    meter: &dyn Meter,
) -> Result<Chosen, Diagnostic> {
    let key = format!("{table}.list");
    let at = |key: &str, problem: Diagnostic| problem.at(resolved.place(key));
    let path = settings.list.as_ref().map(|list| resolved.locate(&key, list));
    let text = path.as_deref().map(files::read_text).transpose().map_err(|error| at(&key, error.into()))?;
    let list = path.as_deref().zip(text.as_deref()).map(|(path, text)| List { path, text });
    dataset::choose(source, settings, list, meter).map_err(|error| {
        let key = match (&error, error.key()) {
            (DatasetError::Rows { split, .. }, _) => format!("dataset.splits.{split}"),
            (_, Some(key)) => format!("{table}.{key}"),
            (_, None) => "dataset.path".to_owned(),
        };
        at(&key, error.into())
    })
}

/// Why an image does not become what the model takes.
struct Misfit {
    /// Below `dataset.preprocess`.
    key: &'static str,
    message: String,
    next: &'static str,
}

fn fits(id: &str, shape: [usize; 3], settings: &Preprocess, input: &[usize]) -> Result<(), Misfit> {
    let &[channels, height, width] = input else { return Ok(()) };
    let problem = |key, message: String, next| Err(Misfit { key, message, next });
    if settings.mean.len() != channels {
        let message =
            format!("`mean` and `std` have {} values for the model's {channels} channels", settings.mean.len());
        return problem(".mean", message, "give one of each per channel of the model's input");
    }
    let next = "set `dataset.preprocess.resize`, `mean` and `std` to what the model was trained with";
    let [found_height, found_width] = output_size(settings, shape[1], shape[2]).map_err(|error| Misfit {
        key: ".center_crop",
        message: error.to_string(),
        next: "resize to at least the crop's size first",
    })?;
    let found_channels = if shape[0] == 1 { channels } else { shape[0] };
    if [found_channels, found_height, found_width] == [channels, height, width] {
        return Ok(());
    }
    let message = format!(
        "the model takes {channels} × {height} × {width} images, but `{id}` becomes \
         {found_channels} × {found_height} × {found_width}"
    );
    problem(if settings.resize.is_some() { ".resize" } else { "" }, message, next)
}
