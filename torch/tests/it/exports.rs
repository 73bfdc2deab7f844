//! Networks as files for other engines: written, read again, and refused where they are not what a run recorded.

use std::path::Path;
use std::process::Command;

use lab::{Bench, root};
use requant::backend::{self, Availability, Request};
use requant::base::files;
use requant::codec::{Form, Inputs, onnx, torchscript};
use requant::graph::op::{Layout, Pool, PoolGeometry, Unary};
use requant::graph::quantization::{FloatReason, Placement, Quantization};
use requant::graph::{Dim, Graph, Node, NodeId, Op, ReshapeDim, pass};
use requant::manifest::{Backend, Compute, Isa};
use requant::quantize::{Calibrator, LayerRule, Plan, Scheme, calibrate};
use requant::tensor::Tensor;

fn imported(path: &Path) -> Graph {
    pass::run_all(onnx::read(&files::read(path).unwrap()).unwrap().graph).unwrap().0
}

/// Every network at hand: those of the zoo and those that are committed.
fn networks() -> Vec<std::path::PathBuf> {
    let own = root().join("experiments/models/digits-mobilenet_v3_small.onnx");
    lab::zoo().into_iter().chain([own]).collect()
}

fn samples(graph: &Graph, count: usize) -> Tensor {
    let shape: Vec<usize> = std::iter::once(count).chain(graph.input_shape().unwrap()).collect();
    let values = (0..shape.iter().product::<usize>()).map(|at| ((at * 37 % 101) as f32 - 50.0) / 25.0).collect();
    Tensor::f32(shape, values).unwrap()
}

fn answers(graph: &Graph, form: Form<'_>, input: &Tensor) -> Tensor {
    let archive = torchscript::write(graph, form).unwrap();
    backend::open(Request::float(Backend::Torch), &archive).unwrap().run(input).unwrap().remove(0)
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.name.as_str()).collect()
}

#[test]
fn a_float_network_is_the_same_after_it_was_written_and_read() {
    crate::start(&Compute { threads: 1, isa: Isa::Native }).unwrap();
    for path in networks() {
        let graph = imported(&path);
        let written = onnx::write(&graph, Form::Float);
        let again = onnx::read(&written).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(again.activations.is_empty());
        let again = pass::run_all(again.graph).unwrap().0;
        assert_eq!(names(&graph), names(&again), "{}", path.display());
        let same = graph
            .nodes
            .iter()
            .zip(&again.nodes)
            .all(|(a, b)| (&a.op, &a.inputs, &a.shape) == (&b.op, &b.inputs, &b.shape));
        assert!(same, "{}", path.display());
        assert_eq!(written, onnx::write(&again, Form::Float), "{}", path.display());
    }
}

/// As `fx-default` quantizes a network that has seen these samples.
fn quantized(graph: &Graph, input: &Tensor) -> Quantization {
    let scheme = Scheme::fx();
    let plan = Plan::new(graph, &scheme, &vec![LayerRule::default(); graph.nodes.len()]);
    let archive = torchscript::write(graph, Form::Taps(&plan.taps())).unwrap();
    let mut calibrator = Calibrator::new(&plan);
    let mut session = backend::open(Request::float(Backend::Torch), &archive).unwrap();
    session.watch(input, &mut |taps| calibrator.observe(taps)).unwrap();
    calibrate::quantize(graph, &plan, &scheme, &calibrator.finish()).unwrap()
}

/// What a form of a network gives on a backend.
fn given(backend: Backend, graph: &Graph, form: Form<'_>, input: &Tensor) -> Vec<Vec<f32>> {
    let artefact = backend::encode(backend, graph, form).unwrap();
    let outputs = backend::open(Request::float(backend), &artefact).unwrap().run(input).unwrap();
    outputs.iter().map(|output| output.as_f32().unwrap().to_vec()).collect()
}

fn decibels(signal: f32, noise: f32) -> f32 {
    10.0 * (signal / noise.max(f32::MIN_POSITIVE)).log10()
}

fn sqnr(should: &[f32], is: &[f32]) -> f32 {
    assert_eq!(should.len(), is.len());
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>();
    let noise = square(&mut should.iter().zip(is).map(|(a, b)| a - b));
    decibels(square(&mut should.iter().copied()), noise)
}

/// The forms that calibration, evidence and interventions ask for, on ONNX Runtime and OpenVINO beside libtorch.
#[test]
fn every_form_computes_the_same_on_every_backend() {
    crate::start(&Compute { threads: 1, isa: Isa::Native }).unwrap();
    let is_ready = |backend: &Backend| match backend::probe(Request::float(*backend)) {
        Availability::Ready { .. } => true,
        Availability::Missing { why, .. } => {
            lab::skip(&format!("{backend}: {why}"));
            false
        }
    };
    let backends: Vec<Backend> = [Backend::Onnxruntime, Backend::Openvino].into_iter().filter(is_ready).collect();
    for path in networks() {
        let graph = imported(&path);
        let input = samples(&graph, 4);
        let quantization = quantized(&graph, &input);
        let nodes: Vec<NodeId> = graph.ids().filter(|&id| quantization.is_int8(id)).collect();
        let watched: Vec<NodeId> = graph.ids().filter(|id| id.0 % 3 == 0).collect();
        let all_in_float = Quantization {
            placement: vec![Placement::Float(FloatReason::Recipe); graph.nodes.len()],
            ..quantization.clone()
        };
        let beside = |inputs| Form::Beside { quantization: &quantization, reference: &graph, nodes: &nodes, inputs };
        for &backend in &backends {
            let both = |form| [Backend::Torch, backend].map(|backend| given(backend, &graph, form, &input));
            let name = format!("{backend} {}", path.display());
            // The float network, inside and where nothing is left in integers.
            for form in [Form::Float, Form::Taps(&watched), Form::Int8(&all_in_float)] {
                let [should, is] = both(form);
                let worst = should.iter().zip(&is).map(|(a, b)| sqnr(a, b)).fold(f32::MAX, f32::min);
                assert!(should.len() == is.len() && worst > 80.0, "{name}: {worst} dB");
            }
            // A value on the edge between two levels may fall to either side, and in a deep network more follow. At the most
            // the two roundings are independent, and lie 3 dB farther apart than each from the float network.
            let [should, is] = both(Form::Rounded(&quantization));
            let float = given(Backend::Torch, &graph, Form::Float, &input);
            let (apart, rounded) = (sqnr(&should[0], &is[0]), sqnr(&float[0], &should[0]));
            assert!(apart > rounded - 4.0, "{name}: {apart} dB apart, {rounded} dB from float");
            for inputs in [Inputs::Clean, Inputs::Running] {
                let [should, is] = both(beside(inputs));
                let mut apart: Vec<f32> = should
                    .iter()
                    .zip(&is)
                    .map(|(a, b)| {
                        assert!(a.len() == b.len() && (a[0] - b[0]).abs() <= 1e-3 * a[0].abs(), "{name}: {a:?} {b:?}");
                        (decibels(a[0], a[1]) - decibels(b[0], b[1])).abs()
                    })
                    .collect();
                apart.sort_by(f32::total_cmp);
                let [middle, most] = [apart.len() / 2, apart.len() * 9 / 10].map(|at| apart[at]);
                assert!(should.len() == is.len() && middle < 1.5 && most < 5.0, "{name} {inputs:?}: {apart:?}");
            }
        }
    }
}

#[test]
fn a_quantized_network_is_the_same_after_it_was_written_and_read() {
    crate::start(&Compute { threads: 1, isa: Isa::Native }).unwrap();
    for path in networks() {
        let graph = imported(&path);
        let input = samples(&graph, 4);
        let quantization = quantized(&graph, &input);
        let again = onnx::read(&onnx::write(&graph, Form::Int8(&quantization))).unwrap();
        let (again, activations) = (again.graph, again.activations);
        let by_name = |name: &str| again.nodes.iter().position(|node| node.name == name);
        for node in &graph.nodes {
            let found = by_name(&node.name).unwrap_or_else(|| panic!("{}: no `{}`", path.display(), node.name));
            assert_eq!(again.nodes[found].shape, node.shape);
        }
        // What is rounded, and to what: the last operator of a node carries the parameters.
        let wanted: Vec<_> = quantization.activations.iter().flatten().map(|q| (q.scale, q.zero_point)).collect();
        let mut found: Vec<_> = activations.values().map(|q| (q.scale, q.zero_point)).collect();
        assert!(found.len() <= wanted.len() && found.len() * 10 >= wanted.len() * 9, "{}", path.display());
        found.retain(|parameters| !wanted.contains(parameters));
        assert_eq!(found, [], "{}", path.display());
        // The same function of float weights that integers stand for.
        let rounded = calibrate::with_integer_weights(&graph, &quantization);
        let again = pass::run_all(again).unwrap().0;
        let (should, is) = (answers(&rounded, Form::Float, &input), answers(&again, Form::Float, &input));
        let pairs = should.as_f32().unwrap().iter().zip(is.as_f32().unwrap());
        let far = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let most = should.as_f32().unwrap().iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        // Biases have a step of the accumulator's.
        assert!(far <= 2e-2 * most.max(1.0), "{}: {far} of {most}", path.display());
    }
}

/// A run whose networks are exported, and what other engines' own libraries say of the files.
#[test]
fn a_run_is_exported_in_each_form_and_not_over_anything() {
    let bench = Bench::new();
    bench.digits(&[("rounds = 2", "rounds = 1")]);
    assert!(matches!(bench.run(&["run", "digits.toml"]).code, Some(0 | 3)));
    let ended = bench.run(&["export", "digits", "--format", "onnx-qdq"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("digits.qdq.onnx: "), "{ended:?}");
    let again = bench.run(&["export", "digits", "--format", "onnx-qdq"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("`digits.qdq.onnx` is there already"), "{again:?}");
    for (form, file) in [("onnx-fp32", "f.onnx"), ("torchscript", "t.pt")] {
        let ended = bench.run(&["export", "digits", "--format", form, "--output", file]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let run = bench.only_run("digits");
    assert_eq!(
        files::read(&bench.path("t.pt")).unwrap(),
        files::read(&run.join("artefacts/int8_fbgemm_cpu.pt")).unwrap()
    );
    assert_eq!(bench.run(&["verify", "digits"]).code, Some(0));
    let unknown = bench.run(&["export", "digits", "--format", "torchscript", "--variant", "x", "--output", "x.pt"]);
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("no variant `x` ran on torch") && unknown.stderr.contains("`fp32_cpu`"),
        "{unknown:?}"
    );
    // A network that is quantized already is no model to quantize.
    let text = files::read_text(&bench.path("digits.toml")).unwrap();
    let model = text.lines().find(|line| line.starts_with("path = ")).unwrap();
    let text = text.replacen(model, "path = \"digits.qdq.onnx\"", 1);
    let pin = text.lines().find(|line| line.starts_with("sha256")).unwrap().to_owned();
    bench.put("again.toml", text.replacen(&pin, "", 1).as_bytes());
    let refused = bench.run(&["check", "again.toml"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("is quantized already"), "{refused:?}");
    // One byte of the kept network changes.
    let kept = run.join("artefacts/exchange/qdq.onnx");
    let mut bytes = files::read(&kept).unwrap();
    bytes[1000] ^= 1;
    bench.put(kept.strip_prefix(bench.path("")).unwrap().to_str().unwrap(), &bytes);
    let damaged = bench.run(&["export", "digits", "--format", "onnx-qdq", "--output", "d.onnx"]);
    assert_eq!(damaged.code, Some(5), "{damaged:?}");
    assert_eq!(bench.run(&["verify", "digits"]).code, Some(5));
}

const CHECK: &str = r"
import sys, onnx
for path in sys.argv[1:]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {p.key for p in model.metadata_props} >= {'requant.run', 'requant.model_sha256'}, model.metadata_props
print('sound')
";

#[test]
fn the_onnx_checker_finds_nothing() {
    let python = std::env::var("PYTHON_WITH_ONNX").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import onnx"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        return lab::skip("no Python with onnx; set PYTHON_WITH_ONNX to one");
    }
    let bench = Bench::new();
    bench.digits(&[("rounds = 2", "rounds = 1")]);
    assert!(matches!(bench.run(&["run", "digits.toml"]).code, Some(0 | 3)));
    for form in ["onnx-qdq", "onnx-fp32"] {
        assert_eq!(bench.run(&["export", "digits", "--format", form]).code, Some(0));
    }
    let files = [bench.path("digits.qdq.onnx"), bench.path("digits.fp32.onnx")];
    let output = Command::new(python).arg("-c").arg(CHECK).args(files).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "sound", "{}", String::from_utf8_lossy(&output.stderr));
}

/// Forms in which engines would differ if they were written as they stand.
#[test]
fn pooling_and_reshaping_are_written_so_that_engines_agree() {
    crate::start(&Compute { threads: 1, isa: Isa::Native }).unwrap();
    let pool = |kernel, stride, padding, ceil_mode| PoolGeometry {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        dilation: [1, 1],
        ceil_mode,
    };
    let chains = [
        vec![Op::Pool(Pool::Max(pool(2, 2, 1, true)))],
        vec![Op::Pool(Pool::Average { geometry: pool(3, 2, 0, true), count_include_pad: true })],
        vec![
            Op::Layout(Layout::Transpose(vec![1, 0, 2, 3])),
            Op::Layout(Layout::Reshape(vec![ReshapeDim::Known(2), ReshapeDim::Batch, ReshapeDim::Rest])),
        ],
        vec![
            Op::Unary(Unary::Clip { min: 0.0, max: f32::INFINITY }),
            Op::Layout(Layout::Pad { amounts: [1, 0, 2, 0], value: 0.5 }),
        ],
    ];
    for chain in chains {
        let mut graph = Graph::default();
        let shape = [Dim::Batch, Dim::Known(2), Dim::Known(6), Dim::Known(6)].to_vec();
        graph.nodes.push(Node { name: "input".into(), op: Op::Input, inputs: Vec::new(), shape });
        for (at, op) in chain.iter().enumerate() {
            graph.outputs = vec![graph.push(format!("n{at}"), op.clone(), vec![graph.output()]).unwrap()];
        }
        let input = samples(&graph, 3);
        let should = answers(&graph, Form::Float, &input);
        let written = onnx::write(&graph, Form::Float);
        for backend in [Backend::Onnxruntime, Backend::Openvino] {
            let request = Request { backend, ..Request::float(Backend::Torch) };
            if let Availability::Missing { why, .. } = backend::probe(request) {
                lab::skip(&format!("{backend}: {why}"));
                continue;
            }
            let is = backend::open(request, &written).unwrap().run(&input).unwrap().remove(0);
            assert_eq!(should.shape(), is.shape(), "{backend} {chain:?}");
            let pairs = should.as_f32().unwrap().iter().zip(is.as_f32().unwrap());
            let far = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 1e-5, "{backend} {chain:?}: {far}");
        }
    }
}
