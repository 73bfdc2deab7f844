//! libtorch through tch. The only room that names tch.

mod context;
mod convert;
mod preprocess;
mod session;

use tch::{Cuda, Device as TorchDevice};

use super::{Availability, BackendError, Request, Runtime, Session, Started};
use crate::dataset::ImageArithmetic;
use crate::manifest::{Compute, Device, Isa};

pub(super) fn probe(request: Request) -> Availability {
    if request.device == Device::Cuda && !Cuda::is_available() {
        return Availability::Missing {
            why: "libtorch finds no CUDA device".into(),
            remedy: "run on a machine with an NVIDIA GPU and a CUDA libtorch".into(),
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

struct Torch;

impl Started for Torch {
    fn arithmetic(&self) -> &dyn ImageArithmetic {
        &preprocess::TorchArithmetic
    }
}

pub(super) fn start(compute: &Compute) -> Result<Box<dyn Started>, BackendError> {
    tch::set_num_threads(i32::try_from(compute.threads).unwrap_or(i32::MAX));
    // The plain interpreter: no profiling runs, no fusion, so the first call computes what the last does.
    tch::jit::f_set_profiling_mode(false).map_err(engine_error("configuring the interpreter"))?;
    tch::jit::f_set_tensor_expr_fuser_enabled(false).map_err(engine_error("configuring the interpreter"))?;
    // FP32 must mean FP32 on a GPU too.
    context::forbid_tf32();
    let found = context::cpu_capability();
    match compute.isa {
        Isa::Avx2 if found != "AVX2" => Err(BackendError::Isa { wanted: "AVX2", found }),
        _ => Ok(Box::new(Torch)),
    }
}

pub(super) fn open(request: Request, artefact: &[u8]) -> Result<Box<dyn Session>, BackendError> {
    let device = match request.device {
        Device::Cpu => TorchDevice::Cpu,
        Device::Cuda => TorchDevice::Cuda(0),
    };
    Ok(Box::new(session::TorchSession::open(artefact, device, request.engine)?))
}

pub(super) fn runtime() -> Runtime {
    Runtime {
        libtorch: context::version(),
        cpu_capability: context::cpu_capability(),
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(0),
        build: context::build(),
        environment: super::kernel_environment(),
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
