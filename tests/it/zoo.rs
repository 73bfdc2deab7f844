use requant::backend::{self, Request};
use requant::codec::{onnx, torchscript};
use requant::graph::pass;
use requant::manifest::{Backend, Compute, Device, Isa, Precision};
use safetensors::SafeTensors;

use crate::lab;

/// Largest difference from PyTorch's logits, relative to the largest logit.
const TOLERANCE: f32 = 1e-4;

#[test]
fn every_zoo_model_computes_what_pytorch_computes() {
    let Some(zoo) = lab::shared("models/zoo") else { return };
    let mut models: Vec<_> = std::fs::read_dir(zoo).unwrap().map(|entry| entry.unwrap().path()).collect();
    models.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    models.sort();
    assert!(models.len() >= 12, "the zoo has {} models", models.len());
    backend::start(&Compute { threads: 2, isa: Isa::Native }).unwrap();
    for path in models {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let model = onnx::read(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (graph, _) = pass::run_all(model.graph.clone()).unwrap();
        let stored = std::fs::read(path.with_extension("safetensors")).unwrap();
        let fixture = SafeTensors::deserialize(&stored).unwrap();
        let wanted = lab::floats(&fixture, "logits");
        for (stage, graph) in [("as imported", &model.graph), ("after passes", &graph)] {
            let archive = torchscript::write(graph, torchscript::Variant::Float).unwrap();
            let request =
                Request { backend: Backend::Torch, precision: Precision::Fp32, device: Device::Cpu, engine: None };
            let mut session = backend::open(request, &archive).unwrap_or_else(|e| panic!("{name} {stage}: {e}"));
            let found = session.run(&lab::floats(&fixture, "input")).unwrap_or_else(|e| panic!("{name} {stage}: {e}"));
            assert_eq!(found[0].shape(), wanted.shape(), "{name} {stage}");
            let largest = wanted.as_f32().unwrap().iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            let pairs = found[0].as_f32().unwrap().iter().zip(wanted.as_f32().unwrap());
            let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
            println!("{name:24} {stage:12} relative error {error:.1e}");
            assert!(error <= TOLERANCE, "{name} {stage}: {error}");
        }
    }
}
