//! Every layer that a manifest is built from, and how they become one.
//!
//! figment merges the layers and remembers which one each value came from.

use std::path::{Path, PathBuf};

use figment::Figment;

use super::origins::{Origins, Provided};
use super::source::{Layer, Source};
use crate::base::explain::Place;

/// Every layer, the weakest first.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    pub(crate) sources: Vec<Source>,
    /// The folder that a layer's relative paths start from, in the order of `sources`.
    pub(crate) folders: Vec<PathBuf>,
}

impl Layers {
    pub(crate) fn merged(&self) -> Figment {
        self.merged_of(|_| true)
    }

    /// Some layers as one; figment names each by its index.
    pub(crate) fn merged_of(&self, wanted: impl Fn(Layer) -> bool) -> Figment {
        let layers = self.sources.iter().enumerate().filter(|(_, source)| wanted(source.layer));
        layers.fold(Figment::new(), |figment, (index, source)| figment.merge(Provided { index, root: &source.root }))
    }

    /// The layer that a value of the merged settings came from.
    pub(crate) fn of<'a>(&'a self, origins: &Origins, key: &str) -> &'a Source {
        &self.sources[origins.index(key).unwrap_or(0)]
    }

    /// The folder that the relative paths of a layer start from.
    pub(crate) fn folder(&self, of: &Source) -> &Path {
        let index = self.sources.iter().position(|source| source.layer == of.layer).unwrap_or(0);
        &self.folders[index]
    }

    /// Where a key was written last, or the nearest table above it, or the end of the manifest.
    pub(crate) fn place(&self, key: &str) -> Place {
        let mut names: Vec<&str> = key.split('.').filter(|name| !name.is_empty()).collect();
        while !names.is_empty() {
            let mut written = self.sources.iter().filter(|source| source.layer != Layer::Default).rev();
            let found = written.find_map(|source| Some(source.place(source.find(&names)?.span())));
            if let Some(place) = found {
                return place;
            }
            names.pop();
        }
        let manifest = self.manifest();
        let end = manifest.text.trim_end().len();
        manifest.place(end..end)
    }

    /// Whether a person wrote the key, or a table of that name, in some layer.
    pub(crate) fn is_written(&self, key: &str) -> bool {
        let names: Vec<&str> = key.split('.').collect();
        self.sources.iter().any(|source| source.layer != Layer::Default && source.find(&names).is_some())
    }

    fn manifest(&self) -> &Source {
        self.sources.iter().find(|source| source.layer == Layer::Manifest).expect("there is a manifest")
    }
}
