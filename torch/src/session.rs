//! A TorchScript archive, loaded and ready to run.

use std::io::Cursor;

use tch::{CModule, Cuda, Device, IValue, TchError, Tensor as TorchTensor};

use super::convert::{from_torch, numbers, to_torch};
use super::{context, engine_error};
use requant::backend::{BackendError, Request, Session};
use requant::manifest::{Engine, MemoryFormat};
use requant::tensor::Tensor;

pub(super) struct TorchSession {
    module: CModule,
    device: Device,
    request: Request,
    input: Option<TorchTensor>,
    outputs: Vec<TorchTensor>,
}

impl TorchSession {
    pub(super) fn open(artefact: &[u8], device: Device, request: Request) -> Result<Self, BackendError> {
        // Weights are packed for the current engine while the archive loads.
        select(request.engine)?;
        let module = CModule::load_data_on_device(&mut Cursor::new(artefact), device);
        let module = module.map_err(engine_error("loading the TorchScript archive"))?;
        Ok(Self { module, device, request, input: None, outputs: Vec::new() })
    }
}

impl TorchSession {
    /// A GPU is asked and goes on by itself.
    fn wait(&self) {
        if let Device::Cuda(index) = self.device {
            Cuda::synchronize(index as i64);
        }
    }
}

fn select(engine: Option<Engine>) -> Result<(), BackendError> {
    match engine.filter(|engine| !context::select(*engine)) {
        Some(engine) => {
            let message = format!("libtorch did not accept `{engine}`");
            Err(BackendError::Engine { doing: "selecting the INT8 engine", message })
        }
        None => Ok(()),
    }
}

/// The same values in the same shape; operators keep the layout of what they are given.
fn laid_out(input: &TorchTensor, format: MemoryFormat) -> Result<TorchTensor, TchError> {
    match format {
        MemoryFormat::Contiguous => Ok(input.shallow_clone()),
        MemoryFormat::ChannelsLast => input.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2]),
    }
}

impl Session for TorchSession {
    fn load(&mut self, input: &Tensor) -> Result<(), BackendError> {
        // Beside the next input the last one would count as the network's memory.
        (self.input, self.outputs) = (None, Vec::new());
        let copy = || laid_out(&to_torch(input)?, self.request.memory_format)?.f_to_device(self.device);
        self.input = Some(copy().map_err(engine_error("copying the input"))?);
        self.wait();
        Ok(())
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        let _no_grad = tch::no_grad_guard();
        select(self.request.engine)?;
        let input = self.input.as_ref().map(TorchTensor::shallow_clone);
        let input = input.ok_or(BackendError::Engine { doing: "running the network", message: "no input".into() })?;
        let result = self.module.forward_is(&[IValue::Tensor(input)]).map_err(engine_error("running the network"))?;
        self.wait();
        self.outputs = match result {
            IValue::Tensor(output) => vec![output],
            IValue::TensorList(outputs) => outputs,
            other => {
                let message = format!("the network returned {other:?}");
                return Err(BackendError::Engine { doing: "running the network", message });
            }
        };
        Ok(())
    }

    fn engine(&self) -> Option<Engine> {
        context::current()
    }

    fn device_peak_bytes(&self) -> Option<u64> {
        matches!(self.device, Device::Cuda(_)).then(context::gpu_peak).flatten()
    }

    fn forget_device_peak(&mut self) {
        context::forget_gpu_peak();
    }

    fn outputs(&self) -> Result<Vec<Tensor>, BackendError> {
        self.outputs.iter().map(from_torch).collect::<Result<_, _>>().map_err(engine_error("reading the output"))
    }

    fn show(&self, look: &mut dyn FnMut(&[&[f32]])) -> Result<(), BackendError> {
        let outputs = self.outputs.iter().map(numbers).collect::<Result<Vec<_>, _>>();
        let outputs = outputs.map_err(engine_error("reading the output"))?;
        look(&outputs.iter().map(|output| &**output).collect::<Vec<_>>());
        Ok(())
    }
}
