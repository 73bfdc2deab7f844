//! Links libtorch: torch-sys hands its folder over, but neither its rpath nor all of libtorch's
//! context reaches our binaries.

use std::env;
use std::fs;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/context.cpp");
    let Ok(given) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo:rerun-if-changed={given}/libtorch_cpu.so");
    // A Python installation's libraries look for CUDA's relative to their own real folder, which
    // the loader takes from the path they were found by: a link in between would hide it.
    let lib = fs::canonicalize(&given).unwrap_or_else(|_| given.into());
    compile_context(&lib);
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=dylib=torch_cpu");
    println!("cargo:rustc-link-lib=dylib=c10");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    // A CUDA libtorch registers its kernels from libtorch_cuda.so, which nothing names directly, so
    // the linker would drop it. Forcing it where it does not exist would break loading. What it
    // needs in turn is the loader's to find.
    if lib.join("libtorch_cuda.so").exists() {
        for argument in ["-Wl,--allow-shlib-undefined", "-Wl,--no-as-needed", "-ltorch", "-Wl,--as-needed"] {
            println!("cargo:rustc-link-arg-bin=requant-torch={argument}");
            println!("cargo:rustc-link-arg-tests={argument}");
        }
    }
}

fn compile_context(lib: &Path) {
    let include = lib.with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("src/context.cpp")
        .compile("requant_torch_context");
}
