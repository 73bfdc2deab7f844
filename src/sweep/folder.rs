//! A sweep's folder: its record, made once and never changed, and what lies around it.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::clock;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files::{self, FileError};
use crate::base::owner;
use crate::document;
use crate::grid::plan::PointFacts;
use crate::grid::{Plan, SweepRecord};
use crate::manifest::{self, Resolved};
use crate::record::store::{self, Draft};

/// Version of `sweep.json`.
const FORMAT: &str = "1.0";

/// How folders of sweeps are recognized.
const PREFIX: &str = "sweep-";

/// A sweep on the disk.
#[derive(Debug, Clone)]
pub struct Folder {
    pub path: PathBuf,
    pub record: SweepRecord,
}

impl Folder {
    /// Makes the folder of a plan, or opens the one that is there.
    pub fn of(plan: &Plan, results: &Path) -> Result<Self, Failure> {
        let name = format!("{PREFIX}{}", plan.id.short());
        let path = results.join(&plan.sweep.name).join(&name);
        if !path.exists() {
            let draft = Draft::begin(results, &plan.sweep.name, name)?;
            write(plan, &draft, &path)?;
            draft.rename_to(&path)?;
        }
        let folder = Self::open(&path)?;
        if folder.record.id == plan.id {
            return Ok(folder);
        }
        let problem = Diagnostic::error(Cause::Integrity, format!("`{}` is of another sweep", path.display()));
        Err(problem.next("give this sweep another `name`").into())
    }

    /// Opens a sweep's folder.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = path.join("sweep.json");
        let text = files::read_text(&file)?;
        let record: SweepRecord = serde_json::from_str(&text).map_err(|error| {
            let message = format!("`{}` is not a readable sweep: {error}", file.display());
            let next = "restore it, or remove the sweep's folder and start the sweep again: its runs are found";
            Diagnostic::error(Cause::Integrity, message).next(next)
        })?;
        if record.format.split('.').next() != FORMAT.split('.').next() {
            let message = format!("`{}` has format {}, and this requant reads {FORMAT}", file.display(), record.format);
            return Err(Diagnostic::error(Cause::Input, message).next("read it with a newer requant").into());
        }
        if !record.is_consistent() {
            let message = format!("`{}` is not what the sweep wrote: its parts do not give its id", file.display());
            let next = "restore it, or remove the sweep's folder and start the sweep again: its runs are found";
            return Err(Diagnostic::error(Cause::Integrity, message).next(next).into());
        }
        Ok(Self { path: path.to_owned(), record })
    }

    /// The sweep that a name means: a folder, or the name of a sweep, with or without the beginning of its id.
    pub fn find(results: &Path, name: &str) -> Result<Self, Failure> {
        let given = Path::new(name);
        if is_one(given) {
            return Self::open(given);
        }
        let (home, wanted) = match name.rsplit_once('/') {
            Some((home, id)) if id.starts_with(PREFIX) => (home, id),
            _ => (name.trim_end_matches('/'), PREFIX),
        };
        let homes = [results.join(home), PathBuf::from(home)];
        let found: Vec<PathBuf> = homes.iter().map(|home| sweeps_in(home)).find(|f| !f.is_empty()).unwrap_or_default();
        let fits = |path: &&PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(wanted));
        let opened: Vec<Self> = found.iter().filter(fits).map(|path| Self::open(path)).collect::<Result<_, _>>()?;
        let newest = opened.into_iter().max_by(|a, b| a.record.created.cmp(&b.record.created));
        newest.ok_or_else(|| {
            let message =
                format!("`{name}` is no sweep: neither a folder of one nor a name in `{}`", results.display());
            let next = "name the sweep as its file does, or its folder; `--results DIR` looks elsewhere";
            Diagnostic::error(Cause::Input, message).next(next).into()
        })
    }

    /// As [`Folder::find`], where the name means a sweep and not a run. One that cannot be read is an error: it must
    /// not be passed over for whatever else has the name.
    pub fn named(results: &Path, name: &str) -> Result<Option<Self>, Failure> {
        let home = name.rsplit_once('/').filter(|(_, id)| id.starts_with(PREFIX)).map_or(name, |(home, _)| home);
        let has_some = |home: &Path| !sweeps_in(home).is_empty();
        let means_one = is_one(Path::new(name)) || has_some(&results.join(home)) || has_some(Path::new(home));
        means_one.then(|| Self::find(results, name)).transpose()
    }

    /// Where the points' runs are: the folder of the sweep's name.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Where runs of any experiment are.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        let results = self.home().parent().unwrap_or(Path::new(""));
        if results.as_os_str().is_empty() { PathBuf::from(".") } else { results.to_owned() }
    }

    /// A point by its number, from 1.
    pub fn point(&self, number: usize) -> Result<&PointFacts, Failure> {
        number.checked_sub(1).and_then(|at| self.record.points.get(at)).ok_or_else(|| {
            let message = format!("`{}` has no point {number}", self.record.name);
            let next = format!("its points are 1 to {}", self.record.points.len());
            Diagnostic::error(Cause::Input, message).next(next).into()
        })
    }

    #[must_use]
    pub fn point_path(&self, number: usize) -> PathBuf {
        self.path.join(format!("points/{number:05}.toml"))
    }

    /// What a point obeys, its file held against its id.
    pub fn settings(&self, number: usize) -> Result<Resolved, Failure> {
        let facts = self.point(number)?;
        let path = self.point_path(number);
        let bytes = files::read(&path)?;
        if Digest::of(&bytes) != facts.id {
            let message = format!("`{}` is not what the sweep pinned, {}", path.display(), facts.id);
            let next = "restore it, or remove the sweep's folder and start the sweep again from its file";
            return Err(Diagnostic::error(Cause::Integrity, message).next(next).into());
        }
        let table: toml::Table = toml::from_str(&String::from_utf8_lossy(&bytes)).unwrap_or_default();
        let model = table.get("model").and_then(|model| model.get("path")).and_then(|path| path.as_str());
        let model = Path::new(model.unwrap_or_default());
        let base = Path::new(&self.record.base_path);
        // Beside the base: there the paths are what they were.
        let manifest = base.with_file_name(format!("{}.{number:05}.toml", self.record.name));
        let seen_from_here = || {
            let place = self.path.join(&self.record.base_from_here).with_file_name(manifest.file_name()?);
            place.with_file_name("").join(model).is_file().then_some(place)
        };
        let place = store::place_of(&self.path, &manifest, model).or_else(seen_from_here).ok_or_else(|| {
            let expected = manifest.with_file_name("").join(model);
            let message = format!("the inputs of the sweep are not at hand: there is no `{}`", expected.display());
            let next = format!("start requant in the folder from which `{}` is the base", base.display());
            Diagnostic::error(Cause::Input, message).next(next)
        })?;
        manifest::restore(&place, &path, bytes)
    }

    /// The folder of a complete run by these settings, if there is one: the last of them.
    #[must_use]
    pub fn run_of(&self, id: &Digest, names: &[String]) -> Option<String> {
        let short = format!("-{}", id.short());
        let candidates = names.iter().rev().filter(|name| name.contains(&short));
        candidates.into_iter().find(|name| settings_of(&self.home().join(name)) == Some(*id)).cloned()
    }

    /// Names of everything beside the sweep, for [`Folder::run_of`].
    pub fn neighbours(&self) -> Result<Vec<String>, FileError> {
        let mut names = files::list(self.home())?;
        names.retain(|name| !name.starts_with('.') && !name.starts_with(PREFIX));
        Ok(names)
    }

    /// Whether a run is there.
    #[must_use]
    pub fn has_run(&self, run: &str) -> bool {
        document::is_file_name(run) && self.home().join(run).join("record.json").is_file()
    }

    /// Whether it is there, its record can be read, and it obeyed these settings.
    #[must_use]
    pub fn is_run_of(&self, run: &str, id: &Digest) -> bool {
        self.has_run(run) && settings_of(&self.home().join(run)) == Some(*id)
    }
}

/// Whether a folder is a sweep's, whatever it has lost.
fn is_one(path: &Path) -> bool {
    let is_called_so = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    path.join("sweep.json").is_file() || (is_called_so && path.is_dir())
}

/// Folders of sweeps below the folder of a name.
fn sweeps_in(home: &Path) -> Vec<PathBuf> {
    let names = files::list(home).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| name.starts_with(PREFIX))
        .map(|name| home.join(name))
        .filter(|p| is_one(p))
        .collect()
}

/// The digest of the settings that a run obeyed.
fn settings_of(run: &Path) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Part {
        run: Settings,
    }
    #[derive(Deserialize)]
    struct Settings {
        resolved: Digest,
    }
    let text = files::read(&run.join("record.json")).ok()?;
    serde_json::from_slice::<Part>(&text).ok().map(|part| part.run.resolved)
}

/// `target` is where the draft will be.
fn write(plan: &Plan, draft: &Draft, target: &Path) -> Result<(), Failure> {
    let created = clock::stamp(clock::now());
    let sweep = &plan.sweep;
    let base = files::read(&sweep.base)?;
    let record = SweepRecord {
        format: FORMAT.to_owned(),
        requant: env!("CARGO_PKG_VERSION").to_owned(),
        name: sweep.name.clone(),
        description: sweep.description.clone(),
        id: plan.id,
        created: created.clone(),
        manifest_path: shown(&sweep.path),
        manifest: Digest::of(sweep.text.as_bytes()),
        base_path: shown(&sweep.base),
        base_from_here: from(target, &sweep.base).display().to_string(),
        base: Digest::of(&base),
        token: Digest::of_parts([plan.id.bytes().as_slice(), owner::this().as_bytes(), created.as_bytes()]).short(),
        overrides: plan.overrides.clone(),
        axes: plan.axes(),
        points: plan.facts(),
    };
    for folder in ["attempts", "launches", "logs", "points"] {
        files::create_dir_all(&draft.path().join(folder))?;
    }
    draft.put("sweep.toml", sweep.text.as_bytes())?;
    draft.put("base.toml", &base)?;
    plan.points
        .par_iter()
        .try_for_each(|point| draft.put(&format!("points/{:05}.toml", point.number), point.text.as_bytes()))?;
    Ok(draft.put("sweep.json", &json(&record))?)
}

/// A document as this room writes it.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// A file as seen from a folder that may not be there yet.
fn from(folder: &Path, file: &Path) -> PathBuf {
    let plain = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // Up and down again would lead elsewhere where a folder on the way is a link.
    let known = |path: &Path| plain(path).canonicalize();
    let (results, name) = (folder.ancestors().nth(2), folder.strip_prefix(folder.ancestors().nth(2).unwrap_or(folder)));
    let home = results.map(|results| if results.as_os_str().is_empty() { Path::new(".") } else { results });
    match (home.map(known), name, known(file)) {
        (Some(Ok(home)), Ok(name), Ok(file)) => manifest::relative(&home.join(name), &file),
        _ => plain(file),
    }
}

/// Of an absolute path only the file's name: the rest tells about the machine and nothing else.
fn shown(path: &Path) -> String {
    let name = path.file_name().map(Path::new).filter(|_| path.is_absolute()).unwrap_or(path);
    name.display().to_string()
}
