//! The environment that kernel libraries choose their instructions by, and that makes times steady.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::files;
use crate::manifest::{Compute, Isa};

/// Keeps kernel libraries to AVX2.
const AVX2: [(&str, &str); 4] =
    [("ATEN_CPU_CAPABILITY", "avx2"), ("ONEDNN_MAX_CPU_ISA", "AVX2"), (FBGEMM, "AVX2"), (MKL, "AVX2")];

const FBGEMM: &str = "FBGEMM_ENABLE_INSTRUCTIONS";

/// Bears on Intel's CPUs alone: for those of other makers MKL has kernels of its own.
const MKL: &str = "MKL_ENABLE_INSTRUCTIONS";

/// Whether a library can be kept to AVX2 on this CPU.
fn takes_avx2(variable: &str) -> bool {
    match variable {
        FBGEMM => fbgemm_takes_avx2(),
        MKL => files::read_text(Path::new("/proc/cpuinfo")).is_ok_and(|told| told.contains("GenuineIntel")),
        _ => true,
    }
}

/// Whether FBGEMM can be kept to AVX2 here. It sizes the buffer of row offsets by what the CPU has
/// (`rowOffsetBufferSize`) and fills it by what it was told to use (`fbgemmInstructionSet`): on a CPU with AVX-512 and
/// without VNNI it would write 120 rows where 56 have room. Left alone there it takes its kernels for AVX-512, which
/// compute the same integers: both add pairs of products in 16 bits.
fn fbgemm_takes_avx2() -> bool {
    let has_avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    !has_avx512 || is_x86_feature_detected!("avx512vnni")
}

/// The variable that must not be set as it is in a process that runs networks on this CPU.
#[must_use]
pub fn harmful() -> Option<&'static str> {
    let asks = std::env::var(FBGEMM).is_ok_and(|value| value.eq_ignore_ascii_case("avx2"));
    (asks && !fbgemm_takes_avx2()).then_some(FBGEMM)
}

/// Makes times those of the network: glibc keeps freed memory instead of handing it back and
/// faulting it in again with every pass.
const STEADY: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "33554432"), ("MALLOC_TRIM_THRESHOLD_", "1073741824")];

/// How often OpenMP's threads look for work before they sleep.
const SPIN: &str = "GOMP_SPINCOUNT";

/// While passes are timed: a millisecond or so. A thread that slept has to wait for a processor where another program
/// runs, after every operator, while one that looks for work keeps its share of the processor
/// (`docs/measurement.md` has the figures).
const SPIN_TIMED: (&str, &str) = (SPIN, "300000");

/// While nothing is timed: a few microseconds. Where another program runs, a thread that looks for work takes the
/// processor from the thread that has the work.
const SPIN_UNTIMED: (&str, &str) = (SPIN, "1000");

/// Says to the processes that this one starts that the number above is requant's choice, not the user's.
const SPIN_IS_OURS: (&str, &str) = ("GOMP_SPINCOUNT_BY", "requant");

/// On a machine with a GPU: TensorFloat-32, which NVIDIA's libraries would take for FP32, is off in all of them.
const FULL_FLOATS: (&str, &str) = ("NVIDIA_TF32_OVERRIDE", "0");

/// What the variables that bear on kernels and their times are set to where passes are timed.
#[must_use]
pub fn kernel_environment() -> BTreeMap<String, String> {
    let names = AVX2.into_iter().chain(STEADY).chain([SPIN_TIMED, FULL_FLOATS]);
    let here = names.filter_map(|(name, _)| Some((name.to_owned(), std::env::var(name).ok()?)));
    let there = timing_environment().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    here.chain(there).collect()
}

/// What a process does with networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It calibrates and judges; what it times is timed in processes that it starts.
    Judging,
    /// It times passes itself.
    Timing,
}

/// The environment that a process which runs networks needs: it keeps every kernel library to an
/// instruction set, and makes times steady where the user has not chosen otherwise. The libraries
/// read it when they are first used, so it must be set before the process starts.
#[must_use]
pub fn environment(compute: &Compute, work: Work) -> Vec<(&'static str, &'static str)> {
    let isa = match compute.isa {
        Isa::Native => [].iter(),
        Isa::Avx2 => AVX2.iter(),
    };
    let isa = isa.filter(|(name, _)| takes_avx2(name));
    let is_unset = |name: &str| std::env::var_os(name).is_none();
    let ours: &[_] = match work {
        Work::Judging => &[SPIN_UNTIMED, SPIN_IS_OURS],
        Work::Timing => &[SPIN_TIMED],
    };
    let spin = ours.iter().filter(|_| is_unset(SPIN));
    let has_gpu = Path::new("/proc/driver/nvidia/version").exists();
    let steady = STEADY.iter().filter(|(name, _)| is_unset(name));
    isa.chain(steady).chain(spin).chain(has_gpu.then_some(&FULL_FLOATS)).copied().collect()
}

/// What a process that times passes is given beside the environment of the one that judges and starts it.
#[must_use]
pub fn timing_environment() -> Option<(&'static str, &'static str)> {
    let is = |(name, value): (&str, &str)| std::env::var(name).is_ok_and(|own| own == value);
    (is(SPIN_UNTIMED) && is(SPIN_IS_OURS)).then_some(SPIN_TIMED)
}
