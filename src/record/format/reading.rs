//! How a model file was read, where that is not as plain as could be.

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::units::{counted, megabytes};
use crate::manifest::PixelScale;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Weights in a file beside the model.
    Beside { file: String, sha256: Digest, bytes: u64 },
    /// One of several outputs, or a tensor inside the network.
    Output { name: String },
    /// The file takes `[batch, height, width, channels]`.
    ChannelsLast,
    /// The file takes pixels as bytes from 0 to 255.
    Bytes,
    /// The network begins with a normalization of pixels.
    Normalizes { nodes: Vec<String>, pixels: PixelScale },
    /// The file computes in other types of real numbers; 32-bit floats take their place.
    Widened { types: Vec<String> },
    /// One score for two classes: above the threshold it is the second.
    OneScore { threshold: f32 },
}

impl Reading {
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Beside { file, sha256, bytes } => {
                format!("its weights are in `{file}` beside it ({}, SHA-256 {sha256})", megabytes(*bytes))
            }
            Self::Output { name } => format!("its scores are the tensor `{name}`"),
            Self::ChannelsLast => "it takes images with their channels last, and is given them so".into(),
            Self::Bytes => "it takes pixels as bytes from 0 to 255".into(),
            Self::Normalizes { nodes, pixels } => {
                let names: Vec<String> = nodes.iter().take(5).map(|node| format!("`{node}`")).collect();
                format!(
                    "it normalizes its input itself, in {} ({}), and takes pixels from {pixels}",
                    counted(nodes.len(), "node"),
                    names.join(", ")
                )
            }
            Self::Widened { types } => {
                format!("it computes in {}; here 32-bit floats take their place", types.join(" and "))
            }
            Self::OneScore { threshold } => {
                format!("it gives one score for two classes: above {threshold} it is the second")
            }
        }
    }
}
