//! A network in the file format that a backend takes.

use super::BackendError;
use crate::codec::{Form, onnx, torchscript};
use crate::graph::Graph;
use crate::manifest::Backend;

/// The bytes of an artefact that `backend` opens. TensorRT's integers have ranges of their own, which
/// [`onnx::write_symmetric`] writes: it is given none here.
pub fn encode(backend: Backend, graph: &Graph, form: Form<'_>) -> Result<Vec<u8>, BackendError> {
    match backend {
        Backend::Torch => torchscript::write(graph, form).map_err(|error| unwritten(error.to_string())),
        Backend::Onnxruntime | Backend::Openvino => Ok(onnx::write(graph, form)),
        Backend::Tensorrt => Err(unwritten("TensorRT has no network but that of its row".to_owned())),
    }
}

fn unwritten(message: String) -> BackendError {
    BackendError::Engine { doing: "writing the network", message }
}
