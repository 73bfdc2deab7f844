//! Libraries of other engines, which requant loads when a manifest asks for them.

use std::fs;
use std::path::Path;

use crate::{libtorch, python, say};

/// The version that requant looks for (`src/backend/onnxruntime.rs`).
const ONNXRUNTIME: &str = "1.23.2";

/// Its PyPI wheel; every CPython version's holds the same library.
const WHEEL: &str = "\
onnxruntime==1.23.2 --hash=sha256:da44b99206e77734c5819aa2142c69e64f3b46edc3bd314f6a45a932defc0b3e
";

/// Puts the libraries where requant looks for them, unless they are there.
pub(crate) fn fetch() -> Result<(), String> {
    let folder = libtorch::cache()?.join(format!("onnxruntime-{ONNXRUNTIME}"));
    let library = format!("libonnxruntime.so.{ONNXRUNTIME}");
    if folder.join(&library).is_file() {
        say(&format!("ONNX Runtime {ONNXRUNTIME}: {} (cached copy)", folder.display()));
        return Ok(());
    }
    libtorch::assembled(&folder, |workshop| {
        say("fetching the wheel of ONNX Runtime (about 17 MB)");
        let downloads = workshop.join("wheels");
        fs::create_dir_all(&downloads).map_err(|error| error.to_string())?;
        let requirements = workshop.join("requirements.txt");
        fs::write(&requirements, WHEEL).map_err(|error| error.to_string())?;
        python::pip_download(&requirements, &downloads)?;
        let files = fs::read_dir(&downloads).map_err(|error| error.to_string())?;
        let files: Vec<_> = files.flatten().map(|entry| entry.path()).collect();
        let parts = ["onnxruntime/capi/libonnxruntime.so", "onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"];
        python::unpack(&files, workshop, &parts)?;
        let unpacked = workshop.join("onnxruntime");
        let place = |from: &Path| fs::rename(from, unpacked.join(&library)).map_err(|error| error.to_string());
        place(&unpacked.join("capi").join(&library))?;
        Ok(unpacked)
    })
    .map_err(|why| format!("ONNX Runtime could not be fetched: {why}\n  next: get on-line and try again, or name a library with ORT_DYLIB_PATH"))?;
    say(&format!("ONNX Runtime {ONNXRUNTIME}: {} (fetched into the cache)", folder.display()));
    Ok(())
}
