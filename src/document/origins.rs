//! Layers through figment, and which layer each value of what it merged came from.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Tag, Value as Merged};
use figment::{Figment, Metadata, Profile, Provider};

use super::source::{Content, Node};

/// Which layer each of the merged settings came from. Figment merges anew for every question, so
/// the answers of whole tables are kept.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    figment: Figment,
    tables: BTreeMap<String, Merged>,
}

impl Origins {
    pub(crate) fn of(figment: Figment, merged: &Dict) -> Self {
        let table = |key: &String| Some((key.clone(), figment.find_value(key).ok()?));
        let tables = merged.keys().filter_map(table).collect();
        Self { tables, figment }
    }

    /// The index of a key's layer; arrays come from one layer as a whole.
    pub(crate) fn index(&self, key: &str) -> Option<usize> {
        let mut names = key.split('.').take_while(|part| part.parse::<usize>().is_err());
        let table = self.tables.get(names.next()?)?;
        let value = names.try_fold(table, |value, name| value.as_dict()?.get(name))?;
        self.figment.get_metadata(value.tag())?.name.parse().ok()
    }
}

/// A layer for figment, under its index as a name.
pub(crate) struct Provided<'a> {
    pub(crate) index: usize,
    pub(crate) root: &'a Node,
}

impl Provider for Provided<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.index.to_string())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        let Content::Table(entries) = &self.root.content else { return Ok(Map::new()) };
        let dict = entries.iter().map(|(key, entry)| (key.clone(), plain(&entry.value))).collect();
        Ok(Profile::Default.collect(dict))
    }
}

fn plain(node: &Node) -> Merged {
    match &node.content {
        Content::String(text) => Merged::from(text.as_str()),
        Content::Integer(number) => Merged::from(*number),
        Content::Float(number) => Merged::from(*number),
        Content::Boolean(truth) => Merged::from(*truth),
        Content::Foreign(what) => Merged::from(*what),
        Content::Array(items) => Merged::Array(Tag::Default, items.iter().map(plain).collect()),
        Content::Table(entries) => {
            let entries = entries.iter().map(|(key, entry)| (key.clone(), plain(&entry.value)));
            Merged::Dict(Tag::Default, entries.collect())
        }
    }
}
