//! `[[variant]]`: the rows of the comparison.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Artefact, Backend, Benchmark, Choice as _, Combination, Device, Engine, FEW_IMAGES, MemoryFormat, Precision,
    Quantize, Step,
};
use crate::base::digest::Digest;
use crate::document::{Problem, problem};

/// One row of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Names the artefact.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub name: String,
    pub backend: Backend,
    pub precision: Precision,
    #[serde(default)]
    pub device: Device,
    /// Kernels of the `torch` backend on the CPU. INT8: `fbgemm` unless said otherwise. FP32: PyTorch's own
    /// operators unless `onednn` is said, which computes a convolution and its activation in one call
    /// with weights ordered at loading, as an inference compiler would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// The layout of the images that this variant is given. An FP32 baseline in the layout that suits
    /// it least makes every INT8 speedup look larger.
    #[serde(default)]
    pub memory_format: MemoryFormat,
    /// Images per batch in which this variant alone is judged and timed, one of `benchmark.batch_sizes`; otherwise it
    /// answers in batches of `evaluation.batch_size` and is timed at all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub batch_size: Option<usize>,
    /// Whether the run stops where this variant cannot run.
    #[serde(default = "yes")]
    pub required: bool,
    /// Whether the others are compared with this one; the first variant unless one says so.
    #[serde(default)]
    pub baseline: bool,
    /// Pin of the artefact that this variant must produce; `requant pin --from RUN` fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

impl Variant {
    /// INT8 of the torch backend runs on some engine; unless it is named, on FBGEMM.
    pub(super) fn with_engine(mut self) -> Self {
        if (self.backend, self.precision) == (Backend::Torch, Precision::Int8) {
            self.engine = self.engine.or(Some(Engine::Fbgemm));
        }
        self
    }

    /// The file that its network is written as; `None` where nothing computes it.
    #[must_use]
    pub fn artefact(&self) -> Option<Artefact> {
        Combination::of(self.backend, self.precision, self.device).map(|one| one.artefact)
    }

    /// The batch sizes at which it is timed.
    #[must_use]
    pub fn timed_at(&self, benchmark: &Benchmark) -> Vec<usize> {
        let own = |batch: &&usize| self.batch_size.is_none_or(|own| own == **batch);
        benchmark.batch_sizes.iter().filter(own).copied().collect()
    }
}

/// See [`Manifest::calibrates_on`](super::Manifest::calibrates_on).
pub(super) fn calibrates_on(variants: &[Variant]) -> Backend {
    let is_torch = |variant: &Variant| variant.backend == Backend::Torch;
    match variants.first().map(|first| first.backend) {
        _ if variants.iter().any(is_torch) => Backend::Torch,
        None | Some(Backend::Torch) => Backend::Torch,
        // TensorRT hands out no tensors of the middle; it is ONNX Runtime that drives it.
        Some(Backend::Onnxruntime | Backend::Tensorrt) => Backend::Onnxruntime,
        Some(Backend::Openvino) => Backend::Openvino,
    }
}

const fn yes() -> bool {
    true
}

pub(super) fn each(variants: &[Variant]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut baselines = 0;
    for (position, variant) in variants.iter().enumerate() {
        let key = |name: &str| format!("variant.{position}.{name}");
        let (backend, precision, device) = (variant.backend, variant.precision, variant.device);
        if !seen.insert(&variant.name) {
            let message = format!("is `{}`, which an earlier variant is called", variant.name);
            found.push(problem(key("name"), message, "give each variant its own name"));
        }
        // INT8 on a GPU is refused below, whatever its engine.
        let on_gpu = (device == Device::Cuda) && precision != Precision::Int8;
        if variant.engine.is_some() && (backend != Backend::Torch || on_gpu) {
            found.push(problem(key("engine"), "only applies to the torch backend on the CPU", "remove it"));
        } else if variant.engine.is_some() && precision.is_short() {
            let message = format!("does not apply to {precision}, which has kernels of PyTorch's own alone");
            found.push(problem(key("engine"), message, "remove it"));
        } else if precision == Precision::Fp32 && variant.engine.is_some_and(|engine| engine != Engine::Onednn) {
            let message = "is an engine of INT8, and this variant computes in FP32";
            found.push(problem(key("engine"), message, "remove it, or use `engine = \"onednn\"`"));
        }
        if let Some((name, message, next)) = impossible(backend, precision, variant.device) {
            found.push(problem(key(name), message, next));
        }
        if variant.memory_format != MemoryFormat::Contiguous && backend != Backend::Torch {
            found.push(problem(key("memory_format"), "only applies to the torch backend", "remove it"));
        }
        baselines += usize::from(variant.baseline);
        if variant.baseline && baselines > 1 {
            found.push(problem(
                key("baseline"),
                "is set, and an earlier variant is the baseline",
                "keep one `baseline = true`",
            ));
        }
    }
    found
}

/// The key at fault, why, and what to do, where no engine computes this, or none that requant drives.
fn impossible(backend: Backend, precision: Precision, device: Device) -> Option<(&'static str, String, &'static str)> {
    if Combination::of(backend, precision, device).is_some() {
        return None;
    }
    let on_cpu = "use `device = \"cpu\"`";
    Some(match (backend, device) {
        (Backend::Openvino, Device::Cuda) => ("device", "is `cuda`, which OpenVINO does not use".into(), on_cpu),
        (Backend::Tensorrt, Device::Cpu) => {
            ("device", "is `cpu`, and TensorRT needs a GPU".into(), "use `device = \"cuda\"`")
        }
        _ if precision.is_short() => {
            let message = format!("is `{precision}`, which requant runs on the torch backend alone");
            ("precision", message, "use `backend = \"torch\"`, or `fp32`")
        }
        (Backend::Torch, Device::Cuda) => {
            ("device", "is `cuda`, and libtorch has no INT8 kernels there".into(), on_cpu)
        }
        (Backend::Onnxruntime, Device::Cuda) => {
            let message = "is `cuda`, where ONNX Runtime would round to integers and compute in float";
            ("device", message.into(), "use `backend = \"tensorrt\"`, or `device = \"cpu\"`")
        }
        (Backend::Torch | Backend::Onnxruntime | Backend::Openvino, Device::Cpu)
        | (Backend::Tensorrt, Device::Cuda) => {
            let message = format!("is `{precision}`, which {} does not compute", backend.word());
            ("precision", message, "use `fp32` or `int8`")
        }
    })
}

/// What libtorch alone can do, in a manifest without a variant of it: rounding is learned with derivatives, and the fused
/// kernels of single layers are its own.
pub(super) fn of_libtorch(variants: &[Variant], quantize: &Quantize) -> Vec<Problem> {
    let backend = calibrates_on(variants);
    if backend == Backend::Torch {
        return Vec::new();
    }
    let steps = quantize.steps.iter().flatten().filter_map(|step| {
        let why = match step {
            Step::AdaRound => "learns with libtorch",
            Step::Fuse => "chooses kernels of libtorch",
            Step::SmallBatches => "writes a second network for libtorch",
            Step::Equalize
            | Step::FloatStem
            | Step::ProductsOnly
            | Step::BoundWeights
            | Step::BiasCorrection
            | Step::SequentialBiasCorrection => return None,
        };
        let message = format!("has `{step}`, which {why}, and this manifest calibrates on `{backend}`");
        Some(problem("quantize.steps", message, "remove the step, or add a variant of `torch`"))
    });
    let layers = quantize.layer.iter().enumerate().filter(|(_, layer)| layer.kernel.is_some()).map(|(position, _)| {
        let message = format!("names a kernel of libtorch, and this manifest calibrates on `{backend}`");
        problem(format!("quantize.layer.{position}.kernel"), message, "remove it, or add a variant of `torch`")
    });
    steps.chain(layers).collect()
}

/// Rows about one size of batches name one that is timed, of the baseline too; and rows whose answers depend on the
/// size of batches name one.
pub(super) fn batches(variants: &[Variant], quantize: &Quantize, benchmark: &Benchmark) -> Vec<Problem> {
    let timed = &benchmark.batch_sizes;
    let two_ways = quantize.steps.as_ref().is_some_and(|steps| steps.contains(&Step::SmallBatches));
    let baseline = variants.iter().find(|variant| variant.baseline).or(variants.first());
    let baseline = baseline.and_then(|variant| variant.batch_size);
    let mut found = Vec::new();
    for (position, variant) in variants.iter().enumerate() {
        let key = format!("variant.{position}.batch_size");
        let two_ways = two_ways && (variant.backend, variant.precision) == (Backend::Torch, Precision::Int8);
        match (variant.batch_size, baseline) {
            (Some(own), _) if !timed.contains(&own) => {
                let next = format!("use one of {timed:?}, or add it to `benchmark.batch_sizes`");
                found.push(problem(key, format!("is {own}, which is not timed"), next));
            }
            (Some(own), Some(theirs)) if own != theirs => {
                let message = format!("is {own}, and the baseline is timed at {theirs} alone");
                found.push(problem(key, message, "leave `batch_size` out of the baseline"));
            }
            (None, _) if two_ways => {
                let message = "is missing: with the step `small-batches` answers depend on the size of batches";
                let next = format!("give one row a size below {FEW_IMAGES} and another a larger one");
                found.push(problem(key, message, next));
            }
            _ => {}
        }
    }
    found
}
