//! Candidates, what came of them, and the file that remembers it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::files::{self, FileError};
use crate::quantize::Scheme;

/// A way to quantize the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub scheme: Scheme,
    /// Globs of the layers that stay in float besides.
    pub float: Vec<String>,
}

/// What a network does on the held-out samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub right: usize,
    /// Samples in the float network's class.
    pub agreeing: usize,
    pub samples: usize,
    /// Mean Kullback-Leibler divergence from the float network's class probabilities, in nats.
    pub divergence: f64,
    /// Lower quartile of the times of a forward pass.
    pub milliseconds: f64,
    /// The same of the fused float network, in turns with this one.
    pub float_milliseconds: f64,
}

impl Outcome {
    /// Right answers that another network has more, on the same samples.
    #[must_use]
    pub fn lost_to(&self, other: &Self) -> f64 {
        other.right as f64 - self.right as f64
    }

    /// Accuracy lost against another network on the same samples, a fraction.
    #[must_use]
    pub fn drop_from(&self, other: &Self) -> f64 {
        self.lost_to(other) / self.samples.max(1) as f64
    }

    /// How many times as fast as the fused float network.
    #[must_use]
    pub fn speedup(&self) -> f64 {
        self.float_milliseconds / self.milliseconds
    }

    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.samples.max(1) as f64
    }
}

/// A candidate that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub candidate: Candidate,
    pub outcome: Outcome,
}

/// `trials.jsonl`: what was tried on the same samples, model and conditions, so that tuning goes on where it was
/// stopped and comes to the same choice again.
pub(super) struct Ledger {
    about: Digest,
    file: File,
    path: std::path::PathBuf,
    known: Vec<Trial>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    about: Digest,
    #[serde(flatten)]
    trial: Trial,
}

impl Ledger {
    pub(super) fn open(folder: &Path, about: &Digest) -> Result<Self, FileError> {
        files::create_dir_all(folder)?;
        let path = folder.join("trials.jsonl");
        let text = if path.exists() { files::read_text(&path)? } else { String::new() };
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let known = lines.filter(|line| line.about == *about).map(|line| line.trial).collect();
        let file = File::options().create(true).append(true).open(&path);
        let mut file = file.map_err(|error| FileError::new("write", &path, error))?;
        if !text.is_empty() && !text.ends_with('\n') {
            // A line that a killed process left unfinished.
            writeln!(file).map_err(|error| FileError::new("write", &path, error))?;
        }
        Ok(Self { about: *about, file, path, known })
    }

    pub(super) fn known(&self, candidate: &Candidate) -> Option<Outcome> {
        self.known.iter().find(|trial| trial.candidate == *candidate).map(|trial| trial.outcome)
    }

    pub(super) fn keep(&mut self, candidate: &Candidate, outcome: &Outcome) -> Result<(), FileError> {
        let trial = Trial { candidate: candidate.clone(), outcome: *outcome };
        let line = Line { about: self.about, trial };
        let text = serde_json::to_string(&line).map_err(|error| FileError::new("write", &self.path, error.into()))?;
        writeln!(self.file, "{text}").map_err(|error| FileError::new("write", &self.path, error))
    }
}
