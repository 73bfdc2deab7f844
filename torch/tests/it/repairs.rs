//! From a collapse to its cause and its cure.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lab::{Bench, root};
use requant::backend::{self, Request};
use requant::base::files;
use requant::base::finding::Verdict;
use requant::codec::{Form, onnx, torchscript};
use requant::graph::op::{ConvGeometry, Layer, Layout, Weights};
use requant::graph::{Dim, Graph, Node, NodeId, Op, ReshapeDim, pass};
use requant::manifest::{Backend, Compute, Isa, Step};
use requant::quantize::equalize;
use requant::quantize::reach::ChannelReach;
use requant::record::Record;
use requant::record::format::Change;
use requant::record::store;
use requant::tensor::Tensor;

const ROBUST: (&str, &str) = ("recipe = \"fx-default\"", "recipe = \"robust\"");

/// The digits model with its residual streams rescaled, quantized by a recipe.
fn skewed(edits: &[(&str, &str)]) -> (Bench, Record) {
    let bench = Bench::new();
    let model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small-skewed.onnx")).unwrap();
    bench.digits_with_model(&model);
    let mut text = files::read_text(&bench.path("digits.toml")).unwrap();
    for (from, to) in edits {
        assert!(text.contains(from), "the manifest has no `{from}`");
        text = text.replace(from, to);
    }
    bench.put("digits.toml", text.as_bytes());
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let record = store::read(&bench.only_run("digits")).unwrap();
    (bench, record)
}

fn right(record: &Record, variant: usize) -> usize {
    record.variants[variant].measured().unwrap().classified().unwrap().correct
}

/// The fault bench follows every remedy that there is; here is what else can come of asking for one.
#[test]
fn a_remedy_is_written_once_and_overwrites_nothing() {
    let bench = Bench::new();
    let model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small-skewed.onnx")).unwrap();
    bench.digits_with_model(&model);
    // An exception from outside is part of what was tried.
    let outside = "quantize.layer=[{ match = \"classifier.3\", precision = \"fp32\" }]";
    let ended = bench.run(&["run", "digits.toml", "--set", outside]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("next: requant remedy results/digits/"), "{ended:?}");
    let record = store::read(&bench.only_run("digits")).unwrap();
    let ended = bench.run(&["remedy", "digits"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains("note: "), "{ended:?}");
    assert!(ended.stdout.contains("manifest: digits.remedy.toml"), "{ended:?}");
    assert!(ended.stdout.contains(&format!("requant diff {} digits-remedy", record.run.id)), "{ended:?}");
    let written = files::read_text(&bench.path("digits.remedy.toml")).unwrap();
    assert!(written.contains(&format!("# The remedy of run {}", record.run.id)), "{written}");
    assert!(written.contains("recipe = \"fx-default\"\nsteps = [\"equalize\"]"), "{written}");
    assert!(written.contains("match = \"classifier.3\"\nprecision = \"fp32\""), "{written}");
    // What is right already is left as it is, and what is somebody's is kept.
    assert_eq!(bench.run(&["remedy", "digits"]).code, Some(0));
    bench.put("digits.remedy.toml", b"# mine\n");
    let ended = bench.run(&["remedy", "digits"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("exists already and is another manifest"), "{ended:?}");
    assert_eq!(files::read(&bench.path("digits.remedy.toml")).unwrap(), b"# mine\n");
    // A record that was changed says nothing of remedies.
    files::remove(&bench.path("digits.remedy.toml")).unwrap();
    let path = bench.only_run("digits").join("record.json");
    let correct = format!("\"correct\": {}", right(&record, 1));
    let changed = files::read_text(&path).unwrap().replacen(&correct, &format!("{correct}0"), 1);
    files::write(&path, changed.as_bytes()).unwrap();
    let ended = bench.run(&["remedy", "digits"]);
    assert!(ended.code == Some(5) && !bench.path("digits.remedy.toml").exists(), "{ended:?}");
}

#[test]
fn where_nothing_was_lost_there_is_nothing_to_remedy() {
    let bench = Bench::new();
    bench.digits(&[]);
    assert_eq!(bench.run(&["run", "digits.toml"]).code, Some(0));
    let ended = bench.run(&["remedy", "digits"]);
    assert!(
        ended.code == Some(1) && ended.stdout.contains("no remedy is needed: nothing was surely lost"),
        "{ended:?}"
    );
    assert!(!bench.path("digits.remedy.toml").exists());
}

#[test]
fn a_collapse_names_unequal_channels_first() {
    let (bench, record) = skewed(&[]);
    assert_eq!((right(&record, 0), right(&record, 1)), (789, 424));
    let finding = record.findings.iter().find(|finding| finding.code == "channels").unwrap();
    assert_eq!(finding.verdict, Verdict::Fail);
    // The remedy is the change that was tried, with what it brought.
    assert!(finding.remedy.contains("set `quantize.steps = [\"equalize\"]` (tried: +46."), "{finding:?}");
    assert!(finding.remedy.contains("of 45.80 points lost, 95 % interval +"), "{finding:?}");
    let report = files::read_text(&bench.only_run("digits").join("report.md")).unwrap();
    lab::has_even_tables(&report);
    let diagnosis = report.split("## Diagnosis").nth(1).unwrap();
    let first = diagnosis.lines().find(|line| line.starts_with("| `")).unwrap();
    assert!(first.starts_with("| `channels` | FAIL |"), "{first}");
    // Undoing it gives back what was lost, and no other change does.
    let tried = &record.attribution.as_ref().unwrap().interventions;
    let gained = |change: Change| tried.iter().find(|tried| tried.change == change).unwrap().gained.value;
    assert!(gained(Change::Equalize) > 0.9 * gained(Change::Float), "{tried:?}");
    assert!(gained(Change::Percentile) < 0.1 * gained(Change::Float), "{tried:?}");
    assert!(finding.explains.unwrap() > 40.0, "{finding:?}");
    // A guilty layer is told from one that inherited its error: the readers of the stream lose by themselves.
    let evidence = |name: &str| {
        let layer = record.network.layers.iter().find(|layer| layer.name == name).unwrap();
        layer.evidence.clone().unwrap()
    };
    let reader = evidence("features.6.block.0.0");
    assert!(reader.local_sqnr_db.unwrap() < 15.0, "{reader:?}");
}

#[test]
fn the_robust_recipe_repairs_it_and_says_how() {
    let (bench, record) = skewed(&[ROBUST]);
    let (float, int8) = (right(&record, 0), right(&record, 1));
    assert!(float == 789 && int8 >= 785, "{int8} of 797 right, and the float network has {float}");
    let trials = &record.quantization.trials;
    assert_eq!(trials.iter().filter(|trial| trial.chosen).count(), 1);
    let chosen = trials.iter().find(|trial| trial.chosen).unwrap();
    assert!(chosen.steps.contains(&Step::Equalize), "{chosen:?}");
    assert!(trials.iter().all(|trial| trial.followed.divergence >= chosen.followed.divergence), "{trials:?}");
    assert_eq!(record.quantization.steps, chosen.steps);
    assert!(record.network.patches.iter().any(|patch| patch.pass == "equalize"));
    let finding = record.findings.iter().find(|finding| finding.code == "channels").unwrap();
    assert!(finding.is_clean(), "{finding:?}");
    // Bounded weights cannot saturate, so the kernels lose what the integers lose and little more.
    let parts = record.quantization.parts.as_ref().unwrap();
    assert!(parts.weights.divergence < parts.both.divergence, "{parts:?}");
    assert!(parts.kernels.divergence < 2.0 * parts.both.divergence, "{parts:?}");
    let report = files::read_text(&bench.only_run("digits").join("report.md")).unwrap();
    assert!(report.contains("| candidate | divergence (nats) |") && report.contains("| chosen |"), "{report}");
}

/// The same calibration, other samples to judge: not a bit of the artefact may change.
#[test]
fn what_is_evaluated_cannot_influence_the_choice() {
    let artefact = |rows: &str| {
        let pin = "sha256 = \"0b152313352992cb7a7b8fceead794dc2e89bc0b47bc8025ff85a5db3d6fa7ea\"";
        let (bench, record) = skewed(&[ROBUST, ("1000..1797", rows), (pin, "")]);
        let run = bench.only_run("digits");
        (files::read(&run.join("artefacts/int8_fbgemm_cpu.pt")).unwrap(), record.quantization)
    };
    let (first, second) = (artefact("1000..1300"), artefact("1500..1797"));
    assert!(first.0 == second.0, "another evaluation subset gave another artefact");
    assert_eq!(first.1, second.1);
}

#[test]
fn steps_can_be_listed_one_by_one() {
    let listed = |steps: &str| format!("recipe = \"fx-default\"\nsteps = [{steps}]");
    let float_operators = |record: &Record| record.network.float_operators.clone();
    let (_, equalized) = skewed(&[("recipe = \"fx-default\"", &listed("\"equalize\""))]);
    assert!(right(&equalized, 1) >= 780, "{}", right(&equalized, 1));
    assert_eq!(equalized.quantization.steps, [Step::Equalize]);
    assert_eq!(float_operators(&equalized), BTreeMap::new());
    let (_, stem) = skewed(&[("recipe = \"fx-default\"", &listed("\"float-stem\", \"equalize\""))]);
    assert_eq!(stem.quantization.steps, [Step::Equalize, Step::FloatStem]);
    assert_eq!(float_operators(&stem), BTreeMap::from([("Conv2d".into(), 1), ("Hardswish".into(), 1)]));
    let (_, products) = skewed(&[("recipe = \"fx-default\"", &listed("\"products-only\", \"equalize\""))]);
    // The stem and one depthwise convolution per block, three of them with a rectifier.
    assert_eq!(float_operators(&products)["Conv2d"] + float_operators(&products)["ConvReLU2d"], 12);
    assert!(right(&products, 1) >= 785, "{}", right(&products, 1));
}

/// What a run's variant answered, and by what margins.
fn answers(bench: &Bench, variant: &str) -> Vec<String> {
    let table = files::read(&bench.only_run("digits").join("predictions.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(table.as_slice());
    let own = |row: &csv::StringRecord| &row[2] == variant;
    rows.records().map(Result::unwrap).filter(own).map(|row| format!("{} {}", &row[3], &row[4])).collect()
}

#[test]
fn small_batches_go_their_own_way_through_one_archive() {
    let steps = |listed: &str| ("recipe = \"fx-default\"", format!("recipe = \"fx-default\"\nsteps = [{listed}]"));
    let two = "name = \"int8_single\"\nbackend = \"torch\"\nprecision = \"int8\"\nbatch_size = 1\n\n[[variant]]\nname = \"int8_fbgemm_cpu\"\nbatch_size = 8";
    let (from, both) = steps("\"equalize\", \"products-only\", \"fuse\", \"small-batches\", \"bound-weights\"");
    let (together, record) = skewed(&[(from, &both), ("name = \"int8_fbgemm_cpu\"", two)]);
    let of = |variant: &str| record.variants.iter().find(|v| v.name == variant).unwrap().measured().unwrap();
    assert_eq!(of("int8_single").artefact.sha256, of("int8_fbgemm_cpu").artefact.sha256);
    let timed = |variant: &str| of(variant).latency.iter().map(|latency| latency.batch).collect::<Vec<_>>();
    assert_eq!((timed("int8_single"), timed("int8_fbgemm_cpu")), (vec![1], vec![8]));
    for (variant, alone) in [
        ("int8_single", "\"equalize\", \"bound-weights\""),
        ("int8_fbgemm_cpu", "\"equalize\", \"products-only\", \"fuse\", \"bound-weights\""),
    ] {
        let (from, listed) = steps(alone);
        let (bench, _) = skewed(&[(from, &listed)]);
        assert_eq!(answers(&together, variant), answers(&bench, "int8_fbgemm_cpu"), "{variant}");
    }
    assert_ne!(answers(&together, "int8_single"), answers(&together, "int8_fbgemm_cpu"));
}

/// With `equalize` and `bound-weights`, and what else is said of quantization.
fn learned(steps: &str, rest: &str) -> (Bench, Record) {
    let listed = format!("recipe = \"fx-default\"\nsteps = [\"equalize\", \"bound-weights\", {steps}]\n{rest}");
    skewed(&[("recipe = \"fx-default\"", &listed)])
}

#[test]
fn rounding_is_learned_and_comes_to_the_same_twice() {
    let few = "adaround = { iterations = 20 }";
    let (first, record) = learned("\"adaround\"", few);
    let facts = record.quantization.rounding.as_ref().unwrap();
    assert_eq!((facts.layers, facts.learned), (54, 54));
    assert!(facts.improved > 40, "{facts:?}");
    assert!(right(&record, 1) >= 785, "{}", right(&record, 1));
    assert!(record.findings.iter().find(|finding| finding.code == "weights").unwrap().is_clean());
    // The weights are further from the float ones than the nearest, for the sake of what comes out.
    let (_, nearest) = learned("\"bias-correction\"", "");
    let mean = |record: &Record| {
        let weights = record.network.layers.iter().filter_map(|layer| layer.weight.as_ref()?.sqnr_db);
        weights.sum::<f64>() / 54.0
    };
    assert!(mean(&record) < mean(&nearest), "{} and {}", mean(&record), mean(&nearest));
    // No pair of weights leaves 16 bits for it: the kernels lose what the integers lose.
    let parts = record.quantization.parts.as_ref().unwrap();
    assert!(parts.kernels.divergence < 2.0 * parts.both.divergence, "{parts:?}");
    let artefact = |bench: &Bench| files::read(&bench.only_run("digits").join("artefacts/int8_fbgemm_cpu.pt")).unwrap();
    assert!(artefact(&first) == artefact(&learned("\"adaround\"", few).0), "another artefact the second time");
}

#[test]
fn learning_that_runs_out_of_time_says_so() {
    let (_, record) = learned("\"adaround\"", "adaround = { iterations = 2000, max_seconds = 1 }");
    let facts = record.quantization.rounding.as_ref().unwrap();
    assert!(facts.learned < facts.layers, "{facts:?}");
    let finding = record.findings.iter().find(|finding| finding.code == "weights").unwrap();
    assert!(
        finding.verdict == Verdict::Pass && finding.remedy.contains("quantize.adaround.max_seconds"),
        "{finding:?}"
    );
}

/// Layer after layer in the running network, so that a layer makes up for what came before it.
#[test]
fn biases_are_corrected_in_turn() {
    let (bench, record) = learned("\"sequential-bias-correction\"", "");
    let (other, _) = learned("\"bias-correction\"", "");
    assert!(right(&record, 1) >= 785, "{}", right(&record, 1));
    let patch = record.network.patches.iter().find(|patch| patch.pass == "sequential-bias-correction").unwrap();
    assert!(patch.reason.contains("54 integer layers"), "{patch:?}");
    let artefact = |bench: &Bench| files::read(&bench.only_run("digits").join("artefacts/int8_fbgemm_cpu.pt")).unwrap();
    assert!(artefact(&bench) != artefact(&other));
}

/// A network whose linear layer works on rows of features: its channels come last.
fn of_rows() -> Vec<u8> {
    let tensor = |shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|at| ((at * 7919 % 1009) as f32 / 1009.0 - 0.5) * 0.3).collect();
        Arc::new(Tensor::f32(shape.to_vec(), values).unwrap())
    };
    let weights =
        |shape: &[usize], bias: Option<usize>| Weights { weight: tensor(shape), bias: bias.map(|n| tensor(&[n])) };
    let geometry = ConvGeometry { stride: [8, 8], padding: [0, 0], dilation: [1, 1], groups: 1 };
    let mut graph = Graph::default();
    let shape = [Dim::Batch, Dim::Known(3), Dim::Known(32), Dim::Known(32)].to_vec();
    graph.nodes.push(Node { name: "input".into(), op: Op::Input, inputs: Vec::new(), shape });
    let layers = [
        ("stem", Op::Layer(Layer::Conv { weights: weights(&[24, 3, 8, 8], Some(24)), geometry, relu: false })),
        ("rows", Op::Layout(Layout::Reshape(vec![ReshapeDim::Batch, ReshapeDim::Known(24), ReshapeDim::Known(16)]))),
        ("first", Op::Layer(Layer::Linear { weights: weights(&[12, 16], Some(12)), relu: false })),
        ("second", Op::Layer(Layer::Linear { weights: weights(&[20, 12], None), relu: false })),
        ("flat", Op::Layout(Layout::Flatten { axis: 1 })),
        ("head", Op::Layer(Layer::Linear { weights: weights(&[10, 480], Some(10)), relu: false })),
    ];
    for (name, op) in layers {
        graph.outputs = vec![graph.push(name.into(), op, vec![graph.output()]).unwrap()];
    }
    onnx::write(&graph, Form::Float)
}

#[test]
fn layers_of_rows_are_corrected_and_learned_by_their_features() {
    let model = of_rows();
    let quality = |steps: &str| {
        let bench = Bench::new();
        bench.digits_with_model(&model);
        let text = files::read_text(&bench.path("digits.toml")).unwrap();
        let listed = format!("recipe = \"fx-default\"\nsteps = [{steps}]");
        bench.put("digits.toml", text.replace("recipe = \"fx-default\"", &listed).as_bytes());
        let ended = bench.run(&["run", "digits.toml"]);
        assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
        let record = store::read(&bench.only_run("digits")).unwrap();
        record.quantization.parts.unwrap().kernels.sqnr_db.unwrap()
    };
    let plain = quality("\"bound-weights\"");
    for steps in ["bias-correction", "sequential-bias-correction", "adaround"] {
        let better = quality(&format!("\"bound-weights\", \"{steps}\""));
        assert!(better > plain - 1.0, "{steps}: {better} dB after {plain} dB");
    }
}

/// Without VNNI, kernels add pairs of products in 16 bits. With bounded weights the fused ones lose what the
/// integers lose, and the float network fused has the same answers.
#[test]
fn fused_kernels_compute_what_the_integers_say() {
    let steps = "recipe = \"fx-default\"\nsteps = [\"equalize\", \"products-only\", \"fuse\", \"bound-weights\"]";
    let onednn = "precision = \"fp32\"\nengine = \"onednn\"";
    let (bench, record) = skewed(&[("recipe = \"fx-default\"", steps), ("precision = \"fp32\"", onednn)]);
    assert_eq!(right(&record, 0), 789);
    assert!(right(&record, 1) >= 785, "{}", right(&record, 1));
    let parts = record.quantization.parts.as_ref().unwrap();
    assert!(parts.kernels.divergence < 1.5 * parts.both.divergence, "{parts:?}");
    let source = files::read(&bench.only_run("digits").join("artefacts/int8_fbgemm_cpu.pt")).unwrap();
    let calls = |name: &str| source.windows(name.len()).filter(|window| *window == name.as_bytes()).count();
    assert_eq!((calls("ops.onednn.qconv2d_pointwise("), calls("ops.mkldnn._convolution_pointwise(")), (12, 12));
    // The last convolution of the first block is read by the next one alone, which takes bytes.
    assert_eq!(calls(", None, \"none\""), 1);
}

fn logits(graph: &Graph, input: &Tensor) -> Tensor {
    let archive = torchscript::write(graph, Form::Float).unwrap();
    backend::open(Request::float(Backend::Torch), &archive).unwrap().run(input).unwrap().remove(0)
}

fn reach(graph: &Graph, input: &Tensor) -> BTreeMap<NodeId, ChannelReach> {
    let watched = equalize::watched(graph);
    if watched.is_empty() {
        return BTreeMap::new();
    }
    let archive = torchscript::write(graph, Form::Taps(&watched)).unwrap();
    let seen = backend::open(Request::float(Backend::Torch), &archive).unwrap().run(input).unwrap();
    let mut found: BTreeMap<NodeId, ChannelReach> = BTreeMap::new();
    watched.iter().zip(seen).for_each(|(id, tensor)| found.entry(*id).or_default().observe(&tensor));
    found
}

/// Every network at hand computes the same to the bit after its channels were evened out.
#[test]
fn equalization_changes_no_bit_of_the_float_network() {
    crate::start(&Compute { threads: 1, isa: Isa::Native }).unwrap();
    let skewed = root().join("experiments/models/digits-mobilenet_v3_small-skewed.onnx");
    let mut rescaled = 0;
    for path in lab::zoo().into_iter().chain([skewed]) {
        rescaled += usize::from(evened(&path));
    }
    assert!(rescaled >= 6, "only {rescaled} networks had anything to rescale");
}

/// Whether anything was rescaled.
fn evened(path: &Path) -> bool {
    let (graph, _) = pass::run_all(onnx::read(&files::read(path).unwrap()).unwrap().graph).unwrap();
    let shape: Vec<usize> = std::iter::once(2).chain(graph.input_shape().unwrap()).collect();
    let count = shape.iter().product();
    let input =
        Tensor::f32(shape, (0..count).map(|at: usize| ((at * 7919) % 1000) as f32 / 500.0 - 1.0).collect()).unwrap();
    let (even, applied) = equalize::equalize(&graph, &reach(&graph, &input));
    assert!(logits(&graph, &input) == logits(&even, &input), "{} computes something else", path.display());
    // What is even already stays as it is.
    let (_, again) = equalize::equalize(&even, &reach(&even, &input));
    assert!(again.len() <= applied.len(), "{}: {again:?}", path.display());
    !applied.is_empty()
}
