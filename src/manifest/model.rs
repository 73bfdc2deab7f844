//! `[model]`, and where files are fetched from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::document::{Problem, problem};

/// The ONNX model, by content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The ONNX file; relative to the manifest.
    pub path: PathBuf,
    /// Pin of the file; `requant pin` fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Remote>,
    /// The tensor that holds the classes' scores: one of the model's outputs, or what a node gives. Needed where the
    /// model has several outputs, or ends in `ArgMax`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Pin of the files beside the model that hold its weights (`model.onnx.data`): the file's SHA-256, or where there
    /// are several, that of the lines that `sha256sum` prints for them sorted by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<Digest>,
}

/// Where `requant fetch` finds a file that is not committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// `https://`, `http://` or `file://`.
    #[schemars(regex(pattern = "^(https|http|file)://"))]
    pub url: String,
    /// Of the file as it is fetched; it gets its name only when this matches.
    pub sha256: Digest,
    /// Bytes that the file has at most: whatever goes on beyond is not received. 16 GiB unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_u64))]
    pub bytes: Option<u64>,
}

/// An address stands in the record and in reports.
pub(super) fn secret(table: &str, url: &str) -> Option<Problem> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let message = "holds a user name or password, which every record and report would show";
    authority.contains('@').then(|| {
        let next = "fetch the file by other means, or from an address that needs none";
        problem(format!("{table}.source.url"), message, next)
    })
}
