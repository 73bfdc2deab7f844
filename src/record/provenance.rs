//! What a run was made with, besides its inputs and its machine: the commit, the build, the command.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::files;

/// Where a result came from. Nothing of the environment is kept, and of absolute paths only the last part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The command line, without the program's own path.
    pub command: Vec<String>,
    /// Of the program that ran the networks.
    pub binary: Option<Digest>,
    /// Of the `Cargo.lock` that requant was built with.
    pub dependencies: Digest,
    /// Of the repository that the manifest lies in; absent where there is none, or no `git`.
    pub git: Option<Commit>,
}

/// The state of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub id: String,
    /// Digest of `git diff HEAD`, where tracked files differ from the commit.
    pub patch: Option<Digest>,
    /// Whether the manifest itself is part of the commit, as it is.
    pub manifest_committed: bool,
}

const LOCK: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));

/// Collects what can be known of this process and of the repository around `manifest`.
#[must_use]
pub fn collect(manifest: &Path) -> Provenance {
    let own = std::env::current_exe().ok();
    Provenance {
        command: std::env::args().skip(1).map(|argument| without_folders(&argument)).collect(),
        binary: own.and_then(|path| Digest::of_reader(files::open(&path).ok()?).ok()),
        dependencies: Digest::of(LOCK),
        git: commit(manifest),
    }
}

/// Of an absolute path, alone or after `=`, the last part.
fn without_folders(argument: &str) -> String {
    let (key, value) = argument.split_once('=').map_or(("", argument), |(_, value)| {
        let key = &argument[..argument.len() - value.len()];
        (key, value)
    });
    let path = Path::new(value);
    let shown = if path.is_absolute() { path.file_name().unwrap_or_default().to_string_lossy() } else { value.into() };
    format!("{key}{shown}")
}

fn commit(manifest: &Path) -> Option<Commit> {
    let folder = manifest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = manifest.file_name()?.to_str()?;
    let id = String::from_utf8(git(folder, &["rev-parse", "HEAD"])?).ok()?.trim().to_owned();
    let changes = git(folder, &["diff", "--binary", "--no-ext-diff", "--no-textconv", "HEAD"])?;
    let of_manifest = git(folder, &["status", "--porcelain", "--", name])?;
    Some(Commit {
        id,
        patch: (!changes.is_empty()).then(|| Digest::of(&changes)),
        manifest_committed: of_manifest.is_empty(),
    })
}

/// What git prints, where it succeeds. Nothing that a repository's own settings name is started.
fn git(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "core.fsmonitor=false", "--no-optional-locks"]).args(arguments);
    let output = command.env("LC_ALL", "C").output().ok()?;
    output.status.success().then_some(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_tell_nothing_about_the_machine() {
        assert_eq!(without_folders("/home/someone/secret/m.toml"), "m.toml");
        assert_eq!(without_folders("experiments/m.toml"), "experiments/m.toml");
        assert_eq!(without_folders("--results=/scratch/runs"), "--results=runs");
        assert_eq!(without_folders("model.path=a=b"), "model.path=a=b");
    }

    #[test]
    fn a_commit_its_patch_and_a_stray_manifest_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("m.toml");
        let run = |arguments: &[&str]| git(folder.path(), arguments).unwrap();
        assert_eq!(commit(&manifest), None);
        run(&["init", "-q"]);
        files::write(&manifest, b"a").unwrap();
        run(&["add", "m.toml"]);
        run(&["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "first"]);
        let clean = commit(&manifest).unwrap();
        assert_eq!((clean.id.len(), clean.patch, clean.manifest_committed), (40, None, true));
        files::write(&manifest, b"b").unwrap();
        let dirty = commit(&manifest).unwrap();
        assert!(dirty.patch.is_some() && !dirty.manifest_committed && dirty.id == clean.id);
        let stray = folder.path().join("stray.toml");
        files::write(&stray, b"c").unwrap();
        assert!(!commit(&stray).unwrap().manifest_committed);
    }
}
