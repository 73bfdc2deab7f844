//! Finding the libtorch that tch was written for, or fetching it.
//!
//! The choice becomes the link `.libtorch` in the checkout, which `.cargo/config.toml` names. Places
//! are tried in order, and each says why it was or was not taken.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{python, say};

/// Exactly the version that tch 0.24 binds to.
const VERSION: &str = "2.11.0";

/// Where PyTorch publishes it for CPUs alone; the address that tch itself would use.
const OFFICIAL_ZIP: &str = "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.11.0%2Bcpu.zip";

/// The PyPI wheel with its libraries and headers, and the two small ones it is linked against.
/// Every CPython version's wheel holds the same libraries, so one is pinned for all.
const WHEELS: &str = "\
torch==2.11.0 --hash=sha256:7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
";

/// What of the wheels is kept: CPU libraries, what those are linked against, and headers.
const KEPT: [&str; 7] = [
    "torch/include/",
    "torch/lib/libtorch.so",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

/// A `LIBTORCH` from the person, as opposed to the one this checkout's configuration sets.
pub(crate) fn named_by_user() -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os("LIBTORCH")?);
    (!path.as_os_str().is_empty() && !path.ends_with(".libtorch")).then_some(path)
}

/// Makes `.libtorch` lead to a usable libtorch.
pub(crate) fn set_up(root: &Path) -> Result<(), String> {
    let (chosen, why) = choose()?;
    let link = root.join(".libtorch");
    if fs::read_link(&link).is_ok_and(|target| target == chosen) {
        say(&format!("libtorch {VERSION}: {} ({why})", chosen.display()));
        return Ok(());
    }
    // A link made beside and renamed over is never seen missing by a build that is under way.
    let fresh = root.join(format!(".libtorch.{}", std::process::id()));
    let replace = || {
        std::os::unix::fs::symlink(&chosen, &fresh)?;
        fs::rename(&fresh, &link)
    };
    replace().map_err(|error| format!("cannot link `{}`: {error}", link.display()))?;
    say(&format!("libtorch {VERSION}: {} ({why})", chosen.display()));
    Ok(())
}

fn choose() -> Result<(PathBuf, &'static str), String> {
    if let Some(named) = named_by_user() {
        let named = fs::canonicalize(&named).unwrap_or(named);
        return match usable(&named) {
            Ok(()) => Ok((named, "named by LIBTORCH")),
            Err(why) => Err(format!(
                "LIBTORCH names `{}`, which cannot be used: {why}; unset it or correct it",
                named.display()
            )),
        };
    }
    let cached = cache()?.join(format!("libtorch-{VERSION}-cpu"));
    match usable(&cached) {
        Ok(()) => return Ok((cached, "cached copy")),
        Err(why) => say(&format!("no cached libtorch: {why}")),
    }
    match installed() {
        Ok(path) => return Ok((path, "torch of the active Python")),
        Err(why) => say(&format!("not the active Python's torch: {why}")),
    }
    fetch(&cached)?;
    Ok((cached, "fetched into the cache"))
}

/// Whether a folder holds libraries and headers of the right version.
fn usable(folder: &Path) -> Result<(), String> {
    for part in ["lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"] {
        if !folder.join(part).exists() {
            return Err(format!("`{}` is not there", folder.join(part).display()));
        }
    }
    let header = folder.join("include/torch/headeronly/version.h");
    let header = fs::read_to_string(&header).map_err(|error| format!("`{}`: {error}", header.display()))?;
    let part = |name: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix(&format!("#define TORCH_VERSION_{name} ")));
        line.unwrap_or("?").trim().to_owned()
    };
    let found = format!("{}.{}.{}", part("MAJOR"), part("MINOR"), part("PATCH"));
    if found == VERSION { Ok(()) } else { Err(format!("it is version {found}, not {VERSION}")) }
}

/// The user's cache folder for this project.
pub(crate) fn cache() -> Result<PathBuf, String> {
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".cache"),
        _ => return Err("neither XDG_CACHE_HOME nor HOME is set; name a libtorch with LIBTORCH".into()),
    };
    Ok(base.join("requant"))
}

fn installed() -> Result<PathBuf, String> {
    let path = PathBuf::from(python::torch_folder(VERSION)?);
    usable(&path).map(|()| path)
}

/// Downloads libtorch to a folder that appears only when it is complete.
fn fetch(target: &Path) -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(format!("libtorch {VERSION} can only be fetched for x86-64 Linux; name your own with LIBTORCH"));
    }
    let placed = assembled(target, |workshop| {
        let folder = official(workshop).or_else(|why| {
            say(&format!("not the official zip: {why}"));
            let _ = fs::remove_dir_all(workshop);
            wheels(workshop)
        })?;
        usable(&folder)?;
        Ok(folder)
    });
    placed.map_err(|why| format!("libtorch could not be fetched: {why}\n  next: get on-line and try again, or name a libtorch {VERSION} with LIBTORCH"))
}

/// A folder of the cache that is put together in a workshop and appears only when it is complete.
pub(crate) fn assembled(target: &Path, assemble: impl FnOnce(&Path) -> Result<PathBuf, String>) -> Result<(), String> {
    let cache = target.parent().ok_or("the cache has no folder")?;
    fs::create_dir_all(cache).map_err(|error| format!("cannot create `{}`: {error}", cache.display()))?;
    remove_halves(cache);
    let workshop = cache.join(format!(".partial-{}", std::process::id()));
    let placed = assemble(&workshop).and_then(|folder| {
        let _ = fs::remove_dir_all(target);
        fs::rename(&folder, target).map_err(|error| format!("cannot place `{}`: {error}", target.display()))
    });
    let _ = fs::remove_dir_all(&workshop);
    placed
}

/// Downloads that a process left behind when it was killed.
fn remove_halves(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(".partial-");
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn official(workshop: &Path) -> Result<PathBuf, String> {
    say(&format!("fetching {OFFICIAL_ZIP}"));
    let zip = workshop.join("libtorch.zip");
    python::download(OFFICIAL_ZIP, &zip)?;
    python::unpack(&[zip], workshop, &["libtorch/include/", "libtorch/lib/", "libtorch/build-version"])?;
    Ok(workshop.join("libtorch"))
}

fn wheels(workshop: &Path) -> Result<PathBuf, String> {
    say("fetching the wheels of torch and the two libraries it is linked against (about 545 MB)");
    let downloads = workshop.join("wheels");
    fs::create_dir_all(&downloads).map_err(|error| error.to_string())?;
    let requirements = workshop.join("requirements.txt");
    fs::write(&requirements, WHEELS).map_err(|error| error.to_string())?;
    python::pip_download(&requirements, &downloads)?;
    let files = fs::read_dir(&downloads).map_err(|error| error.to_string())?;
    let files: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
    python::unpack(&files, workshop, &KEPT)?;
    let folder = workshop.join("torch");
    for library in ["libcudart.so.13", "libcupti.so.13"] {
        // libtorch looks for them beside itself as well.
        let from = workshop.join("nvidia/cu13/lib").join(library);
        fs::rename(&from, folder.join("lib").join(library)).map_err(|error| format!("{library}: {error}"))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str, content: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn version(patch: u32) -> String {
        format!("#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH {patch}\n")
    }

    #[test]
    fn only_a_whole_libtorch_of_the_right_version_is_usable() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(usable(root).unwrap_err().contains("libtorch_cpu.so"));
        for name in ["lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"] {
            put(root, name, "");
        }
        put(root, "include/torch/headeronly/version.h", &version(1));
        assert_eq!(usable(root).unwrap_err(), "it is version 2.11.1, not 2.11.0");
        put(root, "include/torch/headeronly/version.h", &version(0));
        assert_eq!(usable(root), Ok(()));
    }

    #[test]
    fn halves_of_dead_processes_are_removed_and_others_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mine = format!(".partial-{}", std::process::id());
        for name in [".partial-4194399", mine.as_str(), "libtorch-2.11.0-cpu"] {
            put(folder.path(), &format!("{name}/half"), "x");
        }
        remove_halves(folder.path());
        assert!(!folder.path().join(".partial-4194399").exists());
        assert!(folder.path().join(mine).exists() && folder.path().join("libtorch-2.11.0-cpu").exists());
    }
}
