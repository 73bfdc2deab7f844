//! Engines behind one trait: probe → open → run. A backend is ready, or missing with its reason;
//! nothing falls back silently.

mod artefact;
mod environment;
mod library;
mod onnxruntime;
mod openvino;
pub mod process;
pub mod program;
mod registry;

pub use artefact::encode;
pub use environment::{Work, environment, harmful, kernel_environment, timing_environment};
pub use registry::{Driver, examples, install, is_tested, library_of, linked, open, preprocess, probe, runtime, start};

use crate::base::explain::{Cause, Explain};
use crate::manifest::{Backend, Device, Engine, MemoryFormat, Precision, Variant};
use crate::tensor::Tensor;

/// What a variant asks of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub backend: Backend,
    pub precision: Precision,
    pub device: Device,
    /// Set for INT8 of the torch backend.
    pub engine: Option<Engine>,
    pub memory_format: MemoryFormat,
}

impl Request {
    /// FP32 of a backend on the CPU.
    #[must_use]
    pub const fn float(backend: Backend) -> Self {
        let (precision, device) = (Precision::Fp32, Device::Cpu);
        Self { backend, precision, device, engine: None, memory_format: MemoryFormat::Contiguous }
    }
}

impl From<&Variant> for Request {
    fn from(variant: &Variant) -> Self {
        Self {
            backend: variant.backend,
            precision: variant.precision,
            device: variant.device,
            engine: variant.engine,
            memory_format: variant.memory_format,
        }
    }
}

/// Whether a request can be served on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    Ready { detail: String },
    Missing { why: String, remedy: String },
}

impl Availability {
    fn missing(why: &str, remedy: &str) -> Self {
        Self::Missing { why: why.to_owned(), remedy: remedy.to_owned() }
    }
}

/// Facts about the runtime that serves a run, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runtime {
    /// Such as `2.11.0`.
    pub libtorch: String,
    /// The instruction set its kernels were chosen for, such as `AVX2`.
    pub cpu_capability: String,
    pub threads: usize,
    /// The library's own description of its build.
    pub build: String,
    /// The variables of [`environment`] that are set, whoever set them.
    pub environment: std::collections::BTreeMap<String, String>,
}

/// A loaded network.
pub trait Session {
    /// Hands over the next input, `f32[n, channels, height, width]`; not part of a timed region.
    fn load(&mut self, input: &Tensor) -> Result<(), BackendError>;

    /// Runs the network on the loaded input and waits until it is done: the timed region.
    fn forward(&mut self) -> Result<(), BackendError>;

    /// What the last [`Session::forward`] computed, in `f32`.
    fn outputs(&self) -> Result<Vec<Tensor>, BackendError>;

    /// Shows the numbers of each output of the last [`Session::forward`], in any order: in place, where the engine
    /// keeps them as `f32` in the host's memory. For ranges and counts, which need no order and no copy.
    fn show(&self, look: &mut dyn FnMut(&[&[f32]])) -> Result<(), BackendError> {
        let outputs = self.outputs()?;
        let numbers = outputs.iter().map(|output| {
            let wrong = || BackendError::Engine { doing: "reading the output", message: format!("it is {output:?}") };
            output.as_f32().ok_or_else(wrong)
        });
        look(&numbers.collect::<Result<Vec<_>, _>>()?);
        Ok(())
    }

    /// The INT8 engine in use now, as the library tells it.
    fn engine(&self) -> Option<Engine> {
        None
    }

    /// The most bytes that tensors held at once on a device with memory of its own, since it was first used or
    /// since [`Session::forget_device_peak`]; absent on the CPU, and where the engine does not say.
    fn device_peak_bytes(&self) -> Option<u64> {
        None
    }

    /// Lowers that mark to what tensors hold now.
    fn forget_device_peak(&mut self) {}

    /// Runs the network on an input and shows what came of it.
    fn watch(&mut self, input: &Tensor, look: &mut dyn FnMut(&[&[f32]])) -> Result<(), BackendError> {
        self.load(input)?;
        self.forward()?;
        self.show(look)
    }

    /// Runs the network on an input and gives what came of it.
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, BackendError> {
        self.load(input)?;
        self.forward()?;
        self.outputs()
    }
}

/// A layer with examples of what it is given and should give.
pub trait Examples {
    /// Mean squared error of its outputs over all examples, with weights of the layer's shape.
    fn error(&self, weight: &[f32]) -> Result<f64, BackendError>;

    /// The derivative of the same by each weight, over some examples.
    fn gradient(&self, weight: &[f32], examples: &[usize]) -> Result<Vec<f32>, BackendError>;
}

/// An engine that failed.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("{backend} is missing: {why}")]
    Missing { backend: Backend, why: String, remedy: String },
    #[error("{doing}: {message}")]
    Engine { doing: &'static str, message: String },
    #[error("the instruction set is `{found}`, not `{wanted}` as the manifest asks")]
    Isa { wanted: &'static str, found: String },
}

impl Explain for BackendError {
    fn class(&self) -> Cause {
        match self {
            Self::Missing { .. } => Cause::EngineMissing,
            Self::Engine { .. } => Cause::Bug,
            Self::Isa { .. } => Cause::Input,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Missing { remedy, .. } => remedy.clone(),
            Self::Engine { .. } => "please report it with the manifest and the model's SHA-256".into(),
            Self::Isa { .. } => "unset ATEN_CPU_CAPABILITY, or change `compute.isa`".into(),
        })
    }
}
