//! `[report]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::document::{Problem, problem};

/// How the report looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportOptions {
    /// A Tera template that replaces the built-in one; relative to the manifest. It places values as text; its filter
    /// `code` places one as code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PathBuf>,
    /// Pin of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

pub(super) fn template(report: &ReportOptions) -> Vec<Problem> {
    match (&report.template, &report.sha256) {
        (None, Some(_)) => vec![problem("report.sha256", "pins no template", "add `template`, or remove the pin")],
        _ => Vec::new(),
    }
}
