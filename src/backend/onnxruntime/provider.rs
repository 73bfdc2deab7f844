//! ONNX Runtime's execution providers: what each needs, and how it is asked to compute.

use std::path::PathBuf;

use ort::execution_providers::cuda::CuDNNConvAlgorithmSearch;
use ort::execution_providers::{CUDAExecutionProvider, ExecutionProviderDispatch, TensorRTExecutionProvider};
use ort::session::builder::SessionBuilder;

use super::library;
use crate::backend::library::found;
use crate::backend::{Availability, Request};
use crate::base::files;
use crate::manifest::{Backend, Device, Precision};

const FETCH: &str = "run `cargo xtask runtimes gpu`, or name such a build with `ORT_DYLIB_PATH`";

/// What computes in the place of ONNX Runtime's own CPU kernels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Provider {
    Cuda,
    Tensorrt,
}

impl Provider {
    /// `None` where ONNX Runtime computes itself.
    fn of(request: Request) -> Option<Self> {
        match (request.backend, request.device) {
            (Backend::Tensorrt, Device::Cpu | Device::Cuda) => Some(Self::Tensorrt),
            (Backend::Onnxruntime, Device::Cuda) => Some(Self::Cuda),
            (Backend::Onnxruntime, Device::Cpu) => None,
            (Backend::Torch | Backend::Openvino, _) => unreachable!("ONNX Runtime runs no request of another engine"),
        }
    }

    /// Its name, and the file that it comes in.
    const fn library(self) -> (&'static str, &'static str) {
        match self {
            Self::Cuda => ("CUDA", "libonnxruntime_providers_cuda.so"),
            Self::Tensorrt => ("TensorRT", "libonnxruntime_providers_tensorrt.so"),
        }
    }
}

/// What a request needs of the machine beside ONNX Runtime itself: what it is, and what brings it.
fn needs(request: Request) -> Vec<(String, &'static str)> {
    let Some(provider) = Provider::of(request) else { return Vec::new() };
    let mut needs = Vec::new();
    let mut need = |here: bool, what: String, remedy| {
        if !here {
            needs.push((what, remedy));
        }
    };
    need(found("libcuda.so.1"), "no NVIDIA driver (`libcuda.so.1`)".into(), "run on a machine with an NVIDIA GPU");
    if provider == Provider::Tensorrt {
        let remedy = "install TensorRT 10 where the loader finds it";
        need(found("libnvinfer.so.10"), "no TensorRT (`libnvinfer.so.10`)".into(), remedy);
    }
    let beside = library().located().map(|(path, _)| path);
    let (name, file) = provider.library();
    need(lies_beside(beside.as_ref(), file), format!("no ONNX Runtime with {name} (`{file}`)"), FETCH);
    needs
}

fn lies_beside(library: Option<&PathBuf>, file: &str) -> bool {
    library.is_some_and(|library| library.with_file_name(file).is_file()) || found(file)
}

/// What is missing here for a request that needs more than ONNX Runtime itself.
pub(super) fn lacking(request: Request) -> Option<Availability> {
    let needs = needs(request);
    let whats: Vec<String> = needs.iter().map(|(what, _)| what.clone()).collect();
    let mut remedies: Vec<&str> = needs.iter().map(|(_, remedy)| *remedy).collect();
    remedies.dedup();
    (!needs.is_empty()).then(|| Availability::missing(&whats.join(", "), &remedies.join("; ")))
}

/// Makes a session compute where it is asked to. What the provider cannot compute is refused instead of being left to
/// another.
pub(super) fn added(session: SessionBuilder, request: Request) -> ort::Result<SessionBuilder> {
    let provider = match Provider::of(request) {
        Some(Provider::Tensorrt) => tensorrt(request.precision),
        Some(Provider::Cuda) => cuda(),
        None => return Ok(session),
    };
    let session = session.with_execution_providers([provider])?.with_deterministic_compute(true)?;
    session.with_config_entry("session.disable_cpu_ep_fallback", "1")
}

/// FP32 means FP32; and no kernel is chosen by how fast it happened to be.
fn cuda() -> ExecutionProviderDispatch {
    CUDAExecutionProvider::default()
        .with_device_id(0)
        .with_tf32(false)
        .with_conv_algorithm_search(CuDNNConvAlgorithmSearch::Heuristic)
        .build()
        .error_on_failure()
}

/// INT8 where the network says what is rounded, FP32 elsewhere. TensorRT chooses kernels by timing when it builds an
/// engine: it is kept, so that other processes run the same.
fn tensorrt(precision: Precision) -> ExecutionProviderDispatch {
    let provider = TensorRTExecutionProvider::default().with_device_id(0).with_int8(precision == Precision::Int8);
    let provider = match files::cache().map(|cache| cache.join("tensorrt")) {
        Some(kept) => provider.with_engine_cache(true).with_engine_cache_path(kept.to_string_lossy()),
        None => provider,
    };
    provider.build().error_on_failure()
}
