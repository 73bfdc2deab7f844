//! What several tests need: where things lie, honest skips, and the AVX2 environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use requant::tensor::Tensor;
use safetensors::{Dtype, SafeTensors};

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the shared test material, which lies beside the checkout. Without it a test says so
/// and ends; where `CI` is set its absence is a failure.
pub(crate) fn shared(relative: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(relative);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "`../shared/{relative}` is missing, and CI must not skip");
    skip(&format!("`../shared/{relative}` is not here"));
    None
}

/// Says why a test did not run, in a form that `cargo xtask test` counts.
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Runs `body` in a process whose kernels keep to AVX2, which the golden numbers were made with.
#[cfg(feature = "torch")]
pub(crate) fn under_avx2(test: &str, body: impl FnOnce()) {
    use requant::manifest::{Compute, Isa};
    let environment = requant::backend::environment(&Compute { threads: 1, isa: Isa::Avx2 });
    if environment.iter().all(|(name, value)| std::env::var(name).as_deref() == Ok(*value)) {
        return body();
    }
    let own = std::env::current_exe().expect("a test binary has a path");
    let output = Command::new(own).args(["--exact", test, "--nocapture"]).envs(environment).output();
    let output = output.expect("the test binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "under AVX2:\n{text}");
}

/// A float tensor of a safetensors file.
pub(crate) fn floats(file: &SafeTensors<'_>, name: &str) -> Tensor {
    let view = file.tensor(name).unwrap_or_else(|_| panic!("the fixture has `{name}`"));
    assert_eq!(view.dtype(), Dtype::F32);
    let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Tensor::f32(view.shape().to_vec(), values).expect("a safetensors view has the size of its shape")
}
