//! Everything is looked at before anything is computed: pins, operators, patterns, samples,
//! backends, and whether results can be written at all.

use chrono::{DateTime, Utc};
use globset::Glob;

use super::{Event, RunError, Surroundings};
use crate::backend::{self, Availability, Request, Started};
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::base::{clock, files};
use crate::codec::onnx::{self, Model};
use crate::dataset::{self, Chosen, Source};
use crate::graph::pass::{self, AppliedPatch};
use crate::graph::{Graph, census};
use crate::manifest::{Choice as _, LayerOverride, LayerPrecision, Resolved, Subset};
use crate::quantize::observer::ObserverKind;
use crate::quantize::{LayerRule, Recipe};
use crate::record::format::ModelFacts;
use crate::record::store::{self, Draft};
use crate::report;

/// A run whose inputs all check out.
pub(super) struct Prepared {
    pub resolved: Resolved,
    pub started: DateTime<Utc>,
    pub draft: Draft,
    pub runtime: Box<dyn Started>,
    pub source: Box<dyn Source>,
    pub calibration: Chosen,
    pub evaluation: Chosen,
    pub model: ModelFacts,
    /// Module counts before any rewrite.
    pub fp32_modules: std::collections::BTreeMap<String, usize>,
    pub graph: Graph,
    pub patches: Vec<AppliedPatch>,
    pub recipe: Recipe,
    /// One per node of the graph.
    pub rules: Vec<LayerRule>,
    /// One per variant.
    pub availability: Vec<Availability>,
    /// The text of the report's template.
    pub template: String,
}

pub(super) fn prepare(resolved: Resolved, around: &Surroundings<'_>) -> Result<Prepared, Failure> {
    let started = clock::now();
    let manifest = &resolved.manifest;
    let recipe = recipe(&manifest.quantize.recipe)?;
    let availability = availability(&resolved)?;
    let template = template(&resolved)?;
    let (model, facts) = model(&resolved)?;
    let fp32_modules = census::modules(&model.graph);
    let classes = model.graph.classes().ok_or(RunError::NotAClassifier)?;
    let (graph, patches) = pass::run_all(model.graph).map_err(|broken| Failure {
        cause: crate::base::explain::Cause::Bug,
        message: broken.to_string(),
        next_step: Some("please report it with the model's SHA-256".into()),
    })?;
    let rules = rules(&graph, &manifest.quantize.layer)?;

    let path = manifest.dataset.path.as_ref().map(|path| resolved.locate(path));
    let source = dataset::open(&manifest.dataset, path.as_deref())?;
    pin("dataset.sha256", "the dataset", manifest.dataset.sha256, source.digest())?;
    if classes != source.classes().len() {
        return Err(RunError::Classes { model: classes, dataset: source.classes().len() }.into());
    }
    let calibration = subset(&*source, &manifest.calibration, "calibration.sha256")?;
    let evaluation = subset(&*source, &manifest.evaluation, "evaluation.sha256")?;

    let id = format!("{}-{}", clock::compact(started), resolved.digest().short());
    let draft = Draft::begin(around.results, &manifest.name, id)?;
    for killed in store::abandoned(around.results, &manifest.name) {
        let note =
            format!("an earlier run was killed and left `{}`; it is incomplete and can be deleted", killed.display());
        around.events.emit(&Event::Note(note));
    }
    let runtime = backend::start(&manifest.compute)?;
    let prepared = Prepared {
        started,
        draft,
        runtime,
        source,
        calibration,
        evaluation,
        model: facts,
        fp32_modules,
        graph,
        patches,
        recipe,
        rules,
        availability,
        template,
        resolved,
    };
    try_one_image(&prepared)?;
    Ok(prepared)
}

fn recipe(name: &str) -> Result<Recipe, RunError> {
    let known: Vec<&'static str> = Recipe::ALL.iter().map(|recipe| recipe.name()).collect();
    Recipe::ALL.into_iter().find(|recipe| recipe.name() == name).ok_or_else(|| RunError::Recipe {
        found: name.to_owned(),
        nearest: crate::manifest::nearest(name, known.iter().copied()),
        known,
    })
}

/// What can run; a required variant that cannot stops the run here.
fn availability(resolved: &Resolved) -> Result<Vec<Availability>, RunError> {
    let probe = |variant: &crate::manifest::Variant| match backend::probe(Request::from(variant)) {
        Availability::Missing { why, remedy } if variant.required => Err(RunError::Missing {
            variant: variant.name.clone(),
            backend: variant.backend.word().to_owned(),
            why,
            remedy,
        }),
        availability => Ok(availability),
    };
    resolved.manifest.variant.iter().map(probe).collect()
}

fn template(resolved: &Resolved) -> Result<String, Failure> {
    let template = match &resolved.manifest.report.template {
        Some(path) => files::read_text(&resolved.locate(path))?,
        None => report::BUILT_IN.to_owned(),
    };
    report::check(&template)?;
    Ok(template)
}

fn model(resolved: &Resolved) -> Result<(Model, ModelFacts), Failure> {
    let settings = &resolved.manifest.model;
    let path = resolved.locate(&settings.path);
    let bytes = files::read(&path)?;
    let sha256 = Digest::of(&bytes);
    pin("model.sha256", &format!("`{}`", path.display()), Some(settings.sha256), sha256)?;
    let model = onnx::read(&bytes).map_err(|source| RunError::Model { path, source })?;
    let facts = ModelFacts {
        sha256,
        bytes: bytes.len() as u64,
        producer: model.producer.clone(),
        opset: model.opset,
        input: model.graph.input_shape().unwrap_or_default(),
    };
    Ok((model, facts))
}

fn pin(key: &'static str, what: &str, expected: Option<Digest>, found: Digest) -> Result<(), RunError> {
    match expected.filter(|expected| *expected != found) {
        Some(expected) => Err(RunError::Pin { key, what: what.to_owned(), expected, found }),
        None => Ok(()),
    }
}

fn subset(source: &dyn Source, settings: &Subset, key: &'static str) -> Result<Chosen, Failure> {
    let chosen = dataset::choose(source, settings)?;
    pin(key, "the chosen subset", settings.sha256, chosen.digest())?;
    Ok(chosen)
}

/// The rule of each node; later entries win over earlier ones.
fn rules(graph: &Graph, overrides: &[LayerOverride]) -> Result<Vec<LayerRule>, RunError> {
    let mut rules = vec![LayerRule::default(); graph.nodes.len()];
    for layer in overrides {
        let trouble = |problem: String| RunError::Pattern { pattern: layer.r#match.clone(), problem };
        let glob = Glob::new(&layer.r#match).map_err(|error| trouble(format!("is not a glob: {error}")))?;
        let matcher = glob.compile_matcher();
        let observer = layer.observer.as_deref().map(|name| observer(&layer.r#match, name)).transpose()?;
        let mut matched = false;
        for (rule, _) in rules.iter_mut().zip(&graph.nodes).filter(|(_, node)| matcher.is_match(&node.name)) {
            matched = true;
            rule.float = layer.precision.map_or(rule.float, |precision| precision == LayerPrecision::Fp32);
            rule.observer = observer.or(rule.observer);
        }
        if !matched {
            return Err(trouble("matches no layer".into()));
        }
    }
    Ok(rules)
}

fn observer(pattern: &str, name: &str) -> Result<ObserverKind, RunError> {
    match name {
        "histogram" => Ok(ObserverKind::Histogram),
        "minmax" => Ok(ObserverKind::Minmax),
        "percentile" => Ok(ObserverKind::Percentile),
        _ => Err(RunError::Observer { pattern: pattern.to_owned(), found: name.to_owned() }),
    }
}

/// Preprocesses one image, so that a wrong shape is found before the work begins.
fn try_one_image(prepared: &Prepared) -> Result<(), Failure> {
    let entry = &prepared.evaluation.entries[0];
    let image = prepared.source.decode(entry, &prepared.source.bytes(entry)?)?;
    let channels = prepared.channels();
    let settings = &prepared.resolved.manifest.dataset.preprocess;
    let tensor = prepared.runtime.arithmetic().preprocess(&[image], settings, channels)?;
    if tensor.shape()[1..] != prepared.model.input {
        let text = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
        let (wanted, found) = (text(&prepared.model.input), text(&tensor.shape()[1..]));
        return Err(RunError::Input { wanted, found }.into());
    }
    Ok(())
}

impl Prepared {
    /// Channels of the model's input.
    pub(super) fn channels(&self) -> usize {
        self.model.input.first().copied().unwrap_or(3)
    }
}
