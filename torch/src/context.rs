//! libtorch's global context, through the small C++ file beside this one.

#![expect(unsafe_code, reason = "calls into context.cpp")]

use std::ffi::c_int;

use requant::manifest::{Choice as _, Engine};

unsafe extern "C" {
    fn requant_compute_alone();
    fn requant_supports_engine(id: c_int) -> c_int;
    fn requant_set_engine(id: c_int) -> c_int;
    fn requant_engine() -> c_int;
    fn requant_settle_gpu();
    fn requant_gpu_peak() -> i64;
    fn requant_forget_gpu_peak();
    fn requant_cpu_capability(buffer: *mut u8, capacity: usize) -> usize;
    fn requant_build(buffer: *mut u8, capacity: usize) -> usize;
    fn requant_version(buffer: *mut u8, capacity: usize) -> usize;
}

/// The numbers of `c10::QEngine`.
const fn id(engine: Engine) -> c_int {
    match engine {
        Engine::Fbgemm => 1,
        Engine::Qnnpack => 2,
        Engine::Onednn => 3,
        Engine::X86 => 4,
    }
}

/// Keeps what the calling thread asks of libtorch on that thread alone.
pub(super) fn compute_alone() {
    // SAFETY: sets a variable of the calling thread.
    unsafe { requant_compute_alone() }
}

pub(super) fn supports(engine: Engine) -> bool {
    // SAFETY: takes and returns plain integers.
    unsafe { requant_supports_engine(id(engine)) != 0 }
}

/// Makes an engine the current one; returns whether it took.
pub(super) fn select(engine: Engine) -> bool {
    // SAFETY: takes and returns plain integers; C++ exceptions are caught on the other side.
    unsafe { requant_set_engine(id(engine)) != 0 }
}

/// The current engine, where it is one that manifests can name.
pub(super) fn current() -> Option<Engine> {
    // SAFETY: returns a plain integer.
    let now = unsafe { requant_engine() };
    Engine::ALL.iter().copied().find(|engine| id(*engine) == now)
}

/// Makes GPUs compute FP32 in FP32, and the same twice.
pub(super) fn settle_gpu() {
    // SAFETY: sets flags.
    unsafe { requant_settle_gpu() }
}

/// The most bytes that tensors held on the first GPU at once, where somebody counts them.
pub(super) fn gpu_peak() -> Option<u64> {
    // SAFETY: returns a plain integer; C++ exceptions are caught on the other side.
    u64::try_from(unsafe { requant_gpu_peak() }).ok()
}

/// Lowers that mark to what they hold now.
pub(super) fn forget_gpu_peak() {
    // SAFETY: takes and returns nothing; C++ exceptions are caught on the other side.
    unsafe { requant_forget_gpu_peak() }
}

fn text(fill: unsafe extern "C" fn(*mut u8, usize) -> usize) -> String {
    let mut buffer = vec![0; 8192];
    // SAFETY: the callee writes at most the capacity it is given and returns how much it wrote.
    let length = unsafe { fill(buffer.as_mut_ptr(), buffer.len()) };
    buffer.truncate(length);
    String::from_utf8_lossy(&buffer).into_owned()
}

pub(super) fn cpu_capability() -> String {
    text(requant_cpu_capability)
}

/// libtorch's account of itself, without the flags and folders of the machine it was built on; of
/// those only the commit says what the library is.
pub(super) fn build() -> String {
    let told = text(requant_build);
    let parts = told.lines().skip(1).filter_map(|line| {
        let line = line.trim().trim_start_matches("- ");
        match line.strip_prefix("Build settings:") {
            Some(settings) => settings.split(',').map(str::trim).find(|setting| setting.starts_with("COMMIT_SHA=")),
            None => Some(line),
        }
    });
    parts.collect::<Vec<_>>().join("; ")
}

pub(super) fn version() -> String {
    text(requant_version)
}
