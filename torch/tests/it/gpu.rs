//! What only an NVIDIA GPU can show. On a machine without one every test here is skipped, and counted.

use lab::Bench;
use requant::backend::{self, Availability, Request};
use requant::base::files;
use requant::codec::torchscript::{self, Short};
use requant::codec::{Form, onnx};
use requant::graph::{Graph, pass};
use requant::manifest::{Backend, Compute, Device, Isa, MemoryFormat, Precision};
use requant::record::store;
use requant::tensor::Tensor;

const ON_GPU: Request = Request { device: Device::Cuda, ..Request::float(Backend::Torch) };

/// Starts the engine and asks whether it serves a request here; a skip is printed and counted.
fn is_served(request: Request) -> bool {
    crate::start(&Compute { threads: 2, isa: Isa::Native }).unwrap();
    match backend::probe(request) {
        Availability::Ready { .. } => true,
        Availability::Missing { why, remedy } => {
            lab::skip(&format!("{} on a GPU: {why}; {remedy}", request.backend));
            false
        }
    }
}

/// A zoo model with an input of three images.
fn models() -> Vec<(String, Graph, Tensor)> {
    let model = |path: std::path::PathBuf| {
        let name = path.display().to_string();
        let graph = pass::run_all(onnx::read(&files::read(&path).unwrap()).unwrap().graph).unwrap().0;
        let shape: Vec<usize> = std::iter::once(3).chain(graph.input_shape().unwrap()).collect();
        let values = (0..shape.iter().product::<usize>()).map(|at| ((at * 37 % 101) as f32 - 50.0) / 25.0).collect();
        (name, graph, Tensor::f32(shape, values).unwrap())
    };
    lab::zoo().into_iter().map(model).collect()
}

fn answers(request: Request, artefact: &[u8], input: &Tensor) -> Tensor {
    backend::open(request, artefact).unwrap().run(input).unwrap().remove(0)
}

/// The largest difference, relative to the largest logit.
fn far(should: &Tensor, is: &Tensor) -> f32 {
    let (should, is) = (should.as_f32().unwrap(), is.as_f32().unwrap());
    assert_eq!(should.len(), is.len());
    let most = should.iter().fold(1.0, |most: f32, x| most.max(x.abs()));
    should.iter().zip(is).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / most
}

#[test]
fn a_gpu_computes_every_zoo_model_as_the_cpu_does_and_the_same_twice() {
    if !is_served(ON_GPU) {
        return;
    }
    for (name, graph, input) in models() {
        let float = torchscript::write(&graph, Form::Float).unwrap();
        let should = answers(Request::float(Backend::Torch), &float, &input);
        for memory_format in [MemoryFormat::Contiguous, MemoryFormat::ChannelsLast] {
            let request = Request { memory_format, ..ON_GPU };
            let is = answers(request, &float, &input);
            assert!(far(&should, &is) < 1e-4, "{name} {memory_format}: {}", far(&should, &is));
            assert_eq!(is, answers(request, &float, &input), "{name} {memory_format}");
            for (short, precision, most) in [(Short::Fp16, Precision::Fp16, 0.02), (Short::Bf16, Precision::Bf16, 0.1)]
            {
                let archive = torchscript::write(&graph, torchscript::Variant::Short(short)).unwrap();
                assert!(archive.len() < float.len(), "{name}");
                let request = Request { precision, ..request };
                let is = answers(request, &archive, &input);
                assert!(far(&should, &is) < most, "{name} {precision} {memory_format}: {}", far(&should, &is));
                assert_eq!(is, answers(request, &archive, &input), "{name} {precision}");
            }
        }
    }
}

#[test]
fn a_gpu_tells_how_much_its_tensors_held() {
    if !is_served(ON_GPU) {
        return;
    }
    let Some((_, graph, input)) = models().pop() else { return };
    let float = torchscript::write(&graph, Form::Float).unwrap();
    let mut session = backend::open(ON_GPU, &float).unwrap();
    session.forget_device_peak();
    let loaded = session.device_peak_bytes().unwrap();
    assert!(loaded > float.len() as u64 / 2, "{loaded} bytes of an archive of {}", float.len());
    session.run(&input).unwrap();
    let one = session.device_peak_bytes().unwrap();
    let many = Tensor::stacked(vec![input; 16]).unwrap();
    session.run(&many).unwrap();
    let more = session.device_peak_bytes().unwrap();
    assert!(one > loaded && more > one + 15 * (one - loaded) / 4, "{loaded}, {one}, {more}");
}

#[test]
fn onnxruntime_computes_every_zoo_model_on_a_gpu() {
    let request = Request { backend: Backend::Onnxruntime, ..ON_GPU };
    if !is_served(request) {
        return;
    }
    for (name, graph, input) in models() {
        let written = onnx::write(&graph, Form::Float);
        let should = answers(Request { device: Device::Cpu, ..request }, &written, &input);
        let is = answers(request, &written, &input);
        assert!(far(&should, &is) < 1e-4, "{name}: {}", far(&should, &is));
        assert_eq!(is, answers(request, &written, &input), "{name}");
    }
}

#[test]
fn rows_on_a_gpu_are_rows_of_a_run() {
    if !is_served(ON_GPU) {
        return;
    }
    let bench = Bench::new();
    bench.digits(&[]);
    let mut text = files::read_text(&bench.path("digits.toml")).unwrap();
    for precision in ["fp32", "fp16", "bf16"] {
        let row = format!(
            "[[variant]]\nname = \"{precision}_gpu\"\nbackend = \"torch\"\nprecision = \"{precision}\"\ndevice = \
             \"cuda\"\n\n[compute]"
        );
        text = text.replacen("[compute]", &row, 1);
    }
    bench.put("digits.toml", text.as_bytes());
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let run = bench.only_run("digits");
    let record = store::read(&run).unwrap();
    let rows: Vec<_> = record.variants.iter().filter(|variant| variant.name.ends_with("_gpu")).collect();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let measured = row.measured().unwrap_or_else(|| panic!("{row:?}"));
        assert!(measured.classified().unwrap().correct >= 780, "{row:?}");
        assert!(measured.timing_checks.iter().all(|check| check.passes == check.identical), "{row:?}");
        let held = measured.peak_device_bytes().unwrap();
        assert!(held > measured.artefact.bytes / 2, "{row:?}");
    }
    let report = files::read_text(&run.join("report.md")).unwrap();
    assert!(
        report.contains("during inference; the driver's own memory")
            && report.contains("Peak memory of tensors on the GPU")
    );
}
