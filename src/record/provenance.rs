//! What a run was made with, besides its inputs and its machine: the commit, the build, the command.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::files;

/// Where a result came from, as things stood when the run began. Nothing of the environment is kept, and of absolute
/// paths only the last part.
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
    /// Digest of what `git diff HEAD` prints of the whole repository under git's own settings, where tracked
    /// files differ from the commit.
    pub patch: Option<Digest>,
    /// Files that are neither part of the commit nor ignored; with them or a patch the tree is dirty.
    #[serde(default)]
    pub untracked: Option<usize>,
    /// Whether the manifest itself is part of the commit, as it is.
    pub manifest_committed: bool,
}

const LOCK: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));

/// Collects what can be known of this process and of the repository around `manifest`.
#[must_use]
pub fn collect(manifest: &Path) -> Provenance {
    let own = std::env::current_exe().ok();
    Provenance {
        command: std::env::args_os().skip(1).map(|argument| without_folders(&argument.to_string_lossy())).collect(),
        binary: own.and_then(|path| Digest::of_reader(files::open(&path).ok()?).ok()),
        dependencies: Digest::of(LOCK),
        git: commit(manifest),
    }
}

/// Of an absolute path, alone or after any `=`, the last part.
fn without_folders(argument: &str) -> String {
    let part = |part: &str| {
        let path = Path::new(part.trim_matches('"'));
        let shown = path.is_absolute().then(|| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        shown.unwrap_or_else(|| part.to_owned())
    };
    argument.split('=').map(part).collect::<Vec<_>>().join("=")
}

fn commit(manifest: &Path) -> Option<Commit> {
    let folder = manifest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = manifest.file_name()?.to_str()?;
    let id = String::from_utf8(git(folder, &["rev-parse", "HEAD"])?).ok()?.trim().to_owned();
    // Settings of the user or the repository would change what the digest covers.
    let plain = ["--binary", "--no-ext-diff", "--no-textconv", "--no-relative", "--no-color", "--unified=3"];
    let fixed = [
        "--src-prefix=a/",
        "--dst-prefix=b/",
        "--diff-algorithm=myers",
        "--no-renames",
        "--full-index",
        "--inter-hunk-context=0",
        "-O/dev/null",
    ];
    let changes = git(folder, &[&["diff"], &plain[..], &fixed, &["HEAD"]].concat())?;
    let top = String::from_utf8(git(folder, &["rev-parse", "--show-toplevel"])?).ok()?;
    let others = git(Path::new(top.trim_end_matches('\n')), &["ls-files", "--others", "--exclude-standard", "-z"])?;
    let tracked = git(folder, &["ls-files", "--error-unmatch", "--", name]).is_some();
    let unchanged = git(folder, &["diff", "--quiet", "--no-ext-diff", "--no-textconv", "HEAD", "--", name]).is_some();
    Some(Commit {
        id,
        patch: (!changes.is_empty()).then(|| Digest::of(&changes)),
        untracked: Some(others.split(|byte| *byte == 0).filter(|name| !name.is_empty()).count()),
        manifest_committed: tracked && unchanged,
    })
}

/// What git prints, where it succeeds. Nothing that a repository's own settings name is started.
fn git(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(["-c", "core.fsmonitor=false", "-c", "diff.suppressBlankEmpty=false", "--no-optional-locks"])
        .args(arguments);
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
        assert_eq!(without_folders("--set=model.path=/home/me/m.onnx"), "--set=model.path=m.onnx");
        assert_eq!(without_folders("model.path=\"/home/me/m.onnx\""), "model.path=m.onnx");
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
        assert_eq!((clean.untracked, commit(&stray).unwrap().untracked), (Some(0), Some(1)));
        for setting in ["diff.relative", "diff.noprefix", "diff.mnemonicPrefix"] {
            run(&["config", setting, "true"]);
        }
        files::create_dir_all(&folder.path().join("below")).unwrap();
        let from_below = commit(&folder.path().join("below/none.toml")).unwrap();
        assert_eq!(from_below.patch, dirty.patch, "git's settings change no digest");
    }
}
