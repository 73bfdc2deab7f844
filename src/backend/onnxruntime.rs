//! ONNX Runtime, loaded when a variant asks for it: from where a person says it is, from the cache that
//! `cargo xtask runtimes` fills, or from where the system keeps libraries.

use std::path::Path;

use ort::session::Session as Network;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Tensor as OrtTensor, TensorRef};

use super::library::{Library, failed};
use super::{BackendError, Session};
use crate::tensor::Tensor;

pub(super) const LIBRARY: Library = Library {
    engine: "ONNX Runtime",
    version: "1.23.2",
    variable: "ORT_DYLIB_PATH",
    cached: ["onnxruntime-1.23.2", "libonnxruntime.so.1.23.2"],
    system: "libonnxruntime.so",
    function: "OrtGetApiBase",
};

/// Loads an ONNX file.
pub(super) fn open(artefact: &[u8], threads: usize) -> Result<Box<dyn Session>, BackendError> {
    Ok(Box::new(OrtSession::open(&LIBRARY.path()?, artefact, threads)?))
}

struct OrtSession {
    network: Network,
    input: Option<OrtTensor<f32>>,
    outputs: Vec<Tensor>,
}

impl OrtSession {
    fn open(library: &Path, artefact: &[u8], threads: usize) -> Result<Self, BackendError> {
        let start = failed("starting ONNX Runtime");
        ort::init_from(library.to_string_lossy()).with_telemetry(false).commit().map_err(start)?;
        let network = || -> ort::Result<Network> {
            Network::builder()?
                .with_optimization_level(GraphOptimizationLevel::Level3)?
                .with_intra_threads(threads)?
                .with_inter_threads(1)?
                .commit_from_memory(artefact)
        };
        let network = network().map_err(failed("loading the ONNX file"))?;
        Ok(Self { network, input: None, outputs: Vec::new() })
    }
}

impl Session for OrtSession {
    fn load(&mut self, input: &Tensor) -> Result<(), BackendError> {
        let values = input.as_f32().unwrap_or(&[]).to_vec();
        let tensor = OrtTensor::from_array((input.shape().to_vec(), values));
        self.input = Some(tensor.map_err(failed("copying the input"))?);
        Ok(())
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        let Some(input) = &self.input else {
            return Err(BackendError::Engine { doing: "running the network", message: "no input".into() });
        };
        let input: TensorRef<'_, f32> = input.view();
        let outputs = self.network.run(ort::inputs![input]).map_err(failed("running the network"))?;
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
