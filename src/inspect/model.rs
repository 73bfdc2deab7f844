//! The model: readable, supported, a classifier, and what the manifest says of its layers.

use std::collections::BTreeMap;
use std::path::Path;

use globset::Glob;

use super::Look;
use super::head;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Explain as _};
use crate::base::files;
use crate::base::text::nearest;
use crate::codec::onnx::{self, Wanted};
use crate::graph::normalization::{self, Pixels};
use crate::graph::op::Layer;
use crate::graph::pass::{self, AppliedPatch};
use crate::graph::shape::shown;
use crate::graph::{Dim, Graph, Node, NodeId, Op, census};
use crate::manifest::{LayerOverride, PixelScale, Task};
use crate::quantize::LayerRule;
use crate::record::format::{ModelFacts, Reading};
use crate::task::Outputs;
use crate::task::classification::Head;

/// A model that can be run.
pub struct ModelInputs {
    pub facts: ModelFacts,
    /// Module counts before any rewrite.
    pub fp32_modules: BTreeMap<String, usize>,
    pub graph: Graph,
    pub patches: Vec<AppliedPatch>,
    pub outputs: Outputs,
}

impl ModelInputs {
    /// `10 classes`, or the outputs with their shapes.
    #[must_use]
    pub fn gives(&self) -> String {
        match &self.outputs {
            Outputs::Scores { count, .. } => format!("{count} classes"),
            Outputs::Tensors(names) => {
                let each = names.iter().zip(&self.graph.outputs);
                let each = each.map(|(name, &id)| format!("`{name}` {}", shown(&self.graph.node(id).shape)));
                each.collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// Channels of the model's input.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.facts.input.first().copied().unwrap_or(3)
    }
}

/// What to read of a model: by its task, all outputs or one.
#[must_use]
pub fn wanted(task: Task, output: Option<&str>) -> Wanted {
    let output = output.map(str::to_owned);
    match task {
        Task::Classification => Wanted::Scores(output),
        Task::Fidelity => Wanted::Tensors(output),
    }
}

/// Reads a model file and what lies beside it. Its digest comes back even where the rest fails.
pub fn read(path: &Path, wanted: &Wanted) -> Result<(Digest, Result<ModelInputs, Diagnostic>), Diagnostic> {
    let bytes = files::read(path)?;
    let sha256 = Digest::of(&bytes);
    Ok((sha256, understand(path, &bytes, sha256, wanted)))
}

/// Operators of files in which other tools have put integers in the place of real numbers.
fn is_quantized(operator: &str) -> bool {
    let name = operator.strip_prefix("com.microsoft.").unwrap_or(operator);
    name.starts_with("QLinear")
        || ["ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "QGemm", "QuantizeLinear", "MatMulNBits"]
            .contains(&name)
}

/// A file that requant would have to be the author of.
fn quantized_already(path: &Path, operator: &str) -> Diagnostic {
    let message = format!("model `{}` is quantized already: it has `{operator}`", path.display());
    Diagnostic::error(Cause::Input, message).next(
        "name the float model that it was made of: requant quantizes that, and its `onnxruntime` rows run the result",
    )
}

/// Opens files of the model's own folder, and nothing that a link there leads out of it to.
fn beside(model: &Path) -> impl Fn(&Path) -> Result<Vec<u8>, String> {
    let folder = model.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    move |name| {
        let path = folder.join(name);
        let inside = folder.canonicalize().ok().zip(path.canonicalize().ok());
        if inside.is_some_and(|(folder, path)| !path.starts_with(folder)) {
            return Err("it is a link out of the model's folder".to_owned());
        }
        files::read(&path).map_err(|error| error.to_string())
    }
}

fn understand(path: &Path, bytes: &[u8], sha256: Digest, wanted: &Wanted) -> Result<ModelInputs, Diagnostic> {
    let told = |error: onnx::ImportError| {
        let problem = Diagnostic::error(Cause::Input, format!("model `{}`: {error}", path.display()));
        Diagnostic { next_step: error.next_step(), ..problem }
    };
    let outline = onnx::outline(bytes).map_err(told)?;
    if let Some(operator) = outline.operators.iter().find(|operator| is_quantized(operator)) {
        return Err(quantized_already(path, operator));
    }
    let open = beside(path);
    let model = onnx::read_model(bytes, &onnx::Reading { wanted: wanted.clone(), open: Some(&open) }).map_err(told)?;
    if let Some(problem) = not_numbers(&model.graph, "") {
        return Err(problem);
    }
    let outputs = match wanted {
        Wanted::Scores(_) => scores(&model.graph)?,
        Wanted::Tensors(_) => tensors(&model)?,
    };
    let facts = ModelFacts {
        sha256,
        bytes: bytes.len() as u64,
        producer: model.producer.clone(),
        opset: model.opset,
        input: model.graph.input_shape().unwrap_or_default(),
        outputs: if let Outputs::Tensors(names) = &outputs { names.clone() } else { Vec::new() },
        reading: reading(&model, wanted, &outputs),
    };
    let fp32_modules = census::modules(&model.graph);
    let (graph, patches) = pass::run_all(model.graph).map_err(|broken| {
        Diagnostic::error(Cause::Bug, broken.to_string()).next("please report it with the model's SHA-256")
    })?;
    // Finite parameters may fold to something else, as a variance below 0 does.
    if let Some(problem) = not_numbers(&graph, ", once its normalization is folded in,") {
        return Err(problem);
    }
    Ok(ModelInputs { facts, fp32_modules, graph, patches, outputs })
}

/// The output of a classifier.
fn scores(graph: &Graph) -> Result<Outputs, Diagnostic> {
    let count = graph.classes().ok_or_else(|| {
        let shape = shown(&graph.node(graph.output()).shape);
        let message = format!("the model's output is {shape}, not one score per class, [batch, classes]");
        let next = format!(
            "name the tensor that holds the classes' scores {}, or add the pooling and flattening to the model before \
             exporting; a model that is no classifier is judged with `task = \"fidelity\"`",
            onnx::NAME_OUTPUT
        );
        Diagnostic::error(Cause::Input, message).next(next)
    })?;
    let head = head::of(graph).map_err(|node| one_unclear_score(graph, node))?;
    Ok(Outputs::Scores { count, head })
}

/// Outputs of any shape, each with something for every image.
fn tensors(model: &onnx::Model) -> Result<Outputs, Diagnostic> {
    for (name, &id) in model.outputs.iter().zip(&model.graph.outputs) {
        let shape = &model.graph.node(id).shape;
        if shape.first() != Some(&Dim::Batch) {
            let message = format!("the model's output `{name}` is {}, and has nothing for each image", shown(shape));
            let next = format!("name another tensor {}", onnx::NAME_OUTPUT);
            return Err(Diagnostic::error(Cause::Input, message).next(next));
        }
    }
    Ok(Outputs::Tensors(model.outputs.clone()))
}

/// Weights that make every answer undefined. An infinite constant may be meant, as in a mask; an infinite weight is not.
fn not_numbers(graph: &Graph, when: &str) -> Option<Diagnostic> {
    graph.nodes.iter().find_map(|node| {
        let (what, tensor, bad) = node.op.tensors().into_iter().find_map(|(what, tensor)| {
            let is_bad = |value: &&f32| value.is_nan() || (what != "constant" && value.is_infinite());
            let bad: Vec<&f32> = tensor.as_f32()?.iter().filter(is_bad).collect();
            Some((what, tensor, bad)).filter(|(_, _, bad)| !bad.is_empty())
        })?;
        let values = tensor.shape().iter().product::<usize>();
        let message = format!(
            "the {what} of `{}` ({}){when} has {} of {values} values that are no finite number, the first {}",
            node.name,
            node.op.torch_name(),
            bad.len(),
            bad[0]
        );
        let next =
            "export the model again from a checkpoint that gives numbers: in training the loss may have diverged";
        Some(Diagnostic::error(Cause::Input, message).next(next))
    })
}

/// One score whose threshold is anybody's guess.
fn one_unclear_score(graph: &Graph, node: NodeId) -> Diagnostic {
    let Node { name, op, .. } = graph.node(node);
    let message = format!(
        "the model gives one score for two classes, and `{name}` ({}) leaves open where they part: after a sigmoid it is 0.5, \
         after a layer 0",
        op.torch_name()
    );
    let next = format!("name the tensor that the sigmoid or the last layer gives {}", onnx::NAME_OUTPUT);
    Diagnostic::error(Cause::Input, message).next(next)
}

/// What there is to know of how the file was read.
fn reading(model: &onnx::Model, wanted: &Wanted, outputs: &Outputs) -> Vec<Reading> {
    let mut found: Vec<Reading> = model
        .beside
        .iter()
        .map(|(file, content)| Reading::Beside {
            file: file.clone(),
            sha256: Digest::of(content),
            bytes: content.len() as u64,
        })
        .collect();
    let (Wanted::Scores(named) | Wanted::Tensors(named)) = wanted;
    found.extend(named.clone().map(|name| Reading::Output { name }));
    found.extend(model.pixels.channels_last.then_some(Reading::ChannelsLast));
    found.extend(model.pixels.bytes.then_some(Reading::Bytes));
    found.extend(normalization::of(&model.graph).map(|own| Reading::Normalizes {
        pixels: match own.pixels {
            Pixels::Bytes => PixelScale::Bytes,
            Pixels::Unit if model.pixels.bytes => PixelScale::Bytes,
            Pixels::Unit => PixelScale::Unit,
        },
        nodes: own.nodes.iter().map(|id| model.graph.node(*id).name.clone()).collect(),
    }));
    let types: Vec<String> = model.widened.iter().map(|&name| name.to_owned()).collect();
    found.extend((!types.is_empty()).then_some(Reading::Widened { types }));
    let one = outputs.head().filter(|head| *head != Head::Scores);
    found.extend(one.map(|head| Reading::OneScore { threshold: head.threshold() }));
    found
}

/// Of the files beside a model: that of the only one, or of the lines that `sha256sum` prints for them by name.
pub(crate) fn digest_beside(reading: &[Reading]) -> Option<Digest> {
    let files: Vec<(&String, &Digest)> = reading
        .iter()
        .filter_map(
            |reading| if let Reading::Beside { file, sha256, .. } = reading { Some((file, sha256)) } else { None },
        )
        .collect();
    match files.as_slice() {
        [] => None,
        [(_, sha256)] => Some(**sha256),
        several => {
            let lines: Vec<String> = several.iter().map(|(file, sha256)| format!("{sha256}  {file}\n")).collect();
            Some(Digest::of_parts(lines.iter().map(String::as_bytes)))
        }
    }
}

impl Look<'_> {
    pub(super) fn at_model(&mut self) -> Option<ModelInputs> {
        let settings = &self.resolved.manifest.model;
        let path = self.resolved.locate("model.path", &settings.path);
        if self.awaits_fetching("model.path", &path, settings.source.as_ref()) {
            return None;
        }
        let (digest, model) =
            self.keep("model.path", read(&path, &wanted(self.resolved.manifest.task, settings.output.as_deref())))?;
        self.holds("model.sha256", &format!("`{}`", path.display()), settings.sha256, digest);
        let model = self.keep("model.path", model)?;
        match (digest_beside(&model.facts.reading), settings.data_sha256) {
            (Some(found), pin) => self.holds("model.data_sha256", "the model's weights beside it", pin, found),
            (None, Some(_)) => {
                let problem = Diagnostic::error(Cause::Input, "the model keeps no weights beside it");
                self.problem("model.data_sha256", problem.next("remove `data_sha256`"));
            }
            (None, None) => {}
        }
        Some(model)
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
        let is_kernel = |node: &Node| matcher.is_match(&node.name) && matches!(node.op, Op::Layer(Layer::Conv { .. }));
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
