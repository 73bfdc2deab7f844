//! The closed choices a manifest offers.

use serde::{Deserialize, Serialize};

/// A closed choice that can be listed in messages.
pub trait Choice: Copy + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
}

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

choice!(Backend { Torch = "torch", Onnxruntime = "onnxruntime", Openvino = "openvino", Tensorrt = "tensorrt", });
choice!(Precision { Fp32 = "fp32", Int8 = "int8", });
choice!(
    #[derive(Default)]
    Device {
        #[default]
        Cpu = "cpu",
        Cuda = "cuda",
    }
);
choice!(Engine { Fbgemm = "fbgemm", X86 = "x86", Onednn = "onednn", Qnnpack = "qnnpack", });
choice!(LayerPrecision { Fp32 = "fp32", });
choice!(Interpolation { Bilinear = "bilinear", Bicubic = "bicubic", Nearest = "nearest", });
choice!(Strategy {
    /// Every sample of the splits, in order.
    All = "all",
    /// The first samples, in order.
    First = "first",
    /// The samples with the smallest SHA-256(seed, sample digest).
    Random = "random",
    /// As `random`, each class in proportion to its size.
    Stratified = "stratified",
});
choice!(
    /// The widest vector instructions that libtorch may use.
    Isa {
        /// Whatever the CPU offers; figures then differ between kinds of CPU.
        Native = "native",
        /// 256-bit AVX2 without VNNI: the same numbers on every x86-64 CPU since 2013.
        Avx2 = "avx2",
    }
);
