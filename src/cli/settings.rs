//! What surrounds the command line: the environment's settings.

use super::options::Layers;
use crate::manifest::Overrides;

impl Layers {
    pub(super) fn resolve(self) -> Overrides {
        let Self { set } = self;
        let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Overrides { environment: std::env::vars_os().filter_map(readable).collect(), set }
    }
}
