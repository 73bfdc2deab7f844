//! ONNX Runtime, loaded when a variant asks for it: from where a person says it is, from the cache that
//! `cargo xtask runtimes` fills, or from where the system keeps libraries. On a GPU its execution providers compute:
//! CUDA's, and TensorRT's.

mod provider;

use std::path::Path;

use ort::io_binding::IoBinding;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session as Network;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::Tensor as OrtTensor;

use super::library::{Library, failed};
use super::{Availability, BackendError, Request, Session};
use crate::tensor::Tensor;

const CPU: Library = Library {
    engine: "ONNX Runtime",
    version: "1.23.2",
    variable: "ORT_DYLIB_PATH",
    cached: ["onnxruntime-1.23.2", "libonnxruntime.so.1.23.2"],
    system: "libonnxruntime.so",
    function: "OrtGetApiBase",
};

/// The build with execution providers for GPUs, which computes on the CPU as well.
const GPU: Library =
    Library { version: "1.27.0 for GPUs", cached: ["onnxruntime-gpu-1.27.0", "libonnxruntime.so.1.27.0"], ..CPU };

/// A process can load one library: where the build for GPUs was fetched, all rows run on it.
pub(super) fn library() -> &'static Library {
    if GPU.is_cached() { &GPU } else { &CPU }
}

/// Whether a request can be served here.
pub(super) fn probe(request: Request) -> Availability {
    provider::lacking(request).unwrap_or_else(|| library().probe())
}

/// Loads an ONNX file.
pub(super) fn open(request: Request, artefact: &[u8], threads: usize) -> Result<Box<dyn Session>, BackendError> {
    Ok(Box::new(OrtSession::open(&library().path()?, request, artefact, threads)?))
}

struct OrtSession {
    network: Network,
    /// Holds the input where the network computes, so that copying it is no part of a pass.
    binding: IoBinding,
    outputs: Vec<Tensor>,
}

impl OrtSession {
    fn open(library: &Path, request: Request, artefact: &[u8], threads: usize) -> Result<Self, BackendError> {
        let start = failed("starting ONNX Runtime");
        ort::init_from(library.to_string_lossy()).with_telemetry(false).commit().map_err(start)?;
        let network = || -> ort::Result<Network> {
            let network = Network::builder()?
                .with_optimization_level(GraphOptimizationLevel::Level3)?
                .with_intra_threads(threads)?
                .with_inter_threads(1)?;
            provider::added(network, request)?.commit_from_memory(artefact)
        };
        let network = network().map_err(failed("loading the ONNX file"))?;
        let binding = network.create_binding().map_err(failed("loading the ONNX file"))?;
        Ok(Self { network, binding, outputs: Vec::new() })
    }

    fn bind(&mut self, input: &Tensor) -> ort::Result<()> {
        let values = input.as_f32().unwrap_or(&[]).to_vec();
        let tensor = OrtTensor::from_array((input.shape().to_vec(), values))?;
        for input in &self.network.inputs {
            self.binding.bind_input(&input.name, &tensor)?;
        }
        // Memory of the outputs before has their shape.
        self.binding.clear_outputs();
        for output in &self.network.outputs {
            let host = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput)?;
            self.binding.bind_output_to_device(&output.name, &host)?;
        }
        self.binding.synchronize_inputs()
    }
}

impl Session for OrtSession {
    fn load(&mut self, input: &Tensor) -> Result<(), BackendError> {
        self.bind(input).map_err(failed("copying the input"))
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        let outputs = self.network.run_binding(&self.binding).map_err(failed("running the network"))?;
        // Some numbers per image: nothing beside what it took to compute them.
        let copy = |(_, value): (&str, ort::value::ValueRef<'_>)| {
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(failed("reading the output"))?;
            let shape = shape.iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect();
            Tensor::f32(shape, values.to_vec()).map_err(failed("reading the output"))
        };
        self.outputs = outputs.iter().map(copy).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn outputs(&self) -> Result<Vec<Tensor>, BackendError> {
        Ok(self.outputs.clone())
    }
}
