//! Libraries of other engines, which requant loads when a manifest asks for them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{libtorch, python, say};

/// A PyPI wheel of which requant looks for a part (`src/backend/`, `torch/tests/it/operators.rs`). Every CPython version's wheel holds the same
/// libraries, so one is pinned for all.
struct Runtime {
    name: &'static str,
    /// The folder in the cache.
    folder: &'static str,
    megabytes: u32,
    /// The pinned wheel.
    wheel: &'static str,
    /// Where the libraries lie in it, and which of them are kept, by the beginning of their names.
    home: &'static str,
    kept: &'static [&'static str],
    /// What must be there in the end.
    library: &'static str,
}

/// The tests that ONNX records for its operators: the last version whose package has them for the opsets that
/// requant reads.
const OPERATOR_TESTS: Runtime = Runtime {
    name: "ONNX's node tests",
    folder: "onnx-1.18.0",
    megabytes: 17,
    wheel: "onnx==1.18.0 --hash=sha256:6acafb3823238bbe8f4340c7ac32fb218689442e074d797bee1c5c9a02fdae75\n",
    home: "onnx/backend/test/data/node",
    kept: &["test_"],
    library: "test_relu/model.onnx",
};

/// For CUDA 13 and cuDNN 9, which the loader has to find.
const GPU: Runtime = Runtime {
    name: "ONNX Runtime for GPUs",
    folder: "onnxruntime-gpu-1.27.0",
    megabytes: 220,
    wheel: "onnxruntime-gpu==1.27.0 --hash=sha256:404fb845dc06a04a28df5a2c6d5967bcf3f534e7df0b98507ff81686a1b49594\n",
    home: "onnxruntime/capi",
    kept: &["libonnxruntime.so", "libonnxruntime_providers_"],
    library: "libonnxruntime.so.1.27.0",
};

const RUNTIMES: [Runtime; 2] = [
    Runtime {
        name: "ONNX Runtime",
        folder: "onnxruntime-1.23.2",
        megabytes: 17,
        wheel: "onnxruntime==1.23.2 --hash=sha256:da44b99206e77734c5819aa2142c69e64f3b46edc3bd314f6a45a932defc0b3e\n",
        home: "onnxruntime/capi",
        kept: &["libonnxruntime.so"],
        library: "libonnxruntime.so.1.23.2",
    },
    Runtime {
        name: "OpenVINO",
        folder: "openvino-2026.4.1",
        megabytes: 59,
        wheel: "openvino==2026.4.1 --hash=sha256:2d22b1da03f7caf74df30e9f6417d0ab2f637e4a38e08e1dcd294d2c37407aaf\n",
        home: "openvino/libs",
        kept: &[
            "libopenvino.so",
            "libopenvino_c.so",
            "libopenvino_onnx_frontend.so",
            "libopenvino_intel_cpu_plugin.so",
            "libtbb",
            "libhwloc",
        ],
        library: "libopenvino_c.so.2641",
    },
];

/// Puts the libraries where requant looks for them, unless they are there.
pub(crate) fn fetch() -> Result<(), String> {
    let failures: Vec<String> = RUNTIMES.iter().filter_map(|runtime| one(runtime).err()).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Puts the build with execution providers for GPUs where requant looks for it.
pub(crate) fn fetch_for_gpu() -> Result<(), String> {
    one(&GPU)
}

/// Puts the tests of single operators where requant's own tests look for them.
pub(crate) fn fetch_operator_tests() -> Result<(), String> {
    one(&OPERATOR_TESTS)
}

fn one(runtime: &Runtime) -> Result<(), String> {
    let folder = libtorch::cache()?.join(runtime.folder);
    if folder.join(runtime.library).is_file() {
        say(&format!("{}: {} (cached copy)", runtime.name, folder.display()));
        return Ok(());
    }
    let fetched = libtorch::assembled(&folder, |workshop| unpacked(runtime, workshop));
    fetched.map_err(|why| {
        let next = "get on-line and try again, or name a library as `requant doctor` says";
        format!("{} could not be fetched: {why}\n  next: {next}", runtime.name)
    })?;
    say(&format!("{}: {} (fetched into the cache)", runtime.name, folder.display()));
    Ok(())
}

fn unpacked(runtime: &Runtime, workshop: &Path) -> Result<PathBuf, String> {
    say(&format!("fetching the wheel of {} (about {} MB)", runtime.name, runtime.megabytes));
    let downloads = workshop.join("wheels");
    fs::create_dir_all(&downloads).map_err(|error| error.to_string())?;
    let requirements = workshop.join("requirements.txt");
    fs::write(&requirements, runtime.wheel).map_err(|error| error.to_string())?;
    python::pip_download(&requirements, &downloads)?;
    let files = fs::read_dir(&downloads).map_err(|error| error.to_string())?;
    let files: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
    let kept: Vec<String> = runtime.kept.iter().map(|name| format!("{}/{name}", runtime.home)).collect();
    python::unpack(&files, workshop, &kept.iter().map(String::as_str).collect::<Vec<_>>())?;
    let home = workshop.join(runtime.home);
    if home.join(runtime.library).is_file() {
        Ok(home)
    } else {
        Err(format!("`{}` is not in its wheel", runtime.library))
    }
}
