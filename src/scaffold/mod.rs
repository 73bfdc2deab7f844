//! Manifests that requant writes: a first one for a model and data that it has never seen, where what can be read from them is
//! read and what cannot is a stated guess with a comment beside it; and a person's own with other pins or choices.

mod data;
mod pinning;
mod rewritten;
mod text;

pub use pinning::{Pin, pinned_text};
pub use rewritten::{Choices, chosen_text};

use std::path::{Path, PathBuf};

use crate::backend::{self, Availability, Request};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::base::progress::Meter;
use crate::base::units::counted;
use crate::codec::onnx;
use crate::dataset;
use crate::inspect::{self, ModelInputs};
use crate::manifest::{self, Backend, Overrides, Recipe, Task};

/// What a person asks for.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    pub name: &'a str,
    pub model: &'a Path,
    pub data: &'a Path,
    pub recipe: Recipe,
    pub task: Task,
    /// What runs the variants; chosen by what is here where nothing is asked.
    pub backend: Option<Backend>,
    /// The tensor that holds the scores, where the model has several outputs.
    pub scores: Option<&'a str>,
    /// A file with the names of the model's scores, in their order.
    pub classes: Option<&'a Path>,
    /// The manifest to write.
    pub output: &'a Path,
}

/// The backends that run FP32 and INT8 on every CPU.
pub const BACKENDS: [Backend; 3] = [Backend::Torch, Backend::Onnxruntime, Backend::Openvino];

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaffold {
    /// The manifest, and the subset lists beside it where the data has only one split.
    pub written: Vec<PathBuf>,
    /// What a person must look at.
    pub guesses: Vec<String>,
}

/// There is no manifest yet to name the scores in: an option of `requant new` does.
fn as_option(problem: Diagnostic) -> Diagnostic {
    let next_step = problem.next_step.map(|next| {
        next.replace(onnx::NAME_OUTPUT, "with `--scores TENSOR`")
            .replace("set `task = \"fidelity\"`", "give `--task fidelity`")
            .replace("judged with `task = \"fidelity\"`", "judged with `--task fidelity`")
    });
    Diagnostic { next_step, ..problem }
}

/// Writes a pinned manifest. Nothing that exists is touched, and a failure leaves nothing.
pub fn scaffold(wish: &Wish<'_>, meter: &dyn Meter) -> Result<Scaffold, Failure> {
    refuse_existing(wish.output)?;
    let (_, model) = inspect::read_model(wish.model, &inspect::wanted(wish.task, wish.scores))?;
    let model = model.map_err(as_option)?;
    let found = data::look(wish, &model)?;
    for list in &found.lists {
        refuse_existing(&list.path)?;
    }
    let mut made = Made::default();
    for list in &found.lists {
        made.write(&list.path, &list.text)?;
    }
    let backend = wish.backend.unwrap_or_else(backend_here);
    let text = pinned(wish.output, text::manifest(wish, backend, &model, &found), meter)?;
    made.write(wish.output, &text)?;
    let mut written = made.keep();
    written.reverse();
    let mut guesses = guesses(wish, &model, &found);
    if wish.backend.is_none() && backend != Backend::Torch {
        guesses.push("the variants: libtorch is not here, so ONNX Runtime calibrates and runs them".to_owned());
    }
    Ok(Scaffold { written, guesses })
}

/// libtorch does most; where it is not, ONNX Runtime does without a build of its own.
fn backend_here() -> Backend {
    match backend::probe(Request::float(Backend::Torch)) {
        Availability::Ready { .. } => Backend::Torch,
        Availability::Missing { .. } => Backend::Onnxruntime,
    }
}

fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        let message = format!("`{}` exists", path.display());
        return Err(Diagnostic::error(Cause::Input, message).next("choose another name, or remove it").into());
    }
    Ok(())
}

/// The text with every pin; what stands in the way of a run is a failure here already.
fn pinned(path: &Path, text: String, meter: &dyn Meter) -> Result<String, Failure> {
    let resolved = manifest::load_bytes(path, text.into_bytes(), &Overrides::default())?;
    let found = inspect::inspect(&resolved, meter);
    if !found.problems.is_empty() {
        // The file they point into was never written.
        let loose = found.problems.into_iter().map(|problem| Diagnostic { place: None, ..problem });
        return Err(loose.collect::<Vec<_>>().into());
    }
    let pins: Vec<Pin> = found.pins.into_iter().map(|pin| Pin { key: pin.key, digest: pin.found }).collect();
    pinned_text(&resolved.text, &pins).map_err(Failure::bug)
}

fn guesses(wish: &Wish<'_>, model: &ModelInputs, found: &data::Found) -> Vec<String> {
    let mut guesses: Vec<String> =
        model.facts.reading.iter().map(|reading| format!("the model: {}", reading.sentence())).collect();
    guesses.push(match text::own_normalization(model) {
        Some(_) => {
            "dataset.preprocess: the model normalizes its input itself, so `mean` and `std` change nothing".to_owned()
        }
        None => "dataset.preprocess: `mean`, `std` and the resizing must be what the model was trained with".to_owned(),
    });
    if wish.task == Task::Fidelity {
        guesses.push("goals: how close the outputs must stay is for you to say".to_owned());
    } else {
        guesses.push(format!(
            "label order: class 0 of the model's {} is taken to be `{}`; list `dataset.classes` if it is not",
            found.classes.len(),
            found.classes.first().map_or("", String::as_str)
        ));
    }
    if found.are_numbers() {
        guesses.push(format!(
            "label order: the class folders are numbers and are taken in byte order ({}); if the model's outputs are in numeric \
             order, use the line `classes` that the manifest has as a comment",
            found.classes.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
        ));
    }
    if !found.passed_over.is_empty() {
        let files = dataset::endings(&found.passed_over);
        guesses.push(format!("the data: not read among the images: {files}"));
    }
    if found.turned > 0 {
        guesses.push(format!(
            "the data: {} that EXIF turns; they are taken as they are stored, as Pillow does, unless `exif_orientation = true`",
            counted(found.turned, "image")
        ));
    }
    guesses.extend(found.notes.clone());
    guesses
}

/// Files made so far; those that are not kept are removed again.
#[derive(Default)]
struct Made {
    paths: Vec<PathBuf>,
}

impl Made {
    fn write(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        if let Some(folder) = path.parent() {
            files::create_dir_all(folder)?;
        }
        self.paths.push(path.to_owned());
        Ok(files::write(path, text.as_bytes())?)
    }

    fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.paths)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.paths {
            // There is already a failure to report.
            let _ = files::remove(path);
        }
    }
}
