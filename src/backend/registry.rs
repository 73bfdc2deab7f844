//! Which backend serves a request.
//!
//! Engines are linked by the program, not by this library: a program that links one installs its
//! driver before anything else. So the same code checks manifests in a process of a few megabytes
//! and runs them in one that carries libtorch.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    Availability, BackendError, Examples, Request, Runtime, Session, environment, library, onnxruntime, openvino,
    program,
};
use crate::graph::Op;
use crate::manifest::{Backend, Compute, Device, Preprocess};
use crate::picture::{self, Image, PreprocessError, Threads};
use crate::tensor::Tensor;

/// A linked engine. Native runtimes exist once per process, and so does a driver.
pub trait Driver: Sync {
    fn probe(&self, request: Request) -> Availability;

    /// Starts the process-wide runtime.
    fn start(&self, compute: &Compute) -> Result<(), BackendError>;

    /// See [`preprocess()`]. From [`Threads::Own`] on, what the calling thread asks of the engine stays on that thread.
    fn preprocess(
        &self,
        images: &[Image],
        settings: &Preprocess,
        channels: usize,
        threads: Threads,
    ) -> Result<Tensor, PreprocessError>;

    fn open(&self, request: Request, artefact: &[u8]) -> Result<Box<dyn Session>, BackendError>;

    /// A layer of the graph with examples to learn from.
    fn examples(&self, layer: &Op, inputs: &Tensor, outputs: &Tensor) -> Result<Box<dyn Examples>, BackendError>;

    fn runtime(&self) -> Runtime;
}

/// Of the engines that are told with each network; libtorch has its own for the whole process.
static THREADS: AtomicUsize = AtomicUsize::new(1);

static TORCH: OnceLock<&'static dyn Driver> = OnceLock::new();

/// Makes libtorch available in this process. A second call changes nothing.
pub fn install(driver: &'static dyn Driver) {
    let _ = TORCH.set(driver);
}

/// Whether this process can run networks itself.
#[must_use]
pub fn linked() -> bool {
    TORCH.get().is_some()
}

/// Whether a request can be served here, and why not. Without a linked engine the answer is what
/// can be said without starting one.
#[must_use]
pub fn probe(request: Request) -> Availability {
    match (request.backend, TORCH.get()) {
        (Backend::Torch, Some(driver)) => driver.probe(request),
        (Backend::Torch, None) => torch_from_outside(request),
        (Backend::Onnxruntime | Backend::Tensorrt, _) => onnxruntime::probe(request),
        (Backend::Openvino, _) => openvino::LIBRARY.probe(),
    }
}

fn torch_from_outside(request: Request) -> Availability {
    match program::path() {
        Err(missing) => missing,
        Ok(_) if request.device == Device::Cuda && !library::found("libcuda.so.1") => Availability::missing(
            "no NVIDIA driver (`libcuda.so.1`)",
            "run on a machine with an NVIDIA GPU and a CUDA libtorch",
        ),
        Ok(_) => Availability::Ready { detail: format!("`{}` is here; it was not started", program::NAME) },
    }
}

fn driver() -> Result<&'static dyn Driver, BackendError> {
    TORCH.get().copied().ok_or_else(|| BackendError::Missing {
        backend: Backend::Torch,
        why: "no engine is linked into this process".into(),
        remedy: format!("start `{}`", program::NAME),
    })
}

/// Settles what sessions of this process compute with. libtorch's part of it is for the whole process, and is started
/// where libtorch is linked.
pub fn start(compute: &Compute) -> Result<(), BackendError> {
    THREADS.store(compute.threads, Ordering::Relaxed);
    TORCH.get().map_or(Ok(()), |driver| driver.start(compute))
}

/// Images as the network is given them, `f32[images, channels, height, width]`. Resizing differs between libraries in the
/// last bits, and calibration turns last bits into other scales: where libtorch calibrates, the operations are its own,
/// and requant's own otherwise.
pub fn preprocess(
    backend: Backend,
    images: &[Image],
    settings: &Preprocess,
    channels: usize,
    threads: Threads,
) -> Result<Tensor, PreprocessError> {
    let (images, settings) = picture::resize(images, settings, threads)?;
    match (backend, TORCH.get()) {
        (Backend::Torch, Some(driver)) => driver.preprocess(&images, &settings, channels, threads),
        (Backend::Torch, None) => Err(PreprocessError("libtorch is not linked into this process".to_owned())),
        (Backend::Onnxruntime | Backend::Openvino | Backend::Tensorrt, _) => {
            picture::preprocess(&images, &settings, channels, threads)
        }
    }
}

/// Loads an artefact for a request.
pub fn open(request: Request, artefact: &[u8]) -> Result<Box<dyn Session>, BackendError> {
    if let Availability::Missing { why, remedy } = probe(request) {
        return Err(BackendError::Missing { backend: request.backend, why, remedy });
    }
    match request.backend {
        Backend::Torch => driver()?.open(request, artefact),
        Backend::Onnxruntime | Backend::Tensorrt => {
            guarded(|| onnxruntime::open(request, artefact, THREADS.load(Ordering::Relaxed)))
        }
        Backend::Openvino => guarded(|| openvino::open(artefact, THREADS.load(Ordering::Relaxed))),
    }
}

/// Which library runs a backend's networks, where it is one that is loaded.
#[must_use]
pub fn library_of(backend: Backend) -> Option<String> {
    match backend {
        Backend::Onnxruntime | Backend::Tensorrt => onnxruntime::library().described(),
        Backend::Openvino => openvino::LIBRARY.described(),
        Backend::Torch => None,
    }
}

/// Whether that library is the one that `cargo xtask` fetches, which requant is tested with.
#[must_use]
pub fn is_tested(backend: Backend) -> bool {
    match backend {
        Backend::Onnxruntime | Backend::Tensorrt => onnxruntime::library().is_fetched(),
        Backend::Openvino => openvino::LIBRARY.is_fetched(),
        Backend::Torch => false,
    }
}

/// The crates that load other engines panic where a library is too old for them.
fn guarded(open: impl FnOnce() -> Result<Box<dyn Session>, BackendError>) -> Result<Box<dyn Session>, BackendError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(open)).unwrap_or_else(|_| {
        let message = "its library is too old, or another; `cargo xtask runtimes` brings one that fits".to_owned();
        Err(BackendError::Engine { doing: "starting the engine", message })
    })
}

/// Gives an engine a layer with weights, tensors that it is given and what it should make of them.
pub fn examples(layer: &Op, inputs: &Tensor, outputs: &Tensor) -> Result<Box<dyn Examples>, BackendError> {
    driver()?.examples(layer, inputs, outputs)
}

/// Facts about the runtime; those of libtorch are empty where it is not linked.
#[must_use]
pub fn runtime() -> Runtime {
    let without = || {
        let (threads, environment) = (THREADS.load(Ordering::Relaxed), environment::kernel_environment());
        Runtime { threads, environment, ..Runtime::default() }
    };
    TORCH.get().map_or_else(without, |driver| driver.runtime())
}
