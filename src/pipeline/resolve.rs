//! Stage zero: the manifest as settings.

use std::path::Path;

use crate::base::explain::Failure;
use crate::manifest::{self, Resolved};

/// Reads a manifest and fills in every default.
pub fn resolve(path: &Path) -> Result<Resolved, Failure> {
    Ok(manifest::load(path)?)
}
