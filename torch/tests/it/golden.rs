use std::path::{Path, PathBuf};

use requant::backend::{self, Request, Session};
use requant::base::files;
use requant::codec::{Form, onnx, torchscript};
use requant::dataset;
use requant::graph::op::Binary;
use requant::graph::{Graph, Op, pass};
use requant::manifest::{Backend, Compute, Dataset, Engine, Isa, Precision};
use requant::picture::{Image, Threads};
use requant::quantize::{Calibrator, Plan, Scheme, calibrate};
use requant::tensor::{Data, Tensor};
use safetensors::{Dtype, SafeTensors};

const BATCH: usize = 32;

const DIGITS: &str = r#"
format = "digits"
splits = { calibration = "0..512", evaluation = "1000..1797" }
preprocess = { resize = [32, 32], interpolation = "bilinear", antialias = false, mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }
"#;

/// The digits of a split, preprocessed, in batches of 32.
fn inputs(split: &str) -> Vec<Tensor> {
    let settings: Dataset = toml::from_str(DIGITS).unwrap();
    crate::start(&Compute { threads: 1, isa: Isa::Avx2 }).unwrap();
    let source = dataset::open(&settings, None, &dataset::Labels::Found).unwrap();
    let entries = source.split(split).unwrap();
    let images: Vec<Image> =
        entries.iter().map(|entry| source.decode(entry, &source.bytes(entry).unwrap()).unwrap()).collect();
    let batch =
        |chunk: &[Image]| backend::preprocess(Backend::Torch, chunk, &settings.preprocess, 3, Threads::All).unwrap();
    images.chunks(BATCH).map(batch).collect()
}

fn imported(path: &Path) -> Graph {
    onnx::read(&files::read(path).unwrap()).unwrap().graph
}

fn folded(path: &Path) -> Graph {
    pass::run_all(imported(path)).unwrap().0
}

fn open(archive: &[u8], precision: Precision) -> Box<dyn Session> {
    let engine = (precision == Precision::Int8).then_some(Engine::Fbgemm);
    backend::open(Request { precision, engine, ..Request::float(Backend::Torch) }, archive).unwrap()
}

fn logits(session: &mut dyn Session, inputs: &[Tensor]) -> Vec<f32> {
    let outputs = inputs.iter().map(|input| session.run(input).unwrap().remove(0));
    outputs.flat_map(|output| output.as_f32().unwrap().to_vec()).collect()
}

/// FX's name of a node: the module path with underscores; functions are numbered by kind.
fn fx_names(graph: &Graph) -> Vec<String> {
    let (mut adds, mut muls) = (0, 0);
    let numbered = |kind: &str, counter: &mut usize| {
        *counter += 1;
        if *counter == 1 { kind.to_owned() } else { format!("{kind}_{}", *counter - 1) }
    };
    let name = |op: &Op, name: &str, adds: &mut usize, muls: &mut usize| match op {
        Op::Input => "x".to_owned(),
        Op::Binary(Binary::Add { .. }) => numbered("add", adds),
        Op::Binary(Binary::Mul { .. }) => numbered("mul", muls),
        _ => name.replace('.', "_"),
    };
    graph.nodes.iter().map(|node| name(&node.op, &node.name, &mut adds, &mut muls)).collect()
}

#[test]
fn fx_default_reproduces_pytorch_to_the_bit() {
    let model = lab::root().join("experiments/models/digits-mobilenet_v3_small.onnx");
    let fixture = lab::root().join("tests/fixtures/golden/digits-mobilenet_v3_small-fx-fbgemm");
    lab::under_avx2("golden::fx_default_reproduces_pytorch_to_the_bit", || check_against(&model, &fixture, [110, 54]));
}

/// The fixtures are in the repository, with the script that made them; `counts` as for [`check_against`].
fn committed(test: &str, name: &str, counts: [usize; 2]) {
    let folder = lab::root().join("tests/fixtures/golden");
    let (model, fixture) = (folder.join(format!("{name}.onnx")), folder.join(format!("{name}-fx-fbgemm")));
    lab::under_avx2(&format!("golden::{test}"), || check_against(&model, &fixture, counts));
}

#[test]
fn fx_default_reproduces_a_residual_network_to_the_bit() {
    committed("fx_default_reproduces_a_residual_network_to_the_bit", "digits-resnet", [25, 16]);
}

#[test]
fn fx_default_reproduces_inverted_residuals_to_the_bit() {
    committed("fx_default_reproduces_inverted_residuals_to_the_bit", "digits-mobilenet_v2", [45, 23]);
}

#[test]
fn fx_default_reproduces_pooling_and_linear_layers_to_the_bit() {
    committed("fx_default_reproduces_pooling_and_linear_layers_to_the_bit", "digits-vgg", [15, 9]);
}

/// What PyTorch gives on this CPU. It computes linear layers of the float network with MKL, which has other kernels for
/// Intel's CPUs than for AMD's: the ranges after them and the logits differ in their last bits.
fn of_this_cpu(fixture: &Path) -> PathBuf {
    let cpu = requant::record::host::facts().cpu;
    let makers = [("AMD", ""), ("Intel", "-intel")];
    let maker = makers.iter().find(|(maker, _)| cpu.contains(maker));
    let (_, ending) =
        maker.unwrap_or_else(|| panic!("nobody has run PyTorch on {cpu}: `networks.py` makes its fixtures"));
    with_ending(fixture, ending)
}

fn with_ending(fixture: &Path, ending: &str) -> PathBuf {
    let name = fixture.file_name().unwrap().to_str().unwrap();
    fixture.with_file_name(format!("{name}{ending}"))
}

/// `counts` of activations and of layers with weights, so that none is left out.
fn check_against(model: &Path, fixture: &Path, counts: [usize; 2]) {
    let stored = files::read(&with_ending(fixture, ".safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&stored).unwrap();
    let answers = of_this_cpu(fixture);
    let facts: serde_json::Value =
        serde_json::from_slice(&files::read(&with_ending(&answers, ".json")).unwrap()).unwrap();
    let answers = files::read(&with_ending(&answers, ".safetensors")).unwrap();
    let answers = SafeTensors::deserialize(&answers).unwrap();
    let graph = folded(model);

    let evaluation = inputs("evaluation");
    if golden.names().contains(&"input") {
        assert!(evaluation[0] == lab::floats(&golden, "input"), "preprocessing differs from PyTorch's");
    }

    // The golden FP32 logits come from the model with its batch normalization still in place.
    let unfolded = torchscript::write(&imported(model), Form::Float).unwrap();
    let mut float = open(&unfolded, Precision::Fp32);
    assert!(
        logits(&mut *float, &evaluation) == lab::floats(&answers, "fp32_logits").as_f32().unwrap(),
        "FP32 logits differ"
    );

    let rules = vec![requant::quantize::LayerRule::default(); graph.nodes.len()];
    let plan = Plan::new(&graph, &Scheme::fx(), &rules);
    let taps = plan.taps();
    let mut tapped = open(&torchscript::write(&graph, Form::Taps(&taps)).unwrap(), Precision::Fp32);
    let float_bytes = torchscript::write(&graph, Form::Float).unwrap().len();
    let tapped_bytes = torchscript::write(&graph, Form::Taps(&taps)).unwrap().len();
    assert!(tapped_bytes < float_bytes + 8192, "taps store weights again: {tapped_bytes} against {float_bytes}");
    let mut calibrator = Calibrator::new(&plan);
    for batch in inputs("calibration") {
        tapped.watch(&batch, &mut |taps| calibrator.observe(taps)).unwrap();
    }
    let quantization = calibrate::quantize(&graph, &plan, &Scheme::fx(), &calibrator.finish()).unwrap();

    let names = fx_names(&graph);
    let activations = facts["activations"].as_object().unwrap();
    let mut matched = 0;
    let mut wrong = Vec::new();
    for (name, expected) in activations {
        // PyTorch's dropout module is not in an exported file; it passes its input's parameters on.
        let is_dropout = name == "classifier_2" && !names.contains(name);
        let name = if is_dropout { "classifier_1" } else { name };
        let node = names.iter().position(|candidate| candidate == name).unwrap_or_else(|| panic!("no node `{name}`"));
        let found = quantization.activations[node].unwrap();
        if expected["scale"].as_f64() == Some(found.scale)
            && expected["zero_point"].as_i64() == Some(found.zero_point.into())
        {
            matched += 1;
        } else {
            wrong.push(format!("{name}: {expected} but found {found:?}"));
        }
    }
    assert_eq!((matched, &wrong), (counts[0], &Vec::new()), "activation parameters");

    let mut weights = 0;
    for (id, int) in &quantization.weights {
        let name = &graph.node(*id).name;
        let view = golden.tensor(&format!("{name}.int8")).unwrap();
        assert_eq!(int.values.data(), &Data::I8(view.data().iter().map(|b| b.cast_signed()).collect()), "{name}");
        let scales = golden.tensor(&format!("{name}.scales")).unwrap();
        assert_eq!(scales.dtype(), Dtype::F64);
        let expected: Vec<f64> = scales.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        assert_eq!(int.scales, expected, "{name}");
        let bias = graph.node(*id).op.weights().unwrap().bias.as_ref().unwrap();
        assert!(**bias == lab::floats(&golden, &format!("{name}.bias")), "{name} bias");
        weights += 1;
    }
    assert_eq!(weights, counts[1]);

    let archive = torchscript::write(&graph, Form::Int8(&quantization)).unwrap();
    let again = torchscript::write(&graph, Form::Int8(&quantization)).unwrap();
    assert!(archive == again, "the archive's bytes depend on more than the graph");
    let mut int8 = open(&archive, Precision::Int8);
    assert!(
        logits(&mut *int8, &evaluation) == lab::floats(&answers, "int8_logits").as_f32().unwrap(),
        "INT8 logits differ"
    );
}

#[test]
fn the_skewed_model_has_the_same_fp32_logits() {
    let plain = lab::root().join("experiments/models/digits-mobilenet_v3_small.onnx");
    let skewed = plain.with_file_name("digits-mobilenet_v3_small-skewed.onnx");
    lab::under_avx2("golden::the_skewed_model_has_the_same_fp32_logits", || {
        let evaluation = inputs("evaluation");
        let run = |path: &Path| {
            let archive = torchscript::write(&folded(path), Form::Float).unwrap();
            logits(&mut *open(&archive, Precision::Fp32), &evaluation)
        };
        assert!(run(&plain) == run(&skewed));
    });
}
