//! libtorch through tch. No other package names tch.

// A build without the feature has nothing to offer, and no program either.
#![cfg(feature = "libtorch")]

mod context;
mod convert;
mod preprocess;
mod rounding;
mod session;

use tch::{Cuda, Device as TorchDevice};

use requant::backend::{self, Availability, BackendError, Driver, Examples, Request, Runtime, Session};
use requant::graph::Op;
use requant::manifest::{Compute, Device, Isa, Preprocess};
use requant::picture::{Image, PreprocessError, Threads};
use requant::tensor::Tensor;

/// Makes libtorch the engine of this process.
pub fn install() {
    backend::install(&Libtorch);
}

struct Libtorch;

impl Driver for Libtorch {
    fn probe(&self, request: Request) -> Availability {
        if request.device == Device::Cuda && !Cuda::is_available() {
            return Availability::Missing {
                why: "libtorch finds no CUDA device".into(),
                remedy: "run on a machine with an NVIDIA GPU, with a requant that is built on a CUDA libtorch (`cargo \
                         xtask setup` with LIBTORCH naming it)"
                    .into(),
            };
        }
        match request.engine.filter(|engine| !context::supports(*engine)) {
            Some(engine) => Availability::Missing {
                why: format!("this libtorch has no INT8 engine `{engine}`"),
                remedy: "choose another `engine`".into(),
            },
            None => Availability::Ready { detail: format!("libtorch {}", context::version()) },
        }
    }

    fn start(&self, compute: &Compute) -> Result<(), BackendError> {
        tch::set_num_threads(i32::try_from(compute.threads).unwrap_or(i32::MAX));
        // The plain interpreter: no profiling runs, no fusion, so the first call computes what the last does.
        tch::jit::f_set_profiling_mode(false).map_err(engine_error("configuring the interpreter"))?;
        tch::jit::f_set_graph_executor_optimize(false).map_err(engine_error("configuring the interpreter"))?;
        tch::jit::f_set_tensor_expr_fuser_enabled(false).map_err(engine_error("configuring the interpreter"))?;
        context::settle_gpu();
        let found = context::cpu_capability();
        match compute.isa {
            Isa::Avx2 if found != "AVX2" => Err(BackendError::Isa { wanted: "AVX2", found }),
            Isa::Avx2 | Isa::Native => Ok(()),
        }
    }

    fn preprocess(
        &self,
        images: &[Image],
        settings: &Preprocess,
        channels: usize,
        threads: Threads,
    ) -> Result<Tensor, PreprocessError> {
        if threads == Threads::Own {
            context::compute_alone();
        }
        preprocess::preprocess(images, settings, channels)
    }

    fn open(&self, request: Request, artefact: &[u8]) -> Result<Box<dyn Session>, BackendError> {
        let device = match request.device {
            Device::Cpu => TorchDevice::Cpu,
            Device::Cuda => TorchDevice::Cuda(0),
        };
        Ok(Box::new(session::TorchSession::open(artefact, device, request)?))
    }

    fn examples(&self, layer: &Op, inputs: &Tensor, outputs: &Tensor) -> Result<Box<dyn Examples>, BackendError> {
        Ok(Box::new(rounding::LayerExamples::new(layer, inputs, outputs)?))
    }

    fn runtime(&self) -> Runtime {
        Runtime {
            libtorch: context::version(),
            cpu_capability: context::cpu_capability(),
            threads: usize::try_from(tch::get_num_threads()).unwrap_or(0),
            build: context::build(),
            environment: backend::kernel_environment(),
        }
    }
}

/// The reason in libtorch's message, which is a page of interpreter and C++ stack around it.
fn reason(error: &tch::TchError) -> String {
    let message = error.to_string();
    let lines = || message.lines().map(str::trim).filter(|line| !line.is_empty());
    let named = lines().filter_map(|line| line.strip_prefix("RuntimeError: ")).next_back();
    named.or_else(|| lines().next()).unwrap_or("libtorch failed").to_owned()
}

fn engine_error(doing: &'static str) -> impl Fn(tch::TchError) -> BackendError {
    move |error| BackendError::Engine { doing, message: reason(&error) }
}
