//! `requant fetch`.

use std::path::Path;
use std::time::Duration;

use crate::base::explain::{Diagnostic, Failure};
use crate::base::units;
use crate::fetch::{self, Brought};
use crate::manifest::{self, Overrides};
use crate::terminal::gauge::Gauge;
use crate::terminal::{Exit, print};

pub(super) fn fetch(path: &Path, patience: u64) -> Result<Exit, Failure> {
    let resolved = manifest::load(path, &Overrides::default())?;
    let wanted = fetch::wanted(&resolved);
    if wanted.is_empty() {
        print(&format!("{}: no input has a `source`\n", path.display()));
        return Ok(Exit::Done);
    }
    let mut problems = Vec::new();
    for file in &wanted {
        let brought = fetch::bring(file, Duration::from_secs(patience), &Gauge::new("fetching"));
        let said = match brought {
            Ok(Brought::AlreadyThere) => "already there".to_owned(),
            Ok(Brought::Fetched { bytes, resumed: 0 }) => format!("fetched, {}", units::megabytes(bytes)),
            Ok(Brought::Fetched { bytes, resumed }) => {
                format!("fetched, {}, of which {} were there", units::megabytes(bytes), units::megabytes(resumed))
            }
            Err(error) => {
                problems.push(Diagnostic::from(error).at(resolved.place(file.key)));
                continue;
            }
        };
        print(&format!("{}: {said}\n", file.target.display()));
    }
    if problems.is_empty() { Ok(Exit::Done) } else { Err(problems.into()) }
}
