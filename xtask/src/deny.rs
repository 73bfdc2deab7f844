//! The licences and sources of all dependencies, held to `deny.toml` by cargo-deny.

use std::process::Command;

use crate::{libtorch, root, run, say};

/// Newer ones may judge otherwise.
const VERSION: &str = "0.20.2";

/// Builds cargo-deny into the cache, unless it is there, and runs it.
pub(crate) fn check() -> Result<(), String> {
    let folder = libtorch::cache()?.join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        say(&format!("building cargo-deny {VERSION} (some minutes, once)"));
        let mut install = Command::new("cargo");
        // It runs for a second: optimizing it would take longer than it ever saves.
        install.args(["install", "--debug", "--locked", "--quiet", "--version", VERSION, "--root"]);
        install.arg(&folder).arg("cargo-deny").env_remove("CARGO_TARGET_DIR");
        run(&mut install).map_err(|why| format!("cargo-deny could not be built: {why}"))?;
    }
    run(Command::new(program).args(["check", "licenses", "bans"]).current_dir(root()))
}
