//! `requant clean`.

use std::path::Path;

use crate::base::explain::Failure;
use crate::base::files;
use crate::history;
use crate::record::store;
use crate::terminal::{Exit, print};

/// Removes the drafts of runs whose process is gone; complete runs and those in progress stay.
pub(super) fn clean(results: &Path) -> Result<Exit, Failure> {
    let mut removed = 0;
    for experiment in history::experiments(results)? {
        for draft in store::abandoned(results, &experiment) {
            if let Err(error) = files::remove_dir_all(&draft) {
                // Another `clean` was faster.
                if draft.exists() {
                    return Err(error.into());
                }
                continue;
            }
            print(&format!("removed {}\n", draft.display()));
            removed += 1;
        }
    }
    if removed == 0 {
        print("nothing to clean\n");
    }
    Ok(Exit::Done)
}
