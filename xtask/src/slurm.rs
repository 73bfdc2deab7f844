//! A Slurm for the tests, from the distribution's packages: unpacked into the cache, so that nothing is installed and
//! nobody need be root. The tests start it on the loopback and stop it (`torch/tests/it/cluster.rs`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{libtorch, say};

const PACKAGES: [&str; 8] = [
    "libhwloc15",
    "liblua5.1-0",
    "libmunge2",
    "munge",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "slurmctld",
    "slurmd",
];

/// What the distribution makes with its alternatives, which unpacking does not run.
const LINKS: [&str; 3] = ["slurmctld", "slurmd", "slurmstepd"];

/// Puts Slurm where the tests look for it, unless it is there.
pub(crate) fn fetch() -> Result<(), String> {
    let folder = libtorch::cache()?.join("slurm");
    if folder.join("usr/sbin/slurmctld").exists() {
        say(&format!("Slurm: {} (cached copy)", folder.display()));
        return Ok(());
    }
    libtorch::assembled(&folder, unpacked).map_err(|why| {
        let next = "on Debian or Ubuntu, get on-line and run `apt-get update` first";
        format!("Slurm could not be fetched, and its tests will be skipped: {why}\n  next: {next}")
    })?;
    say(&format!("Slurm: {} (fetched into the cache)", folder.display()));
    Ok(())
}

fn unpacked(workshop: &Path) -> Result<PathBuf, String> {
    let downloads = workshop.join("packages");
    let tree = workshop.join("tree");
    let io = |error: std::io::Error| error.to_string();
    fs::create_dir_all(&downloads).map_err(io)?;
    // apt gives downloading to a user of its own, who must be able to write here.
    let _ = fs::set_permissions(&downloads, std::os::unix::fs::PermissionsExt::from_mode(0o777));
    say("fetching Slurm's packages (about 4 MB)");
    if download(&downloads).is_err() {
        // A fresh machine knows no packages; only root may change that.
        run(Command::new("apt-get").args(["-q", "update"]))?;
        download(&downloads)?;
    }
    for package in fs::read_dir(&downloads).map_err(io)?.flatten() {
        run(Command::new("dpkg").arg("-x").arg(package.path()).arg(&tree))?;
    }
    for name in LINKS {
        let link = tree.join("usr/sbin").join(name);
        if !link.exists() {
            symlink(format!("{name}-wlm"), &link).map_err(io)?;
        }
    }
    Ok(tree)
}

fn download(folder: &Path) -> Result<(), String> {
    run(Command::new("apt-get").args(["-q", "download"]).args(PACKAGES).current_dir(folder))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("`{}` ended with {}: {said}", command.get_program().display(), output.status))
}
