//! Which backend serves a request. The only place that knows what was compiled in.

use super::{Availability, BackendError, Request, Runtime, Session, Started, library};
use crate::manifest::{Backend, Compute};

/// Whether a request can be served here, and why not.
#[must_use]
pub fn probe(request: Request) -> Availability {
    match request.backend {
        #[cfg(feature = "torch")]
        Backend::Torch => super::torch::probe(request),
        #[cfg(not(feature = "torch"))]
        Backend::Torch => {
            missing("this requant was built without the `torch` feature", "build it with default features")
        }
        Backend::Onnxruntime => not_driven("libonnxruntime.so", "ONNX Runtime"),
        Backend::Openvino => not_driven("libopenvino_c.so", "OpenVINO"),
        Backend::Tensorrt => tensorrt(),
    }
}

fn missing(why: &str, remedy: &str) -> Availability {
    Availability::Missing { why: why.to_owned(), remedy: remedy.to_owned() }
}

fn not_driven(file: &str, name: &str) -> Availability {
    let here = if library::found(file) { "is installed" } else { "is not on the library path" };
    missing(&format!("`{file}` {here}, and this version of requant does not run {name}"), "use `backend = \"torch\"`")
}

fn tensorrt() -> Availability {
    let wanted = [
        ("libcuda.so.1", "no NVIDIA driver (`libcuda.so.1`)"),
        ("libnvinfer.so.10", "no TensorRT (`libnvinfer.so.10`)"),
    ];
    let absent: Vec<&str> = wanted.iter().filter(|(file, _)| !library::found(file)).map(|(_, what)| *what).collect();
    let here = if absent.is_empty() { "its driver and library are here".to_owned() } else { absent.join(", ") };
    missing(&format!("{here}; this version of requant does not run TensorRT"), "use `backend = \"torch\"`")
}

/// Starts the process-wide runtime that preprocessing and calibration use.
pub fn start(compute: &Compute) -> Result<Box<dyn Started>, BackendError> {
    #[cfg(feature = "torch")]
    return super::torch::start(compute);
    #[cfg(not(feature = "torch"))]
    return Err(not_built(compute));
}

/// Loads an artefact for a request.
pub fn open(request: Request, artefact: &[u8]) -> Result<Box<dyn Session>, BackendError> {
    if let Availability::Missing { why, remedy } = probe(request) {
        return Err(BackendError::Missing { backend: request.backend, why, remedy });
    }
    match request.backend {
        #[cfg(feature = "torch")]
        Backend::Torch => super::torch::open(request, artefact),
        other => Err(BackendError::Engine {
            doing: "opening an artefact",
            message: format!("`{other}` cannot load {} bytes", artefact.len()),
        }),
    }
}

/// Facts about the runtime; all empty where it is not compiled in.
#[must_use]
pub fn runtime() -> Runtime {
    #[cfg(feature = "torch")]
    return super::torch::runtime();
    #[cfg(not(feature = "torch"))]
    return Runtime::default();
}

#[cfg(not(feature = "torch"))]
fn not_built(_compute: &Compute) -> BackendError {
    BackendError::Missing {
        backend: Backend::Torch,
        why: "this requant was built without the `torch` feature".into(),
        remedy: "build it with default features".into(),
    }
}
