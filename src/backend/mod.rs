//! Engines behind one trait: probe → open → run. A backend is ready, or missing with its reason;
//! nothing falls back silently.

mod library;
mod onnxruntime;
mod openvino;
pub mod program;
mod registry;

pub use registry::{Driver, examples, install, library_of, linked, open, probe, runtime, start};

use crate::base::explain::{Cause, Explain};
use crate::dataset::ImageArithmetic;
use crate::manifest::{Backend, Compute, Device, Engine, MemoryFormat, Precision, Variant};
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
    /// FP32 of the torch backend on the CPU: what calibration observes.
    pub const REFERENCE: Self = Self {
        backend: Backend::Torch,
        precision: Precision::Fp32,
        device: Device::Cpu,
        engine: None,
        memory_format: MemoryFormat::Contiguous,
    };
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

/// The process-wide part of a backend, started once with the run's compute settings. Its arithmetic
/// may be asked by one thread while another runs a [`Session`].
pub trait Started: Sync {
    fn arithmetic(&self) -> &dyn ImageArithmetic;

    /// The same for a thread that works while another runs a session: it takes no further threads,
    /// which would only be in the session's way.
    fn beside_a_session(&self) -> &dyn ImageArithmetic;
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

/// Keeps every kernel library to AVX2.
const AVX2: [(&str, &str); 3] =
    [("ATEN_CPU_CAPABILITY", "avx2"), ("ONEDNN_MAX_CPU_ISA", "AVX2"), ("FBGEMM_ENABLE_INSTRUCTIONS", "AVX2")];

/// Makes times those of the network: glibc keeps freed memory instead of handing it back and
/// faulting it in again with every pass.
const STEADY: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "33554432"), ("MALLOC_TRIM_THRESHOLD_", "1073741824")];

/// How often OpenMP's threads look for work before they sleep.
const SPIN: &str = "GOMP_SPINCOUNT";

/// While passes are timed: a millisecond or so. A thread that slept has to wait for a processor where another program
/// runs, after every operator, while one that looks for work keeps its share of the processor
/// (`docs/measurement.md` has the figures).
const SPIN_TIMED: (&str, &str) = (SPIN, "300000");

/// While nothing is timed: a few microseconds. Where another program runs, a thread that looks for work takes the
/// processor from the thread that has the work.
const SPIN_UNTIMED: (&str, &str) = (SPIN, "1000");

/// Says to the processes that this one starts that the number above is requant's choice, not the user's.
const SPIN_IS_OURS: (&str, &str) = ("GOMP_SPINCOUNT_BY", "requant");

/// On a machine with a GPU: TensorFloat-32, which NVIDIA's libraries would take for FP32, is off in all of them.
const FULL_FLOATS: (&str, &str) = ("NVIDIA_TF32_OVERRIDE", "0");

/// What the variables that bear on kernels and their times are set to where passes are timed.
#[must_use]
pub fn kernel_environment() -> std::collections::BTreeMap<String, String> {
    let names = AVX2.into_iter().chain(STEADY).chain([SPIN_TIMED, FULL_FLOATS]);
    let here = names.filter_map(|(name, _)| Some((name.to_owned(), std::env::var(name).ok()?)));
    let there = timing_environment().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    here.chain(there).collect()
}

/// What a process does with networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It calibrates and judges; what it times is timed in processes that it starts.
    Judging,
    /// It times passes itself.
    Timing,
}

/// The environment that a process which runs networks needs: it keeps every kernel library to an
/// instruction set, and makes times steady where the user has not chosen otherwise. The libraries
/// read it when they are first used, so it must be set before the process starts.
#[must_use]
pub fn environment(compute: &Compute, work: Work) -> Vec<(&'static str, &'static str)> {
    let isa = match compute.isa {
        crate::manifest::Isa::Native => [].iter(),
        crate::manifest::Isa::Avx2 => AVX2.iter(),
    };
    let is_unset = |name: &str| std::env::var_os(name).is_none();
    let ours: &[_] = match work {
        Work::Judging => &[SPIN_UNTIMED, SPIN_IS_OURS],
        Work::Timing => &[SPIN_TIMED],
    };
    let spin = ours.iter().filter(|_| is_unset(SPIN));
    let has_gpu = std::path::Path::new("/proc/driver/nvidia/version").exists();
    let steady = STEADY.iter().filter(|(name, _)| is_unset(name));
    isa.chain(steady).chain(spin).chain(has_gpu.then_some(&FULL_FLOATS)).copied().collect()
}

/// What a process that times passes is given beside the environment of the one that judges and starts it.
#[must_use]
pub fn timing_environment() -> Option<(&'static str, &'static str)> {
    let is = |(name, value): (&str, &str)| std::env::var(name).is_ok_and(|own| own == value);
    (is(SPIN_UNTIMED) && is(SPIN_IS_OURS)).then_some(SPIN_TIMED)
}
