//! The model: readable, supported, a classifier, and what the manifest says of its layers.

use std::collections::BTreeMap;
use std::path::Path;

use globset::Glob;

use super::Look;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Explain as _};
use crate::base::files;
use crate::codec::onnx;
use crate::graph::pass::{self, AppliedPatch};
use crate::graph::{Graph, Node, Op, census};
use crate::manifest::{LayerOverride, nearest};
use crate::quantize::LayerRule;
use crate::record::format::ModelFacts;

/// A model that can be run.
pub struct ModelInputs {
    pub facts: ModelFacts,
    /// Module counts before any rewrite.
    pub fp32_modules: BTreeMap<String, usize>,
    pub graph: Graph,
    pub patches: Vec<AppliedPatch>,
    pub classes: usize,
}

impl ModelInputs {
    /// Channels of the model's input.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.facts.input.first().copied().unwrap_or(3)
    }
}

/// Reads a model file; its digest comes back even where the rest fails.
pub fn read(path: &Path) -> Result<(Digest, Result<ModelInputs, Diagnostic>), Diagnostic> {
    let bytes = files::read(path)?;
    let sha256 = Digest::of(&bytes);
    Ok((sha256, understand(path, &bytes, sha256)))
}

fn understand(path: &Path, bytes: &[u8], sha256: Digest) -> Result<ModelInputs, Diagnostic> {
    let model = onnx::read(bytes).map_err(|error| {
        let problem = Diagnostic::error(Cause::Input, format!("model `{}`: {error}", path.display()));
        Diagnostic { next_step: error.next_step(), ..problem }
    })?;
    if let Some(id) = model.activations.keys().next() {
        let name = &model.graph.node(*id).name;
        let message = format!("model `{}` is quantized already, from `{name}` on", path.display());
        return Err(Diagnostic::error(Cause::Input, message).next("name the float model that it was made of"));
    }
    let facts = ModelFacts {
        sha256,
        bytes: bytes.len() as u64,
        producer: model.producer.clone(),
        opset: model.opset,
        input: model.graph.input_shape().unwrap_or_default(),
    };
    let fp32_modules = census::modules(&model.graph);
    let classes = model.graph.classes().ok_or_else(|| {
        Diagnostic::error(Cause::Input, "the model's output is not one score per class, [batch, classes]")
            .next("only image classifiers can be evaluated; add the pooling and flattening before exporting")
    })?;
    let (graph, patches) = pass::run_all(model.graph).map_err(|broken| {
        Diagnostic::error(Cause::Bug, broken.to_string()).next("please report it with the model's SHA-256")
    })?;
    Ok(ModelInputs { facts, fp32_modules, graph, patches, classes })
}

impl Look<'_> {
    pub(super) fn at_model(&mut self) -> Option<ModelInputs> {
        let settings = &self.resolved.manifest.model;
        let path = self.resolved.locate("model.path", &settings.path);
        if self.awaits_fetching("model.path", &path, settings.source.as_ref()) {
            return None;
        }
        let (digest, model) = self.keep("model.path", read(&path))?;
        self.holds("model.sha256", &format!("`{}`", path.display()), settings.sha256, digest);
        self.keep("model.path", model)
    }

    pub(super) fn at_layers(&mut self, model: &ModelInputs) -> Option<Vec<LayerRule>> {
        match rules(&model.graph, &self.resolved.manifest.quantize.layer) {
            Ok(rules) => Some(rules),
            Err((position, problem)) => {
                self.problem(&format!("quantize.layer.{position}.match"), problem);
                None
            }
        }
    }
}

/// The rule of each node; later entries win over earlier ones. An error names the entry.
pub(crate) fn rules(graph: &Graph, overrides: &[LayerOverride]) -> Result<Vec<LayerRule>, (usize, Diagnostic)> {
    let mut rules = vec![LayerRule::default(); graph.nodes.len()];
    for (position, layer) in overrides.iter().enumerate() {
        let trouble = |message: String, next: String| {
            let message = format!("`quantize.layer` pattern `{}` {message}", layer.r#match);
            (position, Diagnostic::error(Cause::Input, message).next(next))
        };
        let glob = Glob::new(&layer.r#match)
            .map_err(|error| trouble(format!("is not a glob: {error}"), "write layer names with `*`".into()))?;
        let matcher = glob.compile_matcher();
        let mut matched = false;
        for (rule, _) in rules.iter_mut().zip(&graph.nodes).filter(|(_, node)| matcher.is_match(&node.name)) {
            matched = true;
            rule.precision = layer.precision.or(rule.precision);
            rule.observer = layer.observer.map(Into::into).or(rule.observer);
            rule.kernel = layer.kernel.or(rule.kernel);
        }
        let is_kernel = |node: &Node| matcher.is_match(&node.name) && matches!(node.op, Op::Conv { .. });
        if matched && layer.kernel.is_some() && !graph.nodes.iter().any(is_kernel) {
            let next = "remove `kernel`, which is of convolutions, or match one".into();
            return Err(trouble("names a kernel, and matches no convolution".into(), next));
        }
        if !matched {
            let names = || graph.nodes.iter().map(|node| node.name.as_str());
            let next = match nearest(&layer.r#match, names()) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("use layer names such as {}", some(names())),
            };
            return Err(trouble("matches no layer".into(), next));
        }
    }
    Ok(rules)
}

/// A few names from across the network.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 4;
    let names: Vec<&str> = names.collect();
    let picked = (0..SHOWN.min(names.len())).map(|i| names[i * names.len() / SHOWN.min(names.len())]);
    picked.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
