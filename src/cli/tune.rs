//! `requant tune`.

use std::path::Path;
use std::process::Command;

use crate::backend::Work;
use crate::backend::process;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::manifest::{self, Overrides};
use crate::pipeline;
use crate::search::tune::{self, Wish};
use crate::terminal::gauge::Gauge;
use crate::terminal::progress::Progress;
use crate::terminal::{Exit, print};
use crate::workbench::Surroundings;

pub(super) fn tune(path: &Path, overrides: &Overrides, wish: &Wish) -> Result<Exit, Failure> {
    let resolved = manifest::load(path, overrides)?;
    process::enter(&resolved.manifest, Work::Timing)?;
    let worker = || Command::new("");
    let (events, meter) = (Progress::new(), Gauge::new("hashing"));
    // Nothing stays there: tuning makes no run.
    let scratch = std::env::temp_dir().join(format!("requant-tune-{}", std::process::id()));
    let around = Surroundings {
        results: &scratch,
        events: &events,
        meter: &meter,
        worker: &worker,
        repeats: None,
        neighbours: None,
    };
    let tuned = pipeline::prepare(resolved.clone(), &around).and_then(|prepared| tune::tune(&prepared, wish, &around));
    let _ = files::remove_dir_all(&scratch);
    let tuned = tuned.map_err(|failure| match failure.cause() {
        Cause::Interrupted => {
            let kept = "what was tried is kept; run the same command again to go on";
            Diagnostic::error(Cause::Interrupted, "interrupted".to_owned()).next(kept).into()
        }
        _ => failure,
    })?;
    let page = tuned.folder.join("tuning.md");
    files::replace(&page, tuned.page(&resolved.manifest.name)?.as_bytes())?;
    files::replace(&tuned.folder.join("pareto.svg"), tuned.figure()?.as_bytes())?;
    print(&format!("table: {}\n", page.display()));
    for set in &resolved.overrides {
        print(&format!(
            "note: `{} = {}` was set from outside and is not in the manifest that is written\n",
            set.key, set.value
        ));
    }
    let Some(text) = tuned.manifest(&resolved) else {
        print(&format!("no candidate of {} holds what was asked\n", tuned.trials.len()));
        return Ok(Exit::Failed);
    };
    if let Some(speedup) = tuned.speedup().filter(|speedup| *speedup < 1.0) {
        print(&format!("note: what was chosen is {speedup:.2} times as fast as FP32; `--min-speedup` asks for more\n"));
    }
    let target = path.with_extension("tuned.toml");
    files::replace(&target, text?.as_bytes())?;
    print(&format!("manifest: {}\nnext: requant run {}\n", target.display(), target.display()));
    Ok(Exit::Done)
}
