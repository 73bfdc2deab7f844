//! What this machine can run, and what each missing piece needs.

use crate::backend::{self, Availability, Request};
use crate::manifest::{Backend, Choice as _, Device, Engine, Precision};
use crate::record::host::{self, Host};

/// One line of the doctor's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub availability: Availability,
}

/// Everything the doctor found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub host: Host,
    pub lines: Vec<Line>,
}

/// Probes every combination that a manifest can name.
#[must_use]
pub fn examine() -> Diagnosis {
    let request =
        |backend, precision, device, engine| Request { backend, precision, device, engine, ..Request::REFERENCE };
    let mut requests = vec![
        request(Backend::Torch, Precision::Fp32, Device::Cpu, None),
        request(Backend::Torch, Precision::Fp32, Device::Cuda, None),
        request(Backend::Torch, Precision::Fp16, Device::Cuda, None),
        request(Backend::Torch, Precision::Bf16, Device::Cuda, None),
    ];
    let engines = Engine::ALL.iter().map(|&engine| request(Backend::Torch, Precision::Int8, Device::Cpu, Some(engine)));
    requests.extend(engines);
    requests.extend([
        request(Backend::Onnxruntime, Precision::Int8, Device::Cpu, None),
        request(Backend::Onnxruntime, Precision::Fp32, Device::Cuda, None),
        request(Backend::Openvino, Precision::Int8, Device::Cpu, None),
        request(Backend::Tensorrt, Precision::Int8, Device::Cuda, None),
    ]);
    let line = |request: Request| {
        let engine = request.engine.map_or_else(String::new, |engine| format!(" {engine}"));
        let name = format!("{} {} {}{engine}", request.backend, request.precision, request.device);
        Line { name, availability: backend::probe(request) }
    };
    Diagnosis { host: host::facts(), lines: requests.into_iter().map(line).collect() }
}
