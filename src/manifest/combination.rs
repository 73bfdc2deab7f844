//! What computes what: every combination of backend, precision and device that requant drives.

use super::{Backend, Choice as _, Device, Engine, Precision};

/// Rows of a comparison that one library computes in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combination {
    pub backend: Backend,
    pub precisions: &'static [Precision],
    pub device: Device,
    /// What `engine` may be; `None` stands for nothing said.
    pub engines: &'static [Option<Engine>],
    pub artefact: Artefact,
    /// For the page on engines: what computes, and what it takes.
    pub computes: &'static str,
    pub takes: &'static str,
}

/// The file that a row's network is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artefact {
    TorchScript,
    /// In INT8 with QuantizeLinear and DequantizeLinear (QDQ).
    Onnx,
    /// The same with ranges around zero.
    SymmetricOnnx,
}

const NOTHING_SAID: &[Option<Engine>] = &[None];

/// In the order of the page.
pub static COMBINATIONS: [Combination; 8] = [
    Combination {
        backend: Backend::Torch,
        precisions: &[Precision::Fp32],
        device: Device::Cpu,
        engines: &[None, Some(Engine::Onednn)],
        artefact: Artefact::TorchScript,
        computes: "PyTorch's operators, or oneDNN's fused ones with `engine = \"onednn\"`",
        takes: "libtorch, which requant is built on unless `--no-default-features` is said",
    },
    Combination {
        backend: Backend::Torch,
        precisions: &[Precision::Int8],
        device: Device::Cpu,
        engines: &[Some(Engine::Fbgemm), Some(Engine::Onednn), Some(Engine::X86), Some(Engine::Qnnpack)],
        artefact: Artefact::TorchScript,
        computes: "FBGEMM, oneDNN, the two together (`x86`) or QNNPACK by `engine`; oneDNN's fused operators by the step `fuse`",
        takes: "the same",
    },
    Combination {
        backend: Backend::Torch,
        precisions: &[Precision::Fp16, Precision::Bf16],
        device: Device::Cpu,
        engines: NOTHING_SAID,
        artefact: Artefact::TorchScript,
        computes: "PyTorch's operators; slow where the CPU has no such arithmetic",
        takes: "the same",
    },
    Combination {
        backend: Backend::Torch,
        precisions: &[Precision::Fp32, Precision::Fp16, Precision::Bf16],
        device: Device::Cuda,
        engines: NOTHING_SAID,
        artefact: Artefact::TorchScript,
        computes: "cuDNN and cuBLAS",
        takes: "a CUDA libtorch",
    },
    Combination {
        backend: Backend::Onnxruntime,
        precisions: &[Precision::Fp32, Precision::Int8],
        device: Device::Cpu,
        engines: NOTHING_SAID,
        artefact: Artefact::Onnx,
        computes: "its own kernels, from QDQ for INT8",
        takes: "`cargo xtask runtimes`",
    },
    Combination {
        backend: Backend::Onnxruntime,
        precisions: &[Precision::Fp32],
        device: Device::Cuda,
        engines: NOTHING_SAID,
        artefact: Artefact::Onnx,
        computes: "its CUDA execution provider",
        takes: "`cargo xtask runtimes gpu`",
    },
    Combination {
        backend: Backend::Openvino,
        precisions: &[Precision::Fp32, Precision::Int8],
        device: Device::Cpu,
        engines: NOTHING_SAID,
        artefact: Artefact::Onnx,
        computes: "its own kernels, from QDQ for INT8",
        takes: "`cargo xtask runtimes`",
    },
    Combination {
        backend: Backend::Tensorrt,
        precisions: &[Precision::Fp32, Precision::Int8],
        device: Device::Cuda,
        engines: NOTHING_SAID,
        artefact: Artefact::SymmetricOnnx,
        computes: "TensorRT, as ONNX Runtime's execution provider",
        takes: "`cargo xtask runtimes gpu`, TensorRT 10",
    },
];

impl Combination {
    /// What computes such a row; `None` where nothing does that requant drives.
    #[must_use]
    pub fn of(backend: Backend, precision: Precision, device: Device) -> Option<&'static Self> {
        let is = |one: &&Self| one.backend == backend && one.device == device && one.precisions.contains(&precision);
        COMBINATIONS.iter().find(is)
    }
}

/// The table of the page on engines.
#[must_use]
pub fn engines_table() -> String {
    let head = "| backend | precision | device | what computes | what it takes |\n|---|---|---|---|---|\n";
    let row = |one: &Combination| {
        let precisions: Vec<String> = one.precisions.iter().map(|precision| format!("`{precision}`")).collect();
        let Combination { backend, device, computes, takes, .. } = one;
        format!("| `{}` | {} | `{device}` | {computes} | {takes} |\n", backend.word(), precisions.join(", "))
    };
    COMBINATIONS.iter().map(row).fold(head.to_owned(), |table, row| table + &row)
}
