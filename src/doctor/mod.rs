//! What this machine can run, and what each missing piece needs.

use crate::backend::{self, Availability, Request};
use crate::manifest::{self, Backend, Choice as _, Device, Engine, Precision};
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
    let mut requests = Vec::new();
    for &backend in Backend::ALL {
        for &device in Device::ALL {
            for &precision in Precision::ALL {
                if manifest::is_possible(backend, precision, device) {
                    let of = |engine| Request { backend, precision, device, engine, ..Request::REFERENCE };
                    requests.extend(engines(backend, precision, device).into_iter().map(of));
                }
            }
        }
    }
    let line = |request: Request| {
        let engine = request.engine.map_or_else(String::new, |engine| format!(" {engine}"));
        let name = format!("{} {} {}{engine}", request.backend, request.precision, request.device);
        Line { name, availability: backend::probe(request) }
    };
    Diagnosis { host: host::facts(), lines: requests.into_iter().map(line).collect() }
}

/// The values of a variant's `engine`, where it has a choice.
fn engines(backend: Backend, precision: Precision, device: Device) -> Vec<Option<Engine>> {
    if (backend, device) != (Backend::Torch, Device::Cpu) {
        return vec![None];
    }
    match precision {
        Precision::Int8 => Engine::ALL.iter().copied().map(Some).collect(),
        Precision::Fp32 => vec![None, Some(Engine::Onednn)],
        Precision::Fp16 | Precision::Bf16 => vec![None],
    }
}
