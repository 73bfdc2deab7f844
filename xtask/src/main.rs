//! The chores of this repository, each one command on a machine with Rust, a C++ compiler and
//! Python 3 with pip.

mod deny;
mod libtorch;
mod python;
mod runtimes;
mod slurm;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask <command>

  setup     find or fetch libtorch, so that plain cargo commands work in this checkout
  runtimes  fetch ONNX Runtime and OpenVINO, for variants that name them as their backend
  runtimes gpu
            fetch ONNX Runtime's build for NVIDIA GPUs, which runs the variants on the CPU as well
  node-tests
            fetch what ONNX records for single operators, for the test that holds requant to it
  slurm     fetch Slurm, for the tests that run sweeps on it
  demo      setup, build, and run experiments/digits.toml
  test      setup, and run every test
  deny      hold the licences of all dependencies to deny.toml
  ci        everything that must hold before a change lands
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["setup"] => libtorch::set_up(root()),
        ["runtimes"] => runtimes::fetch(),
        ["runtimes", "gpu"] => runtimes::fetch_for_gpu(),
        ["node-tests"] => runtimes::fetch_operator_tests(),
        ["slurm"] => slurm::fetch(),
        ["demo"] => demo(),
        ["test"] => test(),
        ["deny"] => deny::check(),
        ["ci"] => ci(),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&message);
            ExitCode::FAILURE
        }
    }
}

/// The checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the checkout")
}

#[expect(clippy::print_stderr, reason = "this is how xtask speaks")]
fn say(line: &str) {
    eprintln!("{line}");
}

fn demo() -> Result<(), String> {
    libtorch::set_up(root())?;
    cargo(&["build", "--release"], &[])?;
    run(Command::new(root().join("target/release/requant")).args(["run", "experiments/digits.toml"]))
}

/// Runs every test and repeats the reasons of those that were skipped.
fn test() -> Result<(), String> {
    libtorch::set_up(root())?;
    // Tests of engines that are not here are skipped, and counted.
    runtimes::fetch().unwrap_or_else(|why| say(&why));
    runtimes::fetch_operator_tests().unwrap_or_else(|why| say(&why));
    slurm::fetch().unwrap_or_else(|why| say(&why));
    let log = skip_log();
    let _ = std::fs::remove_file(&log);
    let nextest = Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|o| o.status.success());
    let arguments: &[&str] = if nextest {
        &["nextest", "run", "--release", "--workspace", "--no-fail-fast"]
    } else {
        &["test", "--release", "--workspace", "--no-fail-fast"]
    };
    let result = cargo(arguments, &[("SKIPPED_TESTS_LOG", &log)]);
    let skipped = std::fs::read_to_string(&log).unwrap_or_default();
    say(&format!("{} tests were skipped", skipped.lines().count()));
    skipped.lines().for_each(|line| say(&format!("  skipped: {line}")));
    result
}

fn skip_log() -> PathBuf {
    root().join("target/skipped-tests.txt")
}

/// What must hold is listed in one place.
fn ci() -> Result<(), String> {
    run(&mut Command::new(root().join(".ci/run")))
}

fn cargo(arguments: &[&str], environment: &[(&str, &Path)]) -> Result<(), String> {
    say(&format!("$ cargo {}", arguments.join(" ")));
    let mut command = Command::new("cargo");
    // The alias ran under this checkout's configuration; the inner cargo reads it anew.
    command.args(arguments).current_dir(root()).env_remove("LIBTORCH").envs(environment.iter().copied());
    if let Some(own) = libtorch::named_by_user() {
        command.env("LIBTORCH", own);
    }
    run(&mut command)
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.current_dir(root()).status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", command.get_program().display())) }
}
