//! Pins of many manifests that share their inputs: each content is read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::PinState;
use super::data::subset;
use crate::base::digest::Digest;
use crate::base::explain::{Diagnostic, Failure};
use crate::base::files;
use crate::base::progress::Meter;
use crate::dataset::{self, Chosen, Pool, Source};
use crate::manifest::{Dataset, Manifest, Resolved, Strategy, Subset};

/// Knows the digest of everything it has read.
pub struct Pinner<'a> {
    meter: &'a dyn Meter,
    files: BTreeMap<PathBuf, Digest>,
    /// By model and the output that is asked for.
    beside: BTreeMap<(PathBuf, Option<String>), Option<Digest>>,
    data: BTreeMap<String, (Box<dyn Source>, Digest)>,
    pools: BTreeMap<String, Pool>,
    subsets: BTreeMap<String, Digest>,
}

impl<'a> Pinner<'a> {
    #[must_use]
    pub fn new(meter: &'a dyn Meter) -> Self {
        Self {
            meter,
            files: BTreeMap::new(),
            beside: BTreeMap::new(),
            data: BTreeMap::new(),
            pools: BTreeMap::new(),
            subsets: BTreeMap::new(),
        }
    }

    /// The settings with every pin of their inputs; fails where a pin that they have does not hold.
    pub fn pinned(&mut self, resolved: &Resolved) -> Result<Manifest, Failure> {
        let mut manifest = resolved.manifest.clone();
        let mut broken = Vec::new();
        let mut hold = |key: &str, what: String, pin: &mut Option<Digest>, found: Digest| {
            let state = PinState { key: key.to_owned(), what, expected: *pin, found };
            broken.extend(state.broken().map(|problem| problem.at(resolved.place(key))));
            *pin = Some(found);
        };
        let (path, found) = self.file(resolved, "model.path", &resolved.manifest.model.path)?;
        hold("model.sha256", format!("`{}`", path.display()), &mut manifest.model.sha256, found);
        if let Some(found) = self.beside(resolved, &path)? {
            hold("model.data_sha256", "the model's weights beside it".into(), &mut manifest.model.data_sha256, found);
        }
        if let Some(file) = &resolved.manifest.dataset.classes_file {
            let (path, found) = self.file(resolved, "dataset.classes_file", file)?;
            let pin = &mut manifest.dataset.classes_sha256;
            hold("dataset.classes_sha256", format!("`{}`", path.display()), pin, found);
        }
        let (data, found) = self.dataset(resolved)?;
        hold("dataset.sha256", "the dataset".to_owned(), &mut manifest.dataset.sha256, found);
        let found = self.subset(resolved, "calibration", &resolved.manifest.calibration, &data)?;
        hold("calibration.sha256", "the chosen subset".to_owned(), &mut manifest.calibration.sha256, found);
        let found = self.subset(resolved, "evaluation", &resolved.manifest.evaluation, &data)?;
        hold("evaluation.sha256", "the chosen subset".to_owned(), &mut manifest.evaluation.sha256, found);
        if let Some(template) = &resolved.manifest.report.template {
            let (path, found) = self.file(resolved, "report.template", template)?;
            hold("report.sha256", format!("`{}`", path.display()), &mut manifest.report.sha256, found);
        }
        if broken.is_empty() { Ok(manifest) } else { Err(broken.into()) }
    }

    fn file(&mut self, resolved: &Resolved, key: &str, path: &Path) -> Result<(PathBuf, Digest), Diagnostic> {
        let path = resolved.locate(key, path);
        if let Some(known) = self.files.get(&path) {
            return Ok((path, *known));
        }
        let content = files::read(&path).map_err(|error| Diagnostic::from(error).at(resolved.place(key)))?;
        let found = Digest::of(&content);
        self.files.insert(path.clone(), found);
        Ok((path, found))
    }

    /// The digest of the files beside a model that hold its weights.
    fn beside(&mut self, resolved: &Resolved, model: &Path) -> Result<Option<Digest>, Diagnostic> {
        let key = (model.to_owned(), resolved.manifest.model.output.clone());
        if let Some(known) = self.beside.get(&key) {
            return Ok(*known);
        }
        let at = |problem: Diagnostic| problem.at(resolved.place("model.path"));
        let found = if mentions_files_beside(model) {
            let (_, model) =
                super::read_model(model, &super::wanted(resolved.manifest.task, key.1.as_deref())).map_err(at)?;
            super::model::digest_beside(&model.map_err(at)?.facts.reading)
        } else {
            None
        };
        self.beside.insert(key, found);
        Ok(found)
    }

    /// The key of the open dataset, and its digest.
    fn dataset(&mut self, resolved: &Resolved) -> Result<(String, Digest), Diagnostic> {
        let settings = &resolved.manifest.dataset;
        let path = settings.path.as_ref().map(|path| resolved.locate("dataset.path", path));
        let key = dataset_key(settings, path.as_deref());
        if !self.data.contains_key(&key) {
            let at = |problem: Diagnostic| problem.at(resolved.place("dataset.path"));
            let file = settings.classes_file.as_ref().map(|file| resolved.locate("dataset.classes_file", file));
            let (labels, _) = dataset::labels(settings, file.as_deref()).map_err(|error| at(error.into()))?;
            let source = dataset::open(settings, path.as_deref(), &labels).map_err(|error| at(error.into()))?;
            let found = source.digest(self.meter).map_err(|error| at(error.into()))?;
            self.data.insert(key.clone(), (source, found));
        }
        let found = self.data[&key].1;
        Ok((key, found))
    }

    fn subset(
        &mut self,
        resolved: &Resolved,
        table: &str,
        settings: &Subset,
        data: &str,
    ) -> Result<Digest, Diagnostic> {
        let list = settings.list.as_ref().map(|list| resolved.locate(&format!("{table}.list"), list));
        let own = Subset { sha256: None, list: None, ..settings.clone() };
        let key = text(&(table, data, own, list.as_deref().map(spelled)));
        if let Some(known) = self.subsets.get(&key) {
            return Ok(*known);
        }
        let chosen = match self.drawn(settings, data) {
            Some(drawn) => drawn,
            None => subset(resolved, &*self.data[data].0, table, settings, self.meter)?,
        };
        let in_batches = table == "calibration";
        let found = if in_batches { chosen.digest_in_batches(settings.batch_size) } else { chosen.digest() };
        self.subsets.insert(key, found);
        Ok(found)
    }
}

impl Pinner<'_> {
    /// A subset that is drawn by seed, from samples that are looked at once; `None` where it is another one, or where
    /// something is wrong, which is told by looking again.
    fn drawn(&mut self, settings: &Subset, data: &str) -> Option<Chosen> {
        if !matches!(settings.strategy, Strategy::Random | Strategy::Stratified) {
            return None;
        }
        let key = text(&(data, &settings.splits));
        if !self.pools.contains_key(&key) {
            let pool = Pool::of(&*self.data[data].0, &settings.splits, self.meter).ok()?;
            self.pools.insert(key.clone(), pool);
        }
        self.pools[&key].draw(settings)
    }
}

/// What a dataset is opened by.
fn dataset_key(settings: &Dataset, path: Option<&Path>) -> String {
    let Dataset {
        format,
        splits,
        classes,
        classes_file,
        class_index,
        shape,
        full_scale,
        path: _,
        sha256: _,
        source: _,
        classes_sha256: _,
        preprocess,
    } = settings;
    let labels = (classes, classes_file, class_index);
    text(&(format, splits, labels, shape, full_scale, preprocess.exif_orientation, path.map(spelled)))
}

/// Whether a model may keep weights beside it: its file then names them.
fn mentions_files_beside(model: &Path) -> bool {
    files::read(model).is_ok_and(|bytes| bytes.windows(8).any(|window| window == b"location"))
}

/// A path as a text that no other path has.
fn spelled(path: &Path) -> String {
    path.as_os_str().as_encoded_bytes().escape_ascii().to_string()
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
