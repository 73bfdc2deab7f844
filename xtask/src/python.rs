//! Downloads and archives through the Python that the set-up needs anyway: its pip knows the
//! package index, and both know this machine's proxies and certificates.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Small scripts, one function each; see the file.
const SCRIPT: &str = include_str!("fetch.py");

/// The first Python 3 on the path that runs.
fn python() -> Result<&'static str, String> {
    let runs = |name: &&str| {
        let check = Command::new(name).args(["-c", "import sys; sys.exit(sys.version_info < (3, 8))"]).status();
        check.is_ok_and(|status| status.success())
    };
    ["python3", "python"].into_iter().find(runs).ok_or_else(|| "no Python 3.8 or later is on the path".to_owned())
}

fn script(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(python()?)
        .args(["-c", SCRIPT])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("Python did not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(text) } else { Err(if text.is_empty() { output.status.to_string() } else { text }) }
}

/// The folder of the installed torch, if it has exactly this version.
pub(crate) fn torch_folder(version: &str) -> Result<String, String> {
    script(&["torch-folder", version])
}

/// Downloads one file, with progress; its size must be what the server announced, and its SHA-256
/// too where the server publishes one.
pub(crate) fn download(url: &str, target: &Path) -> Result<(), String> {
    script(&["download", url, &target.to_string_lossy()]).map(drop)
}

/// Unpacks the members of zip files whose names start with one of the prefixes.
pub(crate) fn unpack(archives: &[PathBuf], target: &Path, prefixes: &[&str]) -> Result<(), String> {
    for archive in archives {
        let mut arguments =
            vec!["unpack".to_owned(), archive.to_string_lossy().into(), target.to_string_lossy().into()];
        arguments.extend(prefixes.iter().map(|prefix| (*prefix).to_owned()));
        script(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// `pip download` of pinned wheels for x86-64 Linux, whatever Python runs it.
pub(crate) fn pip_download(requirements: &Path, target: &Path) -> Result<(), String> {
    let platforms = ["manylinux_2_28_x86_64", "manylinux_2_25_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"];
    let mut command = Command::new(python()?);
    command.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    command.args(["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"]);
    platforms.iter().for_each(|platform| {
        command.args(["--platform", platform]);
    });
    command.arg("--dest").arg(target).arg("--requirement").arg(requirements);
    let status = command.status().map_err(|error| format!("pip did not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`pip download` ended with {status}; is pip installed?")) }
}
