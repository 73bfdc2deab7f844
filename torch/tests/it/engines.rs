//! One network on every engine at hand. An engine that is not here is skipped, and counted.

use lab::Bench;
use requant::backend::{self, Availability, Request};
use requant::base::files;
use requant::codec::{Form, onnx, torchscript};
use requant::graph::pass;
use requant::manifest::{Backend, Compute, Isa, Precision};
use requant::record::format::{Agreement, VariantResult};
use requant::record::store;
use requant::tensor::Tensor;

const OTHERS: [Backend; 2] = [Backend::Onnxruntime, Backend::Openvino];

fn request(backend: Backend, precision: Precision) -> Request {
    Request { precision, ..Request::float(backend) }
}

/// The engines that are here, besides libtorch.
fn here() -> Vec<Backend> {
    let ready = |backend: &Backend| match backend::probe(request(*backend, Precision::Fp32)) {
        Availability::Ready { .. } => true,
        Availability::Missing { why, remedy } => {
            lab::skip(&format!("{backend}: {why}; {remedy}"));
            false
        }
    };
    OTHERS.into_iter().filter(ready).collect()
}

fn rows(variants: &[(&str, Backend, &str)]) -> String {
    let row = |(name, backend, precision): &(&str, Backend, &str)| {
        format!("[[variant]]\nname = \"{name}\"\nbackend = \"{backend}\"\nprecision = \"{precision}\"\n\n")
    };
    variants.iter().map(row).collect()
}

#[test]
fn every_zoo_model_gives_the_same_logits_on_every_engine() {
    crate::start(&Compute { threads: 1, isa: Isa::Native }).unwrap();
    for backend in here() {
        for path in lab::zoo() {
            let name = path.display();
            let graph = pass::run_all(onnx::read(&files::read(&path).unwrap()).unwrap().graph).unwrap().0;
            let shape: Vec<usize> = std::iter::once(3).chain(graph.input_shape().unwrap()).collect();
            let count = shape.iter().product::<usize>();
            let input = (0..count).map(|at| ((at * 37 % 101) as f32 - 50.0) / 25.0).collect();
            let input = Tensor::f32(shape, input).unwrap();
            let archive = torchscript::write(&graph, Form::Float).unwrap();
            let should =
                backend::open(Request::float(Backend::Torch), &archive).unwrap().run(&input).unwrap().remove(0);
            let written = onnx::write(&graph, Form::Float);
            let mut session = backend::open(request(backend, Precision::Fp32), &written).unwrap();
            let is = session.run(&input).unwrap().remove(0);
            assert_eq!(should.shape(), is.shape(), "{backend} {name}");
            let values = |tensor: &Tensor| tensor.as_f32().unwrap().to_vec();
            let most = values(&should).iter().fold(1.0, |most: f32, x| most.max(x.abs()));
            let far = values(&should).iter().zip(values(&is)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far <= 1e-4 * most, "{backend} {name}: {far} of {most}");
        }
    }
}

#[test]
fn engines_are_rows_of_one_run() {
    let engines = here();
    if engines.is_empty() {
        return;
    }
    let bench = Bench::new();
    bench.digits(&[
        ("rounds = 2", "rounds = 1"),
        ("recipe = \"fx-default\"", "recipe = \"fx-default\"\nsteps = [\"bound-weights\"]"),
    ]);
    let mut text = files::read_text(&bench.path("digits.toml")).unwrap();
    for backend in &engines {
        let (float, int8) = (format!("fp32_{backend}"), format!("int8_{backend}"));
        let more = rows(&[(&float, *backend, "fp32"), (&int8, *backend, "int8")]);
        text = text.replacen("[compute]", &format!("{more}[compute]"), 1);
    }
    bench.put("digits.toml", text.as_bytes());
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let run = bench.only_run("digits");
    let record = store::read(&run).unwrap();
    let measured = |variant: &&VariantResult| variant.measured().is_some();
    assert_eq!(record.variants.iter().filter(measured).count(), 2 + 2 * engines.len(), "{:?}", record.variants);
    for variant in record.variants.iter().filter(measured) {
        let measured = variant.measured().unwrap();
        assert!(run.join(&measured.artefact.path).is_file());
        // What was timed is what was judged.
        assert!(measured.timing_checks.iter().all(|check| check.passes == check.identical), "{variant:?}");
        assert!(measured.classified().unwrap().correct >= 780, "{variant:?}");
    }
    // FP32 is FP32 on each, and INT8 of one quantization loses no accuracy by the engine.
    let pairs = engines.len() * (engines.len() + 1);
    assert_eq!(record.agreements.len(), pairs);
    for pair in &record.agreements {
        match pair.precision {
            Precision::Fp32 => {
                assert_eq!(pair.agreeing, pair.samples, "{pair:?}");
                assert!(pair.largest_difference < 1e-3, "{pair:?}");
            }
            _ => assert!(pair.agreeing * 100 >= pair.samples * 98, "{pair:?}"),
        }
    }
    // Where they part is a layer of the network, and only engines that differ do.
    let parting = |pair: &Agreement| pair.parting.as_ref().map(|parting| parting.layer.clone());
    for layer in record.agreements.iter().filter_map(parting) {
        assert!(
            record.network.layers.iter().any(|known| known.name == layer && known.float_because.is_none()),
            "{layer}"
        );
    }
    assert!(record.agreements.iter().filter(|pair| pair.precision == Precision::Fp32).all(|p| p.parting.is_none()));
    let finding = record.findings.iter().find(|finding| finding.code == "agreement").unwrap();
    assert!(finding.is_clean() && finding.evidence.len() == pairs, "{finding:?}");
    let report = files::read_text(&run.join("report.md")).unwrap();
    assert!(report.contains("### Do the engines agree"), "{report}");
}

#[test]
fn engines_that_saturate_part_where_they_do() {
    let engines = here();
    if engines.is_empty() {
        return;
    }
    if !std::is_x86_feature_detected!("avx512vnni") && !std::is_x86_feature_detected!("avxvnni") {
        return lab::skip("no VNNI: every engine saturates here");
    }
    let bench = Bench::new();
    // Nothing keeps these weights from leaving 16 bits in libtorch's AVX2 kernels; the others use VNNI.
    bench.digits(&[
        ("rounds = 2", "rounds = 1"),
        ("recipe = \"fx-default\"", "recipe = \"minmax\"\nreduce_range = false"),
    ]);
    let mut text = files::read_text(&bench.path("digits.toml")).unwrap();
    text = text.replacen("[compute]", &format!("{}[compute]", rows(&[("int8_other", engines[0], "int8")])), 1);
    bench.put("digits.toml", text.as_bytes());
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let record = store::read(&bench.only_run("digits")).unwrap();
    let parting = record.agreements[0].parting.as_ref().unwrap();
    assert!(parting.differing > 0.0 && parting.most > 0, "{parting:?}");
    let told = record.findings.iter().find(|finding| finding.code == "agreement").unwrap();
    assert!(told.evidence[0].contains(&format!("they part at `{}`", parting.layer)), "{told:?}");
}
