//! OpenVINO, loaded when a variant asks for it: from where a person says it is, from the cache that
//! `cargo xtask runtimes` fills, or from where the system keeps libraries.

use std::path::PathBuf;

use openvino::{CompiledModel, Core, DeviceType, ElementType, InferRequest, RwPropertyKey, Shape};

use super::library::{Library, failed};
use super::{BackendError, Session};
use crate::tensor::Tensor;

pub(super) const LIBRARY: Library = Library {
    engine: "OpenVINO",
    version: "2026.4.1",
    variable: "OPENVINO_C_LIBRARY",
    cached: ["openvino-2026.4.1", "libopenvino_c.so.2641"],
    system: "libopenvino_c.so",
    function: "ov_core_create",
};

/// Loads an ONNX file.
pub(super) fn open(artefact: &[u8], threads: usize) -> Result<Box<dyn Session>, BackendError> {
    Ok(Box::new(OpenvinoSession::open(LIBRARY.path()?, artefact, threads)?))
}

struct OpenvinoSession {
    request: InferRequest,
    outputs: usize,
    // What the request was made of lives as long as it does, and ends after it.
    _model: CompiledModel,
    _core: Core,
}

impl OpenvinoSession {
    fn open(library: PathBuf, artefact: &[u8], threads: usize) -> Result<Self, BackendError> {
        openvino_sys::library::load_from(library).map_err(failed("loading OpenVINO"))?;
        let mut core = Core::new().map_err(failed("starting OpenVINO"))?;
        let settings = [
            (RwPropertyKey::InferenceNumThreads, threads.to_string()),
            (RwPropertyKey::HintPerformanceMode, "LATENCY".to_owned()),
            // Where nothing is quantized FP32 must mean FP32, also on CPUs with shorter floats.
            (RwPropertyKey::HintInferencePrecision, "f32".to_owned()),
        ];
        let mut load = || {
            for (key, value) in &settings {
                core.set_property(&DeviceType::CPU, key, value)?;
            }
            let model = core.read_model_from_buffer(artefact, None)?;
            let mut model = core.compile_model(&model, DeviceType::CPU)?;
            Ok::<_, openvino::InferenceError>((model.create_infer_request()?, model.get_output_size()?, model))
        };
        let (request, outputs, model) = load().map_err(failed("loading the ONNX file"))?;
        Ok(Self { request, outputs, _model: model, _core: core })
    }
}

impl Session for OpenvinoSession {
    fn load(&mut self, input: &Tensor) -> Result<(), BackendError> {
        let dimensions: Vec<i64> = input.shape().iter().map(|&length| length as i64).collect();
        let mut copy = || {
            let mut tensor = openvino::Tensor::new(ElementType::F32, &Shape::new(&dimensions)?)?;
            tensor.get_data_mut::<f32>()?.copy_from_slice(input.as_f32().unwrap_or(&[]));
            self.request.set_input_tensor(&tensor)
        };
        copy().map_err(failed("copying the input"))
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        self.request.infer().map_err(failed("running the network"))
    }

    fn outputs(&self) -> Result<Vec<Tensor>, BackendError> {
        let read = |place: usize| {
            let tensor = self.request.get_output_tensor_by_index(place)?;
            let shape = tensor.get_shape()?;
            let shape = shape.get_dimensions().iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect();
            Ok::<(Vec<usize>, Vec<f32>), openvino::InferenceError>((shape, tensor.get_data::<f32>()?.to_vec()))
        };
        let tensor = |place: usize| {
            let (shape, values) = read(place).map_err(failed("reading the output"))?;
            Tensor::f32(shape, values).map_err(failed("reading the output"))
        };
        (0..self.outputs).map(tensor).collect()
    }
}
