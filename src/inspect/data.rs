//! The data: readable, chosen, and fit for the model.

use std::collections::BTreeSet;

use super::Look;
use super::model::ModelInputs;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic};
use crate::base::files;
use crate::base::progress::Meter;
use crate::base::units::counted;
use crate::dataset::{self, Chosen, DatasetError, Labels, List, Source};
use crate::manifest::{DatasetFormat, PixelScale, Preprocess, Resolved, Subset};
use crate::picture::output_size;
use crate::record::format::Reading;

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
        let file = settings.classes_file.as_ref().map(|file| resolved.locate("dataset.classes_file", file));
        let (labels, named) = self.keep("dataset.classes_file", dataset::labels(settings, file.as_deref()))?;
        if let (Some(found), Some(file)) = (named, &file) {
            self.holds("dataset.classes_sha256", &format!("`{}`", file.display()), settings.classes_sha256, found);
        }
        let source = self.keep("dataset.path", dataset::open(settings, path.as_deref(), &labels))?;
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
        if let Some((key, problem)) = model
            .and_then(|model| model.outputs.scores())
            .and_then(|scores| other_classes(scores, settings.format, &labels, source.classes()))
        {
            self.problem(key, problem);
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
        let settings = &self.resolved.manifest.dataset.preprocess;
        if model.facts.reading.contains(&Reading::Bytes)
            && !(settings.scale == PixelScale::Bytes && settings.leaves_pixels())
        {
            let message =
                "the model takes pixels as bytes from 0 to 255, and `dataset.preprocess` gives it other numbers";
            let next = "set `scale = \"0..255\"`, every `mean` to 0 and every `std` to 1";
            self.problem("dataset.preprocess.mean", Diagnostic::error(Cause::Input, message).next(next));
        }
        for chosen in [&data.calibration, &data.evaluation] {
            let new = chosen.entries.iter().zip(&chosen.looks).filter(|(_, look)| seen.insert(look.shape));
            for (entry, look) in new {
                if let Err(Misfit { key, message, next }) = fits(&entry.id, look.shape, settings, &model.facts.input) {
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

/// Classes that are not the model's, and the key that says so. One output may stand for two classes.
fn other_classes(
    outputs: usize,
    format: DatasetFormat,
    labels: &Labels,
    classes: &[String],
) -> Option<(&'static str, Diagnostic)> {
    let found = classes.len();
    let count = if outputs == 1 { 2 } else { outputs };
    let (key, message, next) = match labels {
        _ if found == count => return None,
        Labels::Indexed(_) if found < count => return None,
        Labels::Indexed(_) => (
            "dataset.class_index",
            format!("`class_index` names output {}, and the model has {outputs}", found - 1),
            "count the model's outputs from 0".to_owned(),
        ),
        Labels::Listed(_) | Labels::FromFile(_) => (
            "dataset.classes",
            format!("the model gives {outputs} scores, and {found} classes are listed"),
            "list one name per score, in their order, or give folders their outputs with `class_index`".to_owned(),
        ),
        Labels::Found if found < count && format == DatasetFormat::ImageFolder => (
            "dataset.path",
            format!("the model gives {outputs} scores, and the dataset has {found} classes"),
            format!(
                "say which score is which class: `classes_file = \"FILE\"` with {outputs} names in the order of the scores, \
                 or `class_index = {{ \"{}\" = 0, … }}` with the output of each folder",
                classes.first().map_or("", String::as_str)
            ),
        ),
        Labels::Found => (
            "dataset.path",
            format!("the model gives {}, and the dataset has {found} classes", counted(outputs, "score")),
            "name the data that the model was trained for, or leave out the folders that it does not know".to_owned(),
        ),
    };
    Some((key, Diagnostic::error(Cause::Input, message).next(next)))
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
    let next = match settings.resize.or(settings.center_crop) {
        Some(_) => "set `resize` or `center_crop` to the model's height and width, as it was trained with",
        None => {
            "set `resize = [height, width]`, or `resize_shorter_side` and `center_crop`, to what the model was trained with"
        }
    };
    let [found_height, found_width] = output_size(settings, shape[1], shape[2]).map_err(|error| Misfit {
        key: ".center_crop",
        message: error.to_string(),
        next: "resize to at least the crop's size first",
    })?;
    let own_channels = if settings.grayscale { 1 } else { shape[0] };
    if channels == 1 && own_channels != 1 {
        let message = format!("the model takes images of one channel, and `{id}` has {own_channels}");
        return problem(".grayscale", message, "set `grayscale = true` if it was trained on colour images made gray");
    }
    let found_channels = if own_channels == 1 { channels } else { own_channels };
    if [found_channels, found_height, found_width] == [channels, height, width] {
        return Ok(());
    }
    let message = format!(
        "the model takes {channels} × {height} × {width} images, but `{id}` becomes \
         {found_channels} × {found_height} × {found_width}"
    );
    problem(if settings.resize.is_some() { ".resize" } else { "" }, message, next)
}
