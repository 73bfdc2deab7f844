//! Candidates, what came of them, and the file that remembers it.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kernels::{Form, Raced};
use crate::base::digest::Digest;
use crate::base::files::{self, FileError};
use crate::manifest::LayerOverride;
use crate::quantize::Scheme;
use crate::search::ledger::Ledger;

/// A way to quantize the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub scheme: Scheme,
    /// Globs of the layers that stay in float besides.
    pub float: Vec<String>,
    /// How convolutions are computed, where that is not as the scheme has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<(String, Form)>,
}

impl Candidate {
    pub(super) fn of(scheme: Scheme) -> Self {
        Self { scheme: scheme.in_order(), float: Vec::new(), forms: Vec::new() }
    }

    /// The same as a manifest says it, beside its recipe and steps.
    pub(super) fn layers(&self) -> Vec<LayerOverride> {
        let float = self.float.iter().map(|pattern| Form::Float.exception(pattern));
        float.chain(self.forms.iter().map(|(layer, form)| form.exception(layer))).collect()
    }
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
pub(super) struct Trials {
    about: Digest,
    ledger: Ledger,
    known: Vec<Trial>,
    raced: Option<Vec<Raced>>,
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    about: Digest,
    #[serde(flatten)]
    told: T,
}

/// What each convolution takes in each form: measured once, so that who goes on tries the same candidates.
#[derive(Serialize, Deserialize)]
struct Kernels {
    kernels: Vec<Raced>,
}

/// The lines about the same samples, model and conditions that are of one kind.
fn lines<T: DeserializeOwned>(ledger: &Ledger, about: &Digest) -> impl Iterator<Item = T> {
    ledger.known::<Line<T>>().filter(|line| line.about == *about).map(|line| line.told)
}

impl Trials {
    pub(super) fn open(folder: &Path, about: &Digest) -> Result<Self, FileError> {
        files::create_dir_all(folder)?;
        let ledger = Ledger::open(folder.join("trials.jsonl"))?;
        let known = lines(&ledger, about).collect();
        let raced = lines(&ledger, about).map(|Kernels { kernels }| kernels).next();
        Ok(Self { about: *about, ledger, known, raced })
    }

    pub(super) fn known(&self, candidate: &Candidate) -> Option<Outcome> {
        self.known.iter().find(|trial| trial.candidate == *candidate).map(|trial| trial.outcome)
    }

    pub(super) fn keep(&mut self, candidate: &Candidate, outcome: &Outcome) -> Result<(), FileError> {
        self.write(Trial { candidate: candidate.clone(), outcome: *outcome })
    }

    /// What convolutions took, where it was measured before.
    pub(super) fn raced(&self) -> Option<Vec<Raced>> {
        self.raced.clone()
    }

    pub(super) fn keep_raced(&mut self, kernels: &[Raced]) -> Result<(), FileError> {
        self.write(Kernels { kernels: kernels.to_vec() })
    }

    fn write<T: Serialize>(&mut self, told: T) -> Result<(), FileError> {
        self.ledger.keep(&Line { about: self.about, told })
    }
}
