//! Networks that are judged by their outputs: two of different ranks, on every engine, one of them damaged on purpose.

use std::path::PathBuf;
use std::sync::Arc;

use lab::Bench;
use requant::backend::{self, Availability, Request};
use requant::base::files;
use requant::base::finding::Verdict;
use requant::codec::{Form, onnx};
use requant::graph::op::{Layer, Weights};
use requant::graph::{Graph, NodeId, Op, pass};
use requant::manifest::{Backend, Choice as _};
use requant::record::format::Measured;
use requant::record::{Record, store};
use requant::tensor::Tensor;

fn is_here(backend: Backend) -> bool {
    // libtorch is in another program, which this test starts.
    if backend == Backend::Torch {
        return lab::has_libtorch();
    }
    let Availability::Missing { why, .. } = backend::probe(Request::float(backend)) else { return true };
    assert!(std::env::var_os("CI").is_none(), "{backend} is missing, and CI must not skip: {why}");
    lab::skip(&format!("outputs on {backend}: {why}"));
    false
}

/// A convolution with its activation, and the only one that reads it.
struct Pair {
    first: NodeId,
    second: NodeId,
}

/// The last such pair of a plain network.
fn pair(graph: &Graph) -> Pair {
    let users = graph.users();
    let is_conv =
        |id: NodeId, wanted: bool| matches!(graph.node(id).op, Op::Layer(Layer::Conv { relu, .. }) if relu || !wanted);
    let read = |first: NodeId| match users[first.0].as_slice() {
        &[second] if is_conv(second, false) => Some(Pair { first, second }),
        _ => None,
    };
    graph.ids().rev().filter(|id| is_conv(*id, true)).find_map(read).expect("two convolutions in a row")
}

/// A network with two outputs: the scores, and the feature map that the last pair of convolutions reads. Where it is
/// damaged, one channel between the two is 4096 times smaller, and what reads it undoes that: in float nothing changes, and
/// in integers the second of them keeps nothing but that channel's weights.
fn model(is_damaged: bool) -> (Vec<u8>, String) {
    let path = lab::root().join("tests/fixtures/golden/digits-vgg.onnx");
    let (mut graph, _) = pass::run_all(onnx::read(&files::read(&path).unwrap()).unwrap().graph).unwrap();
    let Pair { first, second } = pair(&graph);
    let features = graph.node(first).inputs[0];
    graph.outputs.push(features);
    if is_damaged {
        scale(&mut graph, first, |place, row, _| if place / row == 1 { 1.0 / 4096.0 } else { 1.0 });
        let kernel = weights(&graph, second).weight.shape()[2..].iter().product::<usize>();
        scale(
            &mut graph,
            second,
            |place, row, is_bias| {
                if !is_bias && place % row / kernel == 1 { 4096.0 } else { 1.0 }
            },
        );
    }
    (onnx::write(&graph, Form::Float), graph.node(second).name.clone())
}

fn weights(graph: &Graph, id: NodeId) -> &Weights {
    let Op::Layer(Layer::Conv { weights, .. }) = &graph.node(id).op else { panic!("a convolution") };
    weights
}

/// Multiplies a convolution's weights and biases; `by` is given a place, the values of an output channel, and whether it is
/// about biases.
fn scale(graph: &mut Graph, id: NodeId, by: impl Fn(usize, usize, bool) -> f32) {
    let Op::Layer(Layer::Conv { weights, .. }) = &mut graph.nodes[id.0].op else { panic!("a convolution") };
    let scaled = |tensor: &Tensor, row: usize, is_bias: bool| {
        let values = tensor.as_f32().unwrap().iter().enumerate();
        let values = values.map(|(place, value)| value * by(place, row, is_bias)).collect();
        Arc::new(Tensor::f32(tensor.shape().to_vec(), values).unwrap())
    };
    let row = weights.weight.shape()[1..].iter().product();
    weights.weight = scaled(&weights.weight, row, false);
    weights.bias = weights.bias.as_ref().map(|bias| scaled(bias, 1, true));
}

/// The demo's data, the model of two outputs, judged by them on one backend.
fn manifest(bench: &Bench, backend: Backend, is_damaged: bool, edits: &[(&str, &str)]) -> PathBuf {
    let word = format!("backend = \"{}\"", backend.word());
    let mut own = vec![
        ("description = ", "task = \"fidelity\"\ndescription = "),
        ("max_accuracy_drop = 1.0", "min_sqnr_db = 15.0"),
        ("strategy = \"all\"", "strategy = \"first\"\nsamples = 200"),
        ("sha256 = \"0b152313352992cb7a7b8fceead794dc2e89bc0b47bc8025ff85a5db3d6fa7ea\"\n", ""),
        ("sha256 = \"34637014702298f41e57baf054bbd1473946cebb1190ec0c8c187b3c0e70425f\"\n", ""),
        ("sha256 = \"4f8cb41f99f11d37bd1e62b920f319374025f76f375172d80eb75cf4ba8423df\"", ""),
    ];
    if backend != Backend::Torch {
        own.extend([("backend = \"torch\"", word.as_str()), ("engine = \"fbgemm\"\n", ""), ("isa = \"avx2\"", "#")]);
    }
    let path = bench.digits(&[&own, edits].concat());
    bench.put("models/digits-mobilenet_v3_small.onnx", &model(is_damaged).0);
    let pinned = bench.run(&["pin", "digits.toml"]);
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    path
}

fn run(bench: &Bench) -> Record {
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    store::read(&bench.only_run("digits")).unwrap()
}

fn ratios(record: &Record, variant: usize) -> Vec<(String, f64)> {
    let fidelity = record.variants[variant].measured().and_then(Measured::fidelity).unwrap();
    fidelity.outputs.iter().map(|own| (own.name.clone(), own.sqnr_db.unwrap().value)).collect()
}

fn judges_two_outputs(backend: Backend) {
    if !is_here(backend) {
        return;
    }
    let bench = Bench::new();
    manifest(&bench, backend, false, &[]);
    let record = run(&bench);
    assert_eq!(record.verdict, Verdict::Pass, "{:?} {:?}", record.goals, record.findings);
    let healthy = ratios(&record, 1);
    assert!(healthy.len() == 2 && healthy.iter().all(|(_, db)| *db > 18.0), "{healthy:?}");
    assert!(ratios(&record, 0).is_empty(), "the baseline is compared with nothing");
    let run = bench.only_run("digits");
    let folder = run.to_str().unwrap();
    for (verb, more) in [("verify", &[][..]), ("rerun", &["--to", "accuracy"])] {
        let ended = bench.run(&[&[verb, folder], more].concat());
        assert_eq!(ended.code, Some(0), "{verb}: {ended:?}");
    }
    // A sum that was changed no longer gives the record's figures.
    let outputs = run.join("outputs.csv");
    let table = files::read_text(&outputs).unwrap();
    let last = table.lines().last().unwrap();
    let cells: Vec<&str> = last.split(',').collect();
    let changed = table.replace(last, &last.replace(cells[4], "12.5"));
    files::replace(&outputs, changed.as_bytes()).unwrap();
    let tampered = bench.run(&["verify", folder]);
    assert!(tampered.code == Some(5) && tampered.stderr.contains("does not follow from it"), "{tampered:?}");
}

#[test]
fn two_outputs_are_judged_on_libtorch() {
    judges_two_outputs(Backend::Torch);
}

#[test]
fn two_outputs_are_judged_on_onnxruntime() {
    judges_two_outputs(Backend::Onnxruntime);
}

#[test]
fn two_outputs_are_judged_on_openvino() {
    judges_two_outputs(Backend::Openvino);
}

fn names_the_damage(backend: Backend) {
    if !is_here(backend) {
        return;
    }
    let bench = Bench::new();
    manifest(&bench, backend, true, &[]);
    let record = run(&bench);
    assert_eq!(record.verdict, Verdict::Fail);
    let damaged = ratios(&record, 1);
    let (scores, features) = (&damaged[0], &damaged[1]);
    assert!(features.1 > 18.0 && scores.1 < 15.0, "{damaged:?}");
    let layers = record.findings.iter().find(|finding| finding.code == "layers").unwrap();
    let evidence = layers.evidence.join("; ");
    assert!(evidence.contains(&format!("`{}` loses most", scores.0)), "{evidence}");
    let (_, layer) = model(true);
    assert!(evidence.contains(&format!("`{layer}`")), "{layer}: {evidence}");
    // What helps is named with what it was measured to bring.
    let attribution = record.attribution.as_ref().unwrap();
    assert!(attribution.interventions.len() > 10, "{attribution:?}");
    let cured = record.findings.iter().any(|own| own.remedy.contains("of the error gone"));
    assert!(cured, "{:?}", record.findings);
    let run = bench.only_run("digits");
    let remedied = bench.run(&["remedy", run.to_str().unwrap()]);
    assert_eq!(remedied.code, Some(0), "{remedied:?}");
    let again = bench.run(&["run", "digits.remedy.toml"]);
    assert!(matches!(again.code, Some(0 | 1 | 3)), "{again:?}");
    let homes = files::list(&bench.path("results")).unwrap();
    let home = homes.iter().find(|name| name.contains("remedy")).unwrap();
    let after = store::read(&bench.only_run(home)).unwrap();
    assert!(ratios(&after, 1)[0].1 > scores.1 + 3.0, "{:?} after {damaged:?}", ratios(&after, 1));
    let diff = bench.run(&["diff", run.to_str().unwrap(), bench.only_run(home).to_str().unwrap()]);
    assert!(diff.stdout.contains(&format!("SQNR of `{}`", scores.0)), "{diff:?}");
}

#[test]
fn the_layer_and_the_output_that_lose_most_are_named_on_libtorch() {
    names_the_damage(Backend::Torch);
}

#[test]
fn the_layer_and_the_output_that_lose_most_are_named_on_onnxruntime() {
    names_the_damage(Backend::Onnxruntime);
}

#[test]
fn keys_of_another_task_are_refused() {
    let bench = Bench::new();
    bench.digits(&[("max_accuracy_drop = 1.0", "min_sqnr_db = 20.0")]);
    let refused = bench.run(&["check", "digits.toml"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("is of `task = \"fidelity\"`"), "{refused:?}");
    bench.digits(&[("description = ", "task = \"fidelity\"\ndescription = ")]);
    let refused = bench.run(&["check", "digits.toml"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("is of `task = \"classification\"`"), "{refused:?}");
}

#[test]
fn the_layer_and_the_output_that_lose_most_are_named_on_openvino() {
    names_the_damage(Backend::Openvino);
}

#[test]
fn robust_takes_what_keeps_the_outputs_closest() {
    if !is_here(Backend::Onnxruntime) {
        return;
    }
    let bench = Bench::new();
    manifest(&bench, Backend::Onnxruntime, true, &[("recipe = \"fx-default\"", "recipe = \"robust\"")]);
    let record = run(&bench);
    let trials = &record.quantization.trials;
    let best = trials.iter().find(|trial| trial.chosen).unwrap();
    assert!(trials.iter().all(|trial| trial.followed.divergence >= best.followed.divergence), "{trials:?}");
    // Equal channels cure the damage.
    assert!(trials[0].followed.divergence > 4.0 * best.followed.divergence, "{trials:?}");
    assert!(ratios(&record, 1).iter().all(|(_, db)| *db > 15.0), "{:?}", ratios(&record, 1));
}

#[test]
fn a_sweep_is_compared_by_the_output_that_keeps_least() {
    if !is_here(Backend::Onnxruntime) {
        return;
    }
    let bench = Bench::new();
    manifest(&bench, Backend::Onnxruntime, false, &[]);
    let grid = "schema = 1\nname = \"grid\"\n\n[sweep]\nbase = \"digits.toml\"\n\n[sweep.cross]\nquantize.recipe = [\"fx-default\", \"mse\"]\n";
    bench.put("grid.toml", grid.as_bytes());
    let ended = bench.run(&["sweep", "grid.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let home = bench.path("results/grid");
    let sweep = files::list(&home).unwrap().into_iter().find(|name| name.starts_with("sweep-")).unwrap();
    let table = files::read_text(&home.join(&sweep).join("sweep.csv")).unwrap();
    assert!(table.lines().next().unwrap().ends_with(",sqnr_db,sqnr_db_low,sqnr_db_high"), "{table}");
    let ratio = |line: &str| line.rsplit(',').nth(2)?.parse().ok();
    let ratios: Vec<f64> = table.lines().skip(1).filter_map(ratio).collect();
    assert!(ratios.len() == 2 && ratios.iter().all(|db| *db > 10.0), "{table}");
    let page = files::read_text(&home.join(&sweep).join("sweep.md")).unwrap();
    assert!(page.contains("## SQNR against speed") && page.contains("fastest that keeps at least 20 dB"), "{page}");
    lab::has_even_tables(&page);
    let verified = bench.run(&["verify", home.join(&sweep).to_str().unwrap()]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn a_folder_of_images_without_labels_becomes_a_run() {
    if !is_here(Backend::Onnxruntime) {
        return;
    }
    let bench = Bench::new();
    bench.put("model.onnx", &model(false).0);
    for number in 0..40 {
        bench.put(&format!("photos/{}/{number}.png", number % 3), &lab::square_picture(number, 32));
    }
    bench.put("photos/0/notes.txt", b"no image");
    let asked = ["new", "boxes", "--task", "fidelity", "--model", "model.onnx", "--data", "photos", "--backend"];
    let made = bench.run(&[&asked[..], &["onnxruntime"]].concat());
    assert!(made.code == Some(0) && made.stdout.contains("1 .txt file"), "{made:?}");
    let checked = bench.run(&["check", "boxes.toml"]);
    assert!(checked.stdout.contains("images, without labels"), "{checked:?}");
    let short = ["--set", "benchmark.rounds=2", "--set", "benchmark.max_rounds=2", "--set", "benchmark.processes=1"];
    let ended = bench.run(&[&["run", "boxes.toml"][..], &short[..]].concat());
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let folder = bench.only_run("boxes");
    let record = store::read(&folder).unwrap();
    assert_eq!(record.inputs.model.outputs.len(), 2);
    lab::has_even_tables(&files::read_text(&folder.join("report.md")).unwrap());
    let labelled = files::read_text(&bench.path("boxes.toml")).unwrap().replace("task = \"fidelity\"\n", "");
    bench.put("labelled.toml", labelled.as_bytes());
    let refused = bench.run(&["check", "labelled.toml"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("has no labels"), "{refused:?}");
}
