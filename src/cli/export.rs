//! `requant export`.

use std::path::{Path, PathBuf};

use super::args::ExportForm;
use super::runs;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::codec::{Form, onnx};
use crate::inspect;
use crate::manifest::{Backend, Choice as _, Precision};
use crate::record::format::{ArtefactFacts, VariantResult};
use crate::record::{Record, store};
use crate::terminal::{Exit, print};

pub(super) fn export(
    run: &str,
    form: ExportForm,
    output: Option<PathBuf>,
    variant: Option<&str>,
    results: &Path,
) -> Result<Exit, Failure> {
    let folder = runs::find(results, run)?;
    let record = store::read(&folder)?;
    if variant.is_some() && form != ExportForm::Torchscript {
        let problem = Diagnostic::error(Cause::Input, "`--variant` only goes with `--format torchscript`");
        return Err(problem.next("leave it out: a run has one quantized network").into());
    }
    let (bytes, ending) = match form {
        ExportForm::OnnxQdq => (stamped(&record, &quantized(&folder, &record)?)?, "qdq.onnx"),
        ExportForm::OnnxFp32 => (stamped(&record, &float(&folder, &record)?)?, "fp32.onnx"),
        ExportForm::Torchscript => (kept(&folder, &chosen(&record, variant)?.artefact)?, "pt"),
    };
    let output = output.unwrap_or_else(|| PathBuf::from(format!("{}.{ending}", record.settings.name)));
    if output.exists() {
        let problem = Diagnostic::error(Cause::Input, format!("`{}` is there already", output.display()));
        return Err(problem.next("name another file with `--output`, or remove it").into());
    }
    files::write(&output, &bytes)?;
    print(&format!("{}: {} bytes, SHA-256 {}\n", output.display(), bytes.len(), Digest::of(&bytes)));
    Ok(Exit::Done)
}

/// Says in the file what it came of.
fn stamped(record: &Record, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let model = record.inputs.model.sha256.to_string();
    let properties = [
        ("requant.run", record.run.id.as_str()),
        ("requant.experiment", record.settings.name.as_str()),
        ("requant.model_sha256", model.as_str()),
        ("requant.quantization", record.quantization.description.as_str()),
    ];
    onnx::stamp(bytes, &properties).ok_or_else(|| Failure::bug("what was just written cannot be read"))
}

fn quantized(folder: &Path, record: &Record) -> Result<Vec<u8>, Failure> {
    if let Some(facts) = &record.quantization.exchange {
        return kept(folder, facts);
    }
    let problem = Diagnostic::error(Cause::Input, "this run kept no network for other engines");
    Err(problem.next("it had no INT8 variant, or is of an older version: make a new run").into())
}

/// A file of the run, if it is what the run recorded.
fn kept(folder: &Path, facts: &ArtefactFacts) -> Result<Vec<u8>, Failure> {
    let path = folder.join(&facts.path);
    if !path.exists() {
        let problem = Diagnostic::error(Cause::Input, format!("`{}` is not in this copy of the run", path.display()));
        return Err(problem.next("`requant rerun` makes it again").into());
    }
    let bytes = files::read(&path)?;
    if Digest::of(&bytes) != facts.sha256 {
        let message = format!("`{}` is not what the run recorded, {}", path.display(), facts.sha256);
        return Err(Diagnostic::error(Cause::Integrity, message).next("`requant rerun` makes it again").into());
    }
    Ok(bytes)
}

/// The model that the run read, if it is still what it was.
fn float(folder: &Path, record: &Record) -> Result<Vec<u8>, Failure> {
    let path = record.settings.model.path.clone();
    let Some(manifest) = store::manifest_place(folder, record) else {
        let message = format!("the run's model `{}` is not found from here", path.display());
        return Err(Diagnostic::error(Cause::Input, message).next("go where the experiment's manifest lies").into());
    };
    let path = manifest.with_file_name("").join(path);
    let (found, model) =
        inspect::read_model(&path, &inspect::wanted(record.settings.task, record.settings.model.output.as_deref()))?;
    let wanted = record.inputs.model.sha256;
    if found != wanted {
        let message = format!("`{}` has the SHA-256 {found}, and the run read {wanted}", path.display());
        return Err(Diagnostic::error(Cause::Integrity, message).next("restore the model of the run").into());
    }
    Ok(onnx::write(&model?.graph, Form::Float))
}

/// Whether a variant's artefact is TorchScript.
fn of_torch(variant: &VariantResult) -> bool {
    variant.backend == Backend::Torch.word() && variant.measured().is_some()
}

fn chosen<'a>(record: &'a Record, name: Option<&str>) -> Result<&'a crate::record::format::Measured, Failure> {
    let wanted = |variant: &&VariantResult| match name {
        Some(name) => variant.name == name && of_torch(variant),
        None => variant.precision == Precision::Int8 && of_torch(variant),
    };
    record.variants.iter().find(wanted).and_then(VariantResult::measured).ok_or_else(|| {
        let measured = record.variants.iter().filter(|variant| of_torch(variant));
        let names: Vec<String> = measured.map(|variant| format!("`{}`", variant.name)).collect();
        let message =
            name.map_or("no INT8 variant ran on torch".to_owned(), |name| format!("no variant `{name}` ran on torch"));
        let next = format!("choose one with `--variant`: {}", names.join(", "));
        Diagnostic::error(Cause::Input, message).next(next).into()
    })
}
