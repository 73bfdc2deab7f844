//! The closed choices a manifest offers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A closed choice that can be listed in messages.
pub trait Choice: Copy + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
}

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+ }

        impl Choice for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

choice!(
    /// What is judged of a model's outputs.
    #[derive(Default)]
    Task {
        /// Whether the class is right: one output of one score per class, and labels.
        #[default]
        Classification = "classification",
        /// How far every output lies from the baseline's: any number of float outputs of any shape, and no labels.
        Fidelity = "fidelity",
    }
);
impl Task {
    /// Whether it is what manifests mean that do not say.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::Classification
    }
}
choice!(
    /// How samples are stored.
    DatasetFormat {
        /// `<split>/<class>/<image>` or `<class>/<image>` as PNG, JPEG, BMP, WebP, TIFF or PPM/PGM, in a folder, `.tar`, `.tar.gz` or `.zip`.
        ImageFolder = "image-folder",
        /// The binary version of CIFAR-10, in a folder or archive.
        Cifar10 = "cifar10",
        /// The binary version of CIFAR-100 with its fine labels, in a folder or archive.
        Cifar100 = "cifar100",
        /// MNIST's IDX files, plain or gzipped, in a folder or archive.
        Idx = "idx",
        /// A header, then rows of a label and pixels; the label is the column `label`, or the first.
        Csv = "csv",
        /// Images without labels, at any depth of a folder or archive, in the formats of `image-folder`; the top folders are the splits, or
        /// `all` where images lie on top. For `task = "fidelity"`.
        Images = "images",
        /// The UCI optical digits that requant carries, or a CSV file of the same form.
        Digits = "digits",
    }
);
choice!(
    /// What full intensity becomes.
    #[derive(Default)]
    PixelScale {
        /// 1, as `ToTensor` has it.
        #[default]
        Unit = "0..1",
        /// 255: the numbers of the file.
        Bytes = "0..255",
    }
);
impl PixelScale {
    /// Whether it is what manifests mean that do not say.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::Unit
    }
}
choice!(
    /// The library that runs a variant.
    Backend {
        /// libtorch.
        Torch = "torch",
        /// ONNX Runtime.
        Onnxruntime = "onnxruntime",
        /// OpenVINO.
        Openvino = "openvino",
        /// NVIDIA TensorRT.
        Tensorrt = "tensorrt",
    }
);
choice!(
    /// What a variant computes in.
    Precision {
        /// 32-bit floating point.
        Fp32 = "fp32",
        /// Floating point of 16 bits with 11 of significand (IEEE 754 binary16), on the `torch` backend.
        Fp16 = "fp16",
        /// Floating point of 16 bits with 8 of significand and the range of `fp32`, on the `torch` backend.
        Bf16 = "bf16",
        /// 8-bit integers where the recipe quantizes.
        Int8 = "int8",
    }
);
impl Precision {
    /// From 1 to the next number, of a floating type.
    #[must_use]
    pub const fn epsilon(self) -> Option<f32> {
        match self {
            Self::Fp32 => Some(f32::EPSILON),
            Self::Fp16 => Some(1.0 / 1024.0),
            Self::Bf16 => Some(1.0 / 128.0),
            Self::Int8 => None,
        }
    }

    /// Whether its floating type has 16 bits.
    #[must_use]
    pub const fn is_short(self) -> bool {
        matches!(self, Self::Fp16 | Self::Bf16)
    }
}

choice!(
    /// Where a variant computes.
    #[derive(Default)]
    Device {
        /// The processor.
        #[default]
        Cpu = "cpu",
        /// The first NVIDIA GPU.
        Cuda = "cuda",
    }
);
choice!(
    /// The order in which an engine holds the values of images.
    #[derive(Default)]
    MemoryFormat {
        /// Channel after channel (NCHW), as PyTorch unless told otherwise.
        #[default]
        Contiguous = "contiguous",
        /// Pixel after pixel with all its channels (NHWC), in which INT8 kernels always work and FP32
        /// convolutions are often faster.
        ChannelsLast = "channels_last",
    }
);
choice!(
    /// The INT8 kernels of libtorch.
    Engine {
        /// FBGEMM, for x86-64.
        Fbgemm = "fbgemm",
        /// FBGEMM or oneDNN, whichever PyTorch prefers for a shape.
        X86 = "x86",
        /// oneDNN.
        Onednn = "onednn",
        /// QNNPACK, for ARM.
        Qnnpack = "qnnpack",
    }
);
choice!(
    /// Named sets of quantization choices.
    Recipe {
        /// `torch.ao.quantization` FX graph mode with `get_default_qconfig_mapping("fbgemm")`.
        FxDefault = "fx-default",
        /// As `fx-default`, with plain minimum and maximum for activations.
        Minmax = "minmax",
        /// As `fx-default`, with the central 99.99 % of each activation.
        Percentile = "percentile",
        /// As `fx-default`, with the range of least squared error for the bits that activations have.
        Mse = "mse",
        /// As `fx-default`, with the range that changes each activation's distribution the least (Kullback-Leibler).
        Kl = "kl",
        /// Chooses observer and steps by measuring candidates on the calibration samples.
        Robust = "robust",
    }
);
choice!(
    /// What a recipe does beyond observing and rounding, in the order in which it is done.
    Step {
        /// Evens out channels of one tensor by powers of two, which leaves the float network's function the same to the bit.
        Equalize = "equalize",
        /// Keeps the first convolution and its activation in float: all later layers inherit what it loses.
        FloatStem = "float-stem",
        /// Integers only for dense convolutions and linear layers; what lies between them stays in float.
        ProductsOnly = "products-only",
        /// Convolutions and the activations after them in one call of oneDNN: on integers where what comes out is needed in float; in float where they are depthwise, over many pixels. Sums of two integer tensors stay integers.
        Fuse = "fuse",
        /// Two ways through one archive: batches of fewer than 8 images go without `float-stem`, `products-only` and `fuse`, whose calls cost more each; larger ones with them.
        SmallBatches = "small-batches",
        /// 8-bit activations, and weights scaled so that no pair of products leaves 16 bits on CPUs without VNNI.
        BoundWeights = "bound-weights",
        /// Learns layer by layer whether a weight is rounded up or down, so that the layer's output is kept (AdaRound).
        AdaRound = "adaround",
        /// Moves each integer layer's bias by what its channels' means lost, every layer on clean inputs.
        BiasCorrection = "bias-correction",
        /// Moves each integer layer's bias by what its channels' means lost in the running network, one layer after the other.
        SequentialBiasCorrection = "sequential-bias-correction",
    }
);
/// Batches of fewer images go their own way where the step `small-batches` is taken.
pub const FEW_IMAGES: usize = 8;

choice!(
    /// How many weights share a scale.
    Granularity {
        /// Those of one output channel.
        PerChannel = "per-channel",
        /// All of a layer.
        PerTensor = "per-tensor",
    }
);
choice!(
    /// What chooses the range of an activation.
    LayerObserver {
        /// The range of least squared error over a histogram of 2 048 bins.
        Histogram = "histogram",
        /// The smallest and largest value seen.
        Minmax = "minmax",
        /// The central 99.99 % of the values.
        Percentile = "percentile",
        /// The range of least squared error for the bits that activations have.
        Mse = "mse",
        /// The range that changes the distribution the least (Kullback-Leibler).
        Kl = "kl",
    }
);
choice!(
    /// The precision that an exception keeps its layers in.
    LayerPrecision {
        /// 32-bit floating point.
        Fp32 = "fp32",
        /// 8-bit integers, where the recipe keeps in float what has an INT8 form.
        Int8 = "int8",
    }
);
choice!(
    /// What computes a layer's integers.
    LayerKernel {
        /// The variant's engine.
        Engine = "engine",
        /// oneDNN, a convolution and the activation after it in one call that gives float, as the step `fuse` has it; where what comes out is needed as integers, the engine all the same.
        Fused = "fused",
    }
);
choice!(
    /// How resizing computes a pixel.
    Interpolation {
        /// From four neighbours.
        Bilinear = "bilinear",
        /// From sixteen neighbours.
        Bicubic = "bicubic",
        /// The nearest pixel.
        Nearest = "nearest",
        /// Of `resize_by = "pillow"` alone, as the next two: the mean of the pixels that a pixel covers.
        Box = "box",
        /// Four neighbours and a window of Hamming's.
        Hamming = "hamming",
        /// Thirty-six neighbours.
        Lanczos = "lanczos",
    }
);
choice!(
    /// Whose resizing it is.
    ResizeBy {
        /// PyTorch's, of tensors: in floats.
        Tensor = "tensor",
        /// Pillow 13's, of images, as torchvision and timm resize what a file holds: in bytes, which are cropped and then scaled.
        Pillow = "pillow",
        /// Pillow's up to 12: the same but for tall images, of which it narrows the rows first.
        Pillow12 = "pillow-12",
    }
);
choice!(
    /// How samples are chosen.
    Strategy {
        /// Every sample of the splits, in order.
        All = "all",
        /// The first samples, in order.
        First = "first",
        /// The samples with the smallest SHA-256 of `SEED:DIGEST`.
        Random = "random",
        /// As `random`, each class in proportion to its size.
        Stratified = "stratified",
        /// The ids in the file `list`, in its order.
        List = "list",
    }
);
choice!(
    /// The widest vector instructions that libtorch may use.
    Isa {
        /// Whatever the CPU offers; figures then differ between kinds of CPU.
        Native = "native",
        /// 256-bit AVX2 without VNNI: the same numbers on every CPU with AVX2 of one maker, Intel or AMD.
        Avx2 = "avx2",
    }
);
