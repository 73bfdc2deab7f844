use requant::backend::{self, Availability, Request};
use requant::base::files;
use requant::codec::torchscript::{self, Short};
use requant::codec::{Form, onnx};
use requant::graph::Graph;
use requant::graph::pass;
use requant::graph::quantization::Quantization;
use requant::manifest::{Backend, Compute, Engine, Isa, Precision, Step};
use requant::quantize::{Calibrator, LayerRule, Plan, Scheme, calibrate};
use requant::record::host;
use requant::tensor::Tensor;

/// Largest difference from PyTorch's logits, relative to the largest logit.
const TOLERANCE: f32 = 1e-4;

#[test]
fn every_zoo_model_computes_what_pytorch_computes() {
    let models = lab::zoo();
    assert!(models.len() >= 12, "the zoo has {} models", models.len());
    crate::start(&Compute { threads: 2, isa: Isa::Native }).unwrap();
    for path in models {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let model = onnx::read(&files::read(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (graph, _) = pass::run_all(model.graph.clone()).unwrap();
        let [input, wanted] = lab::answers_of(&path);
        for (stage, graph) in [("as imported", &model.graph), ("after passes", &graph)] {
            let archive = torchscript::write(graph, Form::Float).unwrap();
            let request = Request::float(Backend::Torch);
            let mut session = backend::open(request, &archive).unwrap_or_else(|e| panic!("{name} {stage}: {e}"));
            let found = session.run(&input).unwrap_or_else(|e| panic!("{name} {stage}: {e}"));
            assert_eq!(found[0].shape(), wanted.shape(), "{name} {stage}");
            let largest = wanted.as_f32().unwrap().iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            let pairs = found[0].as_f32().unwrap().iter().zip(wanted.as_f32().unwrap());
            let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
            assert!(error <= TOLERANCE, "{name} {stage}: {error}");
        }
    }
}

/// The least signal to quantization noise, in dB, that INT8 logits of a random-weight network keep.
const LEAST_SQNR: f64 = 25.0;

/// The committed DenseNet keeps less: PyTorch's own FX quantization leaves it 20.05 dB on the same images.
const LEAST_SQNR_OF_DENSENET: f64 = 19.5;

/// The same of floating point: in FP32 operators differ in the order of their sums alone, 16 bits round every tensor.
const FLOATS: [(torchscript::Variant<'_>, f64); 3] = [
    (torchscript::Variant::FusedFloat, 100.0),
    (torchscript::Variant::Short(Short::Fp16), 45.0),
    (torchscript::Variant::Short(Short::Bf16), 30.0),
];

#[test]
fn every_zoo_model_quantizes_and_runs_in_int8() {
    crate::start(&Compute { threads: 2, isa: Isa::Native }).unwrap();
    let mut low = Vec::new();
    let runs_onnx = match backend::probe(ON_ONNXRUNTIME) {
        // TensorRT adds in 32 bits everywhere.
        Availability::Ready { .. } if !has_vnni() => {
            lab::skip("ranges around zero: without VNNI, ONNX Runtime adds products of signed bytes in 16 bits");
            false
        }
        Availability::Ready { .. } => true,
        Availability::Missing { why, .. } => {
            lab::skip(&format!("ranges around zero: {why}"));
            false
        }
    };
    for path in lab::zoo() {
        let name = path.display();
        let graph = pass::run_all(onnx::read(&files::read(&path).unwrap()).unwrap().graph).unwrap().0;
        let [input, logits] = lab::answers_of(&path);
        let is_densenet = ["ts", "dynamo"].iter().any(|by| path.ends_with(format!("fixtures/zoo/densenet-{by}.onnx")));
        let least_int8 = if is_densenet { LEAST_SQNR_OF_DENSENET } else { LEAST_SQNR };
        for scheme in [Scheme::fx(), fused()] {
            let db = sqnr(&logits, &int8_logits(&graph, &scheme, &input));
            if db.is_nan() || db < least_int8 {
                low.push(format!("{name}: {db:.1} dB with {:?}", scheme.steps));
            }
        }
        if runs_onnx {
            let db = sqnr(&logits, &symmetric_logits(&graph, &input));
            if db.is_nan() || db < least_int8 {
                low.push(format!("{name}: {db:.1} dB with ranges around zero"));
            }
        }
        for (variant, least) in FLOATS {
            let db = sqnr(&logits, &float_logits(&graph, variant, &input));
            if db.is_nan() || db < least {
                low.push(format!("{name}: {db:.1} dB of {variant:?}"));
            }
        }
        let (variant, least) = FLOATS[0];
        let db = sqnr(&logits.rows(0, 1), &float_logits(&graph, variant, &input.rows(0, 1)));
        if db.is_nan() || db < least {
            low.push(format!("{name}: {db:.1} dB of {variant:?}, one image"));
        }
    }
    assert_eq!(low, Vec::<String>::new());
}

fn has_vnni() -> bool {
    host::facts().isa_flags.iter().any(|flag| flag.contains("vnni"))
}

fn float_logits(graph: &Graph, variant: torchscript::Variant<'_>, input: &Tensor) -> Tensor {
    let archive = torchscript::write(graph, variant).unwrap();
    backend::open(Request::float(Backend::Torch), &archive).unwrap().run(input).unwrap().remove(0)
}

const ON_ONNXRUNTIME: Request =
    Request { backend: Backend::Onnxruntime, precision: Precision::Int8, ..Request::float(Backend::Torch) };

/// What TensorRT is given, on ONNX Runtime.
fn symmetric_logits(graph: &Graph, input: &Tensor) -> Tensor {
    let (plan, quantization) = quantized(graph, &Scheme::fx(), input);
    let levels: Vec<usize> = graph.ids().map(|id| plan.levels_of(id)).collect();
    let written = onnx::write_symmetric(graph, &quantization, &levels);
    backend::open(ON_ONNXRUNTIME, &written).unwrap().run(input).unwrap().remove(0)
}

fn int8_logits(graph: &Graph, scheme: &Scheme, input: &Tensor) -> Tensor {
    let (_, quantization) = quantized(graph, scheme, input);
    let archive = torchscript::write(graph, Form::Int8(&quantization)).unwrap();
    let request =
        Request { precision: Precision::Int8, engine: Some(Engine::Fbgemm), ..Request::float(Backend::Torch) };
    backend::open(request, &archive).unwrap().run(input).unwrap().remove(0)
}

fn quantized(graph: &Graph, scheme: &Scheme, input: &Tensor) -> (Plan, Quantization) {
    let plan = Plan::new(graph, scheme, &vec![LayerRule::default(); graph.nodes.len()]);
    let tapped = torchscript::write(graph, Form::Taps(&plan.taps())).unwrap();
    let mut calibrator = Calibrator::new(&plan);
    let mut session = backend::open(Request::float(Backend::Torch), &tapped).unwrap();
    session.watch(input, &mut |taps| calibrator.observe(taps)).unwrap();
    let quantization = calibrate::quantize(graph, &plan, scheme, &calibrator.finish()).unwrap();
    (plan, quantization)
}

/// `10·log₁₀(Σx² / Σ(x − y)²)`
fn sqnr(wanted: &Tensor, found: &Tensor) -> f64 {
    let pairs = wanted.as_f32().unwrap().iter().zip(found.as_f32().unwrap());
    let (signal, noise) = pairs.fold((0.0, 0.0), |(signal, noise), (&x, &y)| {
        (signal + f64::from(x).powi(2), noise + f64::from(x - y).powi(2))
    });
    10.0 * (signal / noise).log10()
}

/// Every call of oneDNN that a scheme can bring.
fn fused() -> Scheme {
    let steps = vec![Step::FloatStem, Step::ProductsOnly, Step::Fuse, Step::BoundWeights];
    Scheme { steps, ..Scheme::fx() }
}
