//! Names people know: the PyTorch module path of each node, however the exporter hid it.

use std::collections::{BTreeMap, BTreeSet};

use super::proto::NodeProto;
use crate::base::text::{is_active, one_line};

/// The metadata of a node under which requant writes its name.
pub(super) const OWN: &str = "requant.name";

/// Gives out unique node names.
#[derive(Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
    /// How often a name was wanted already, so that the next one is found at once.
    wanted: BTreeMap<String, usize>,
}

impl Names {
    /// The node's module path where it can be told, made unique; an operator that is a function
    /// call, not a module, gets its own name appended.
    pub(super) fn for_node(
        &mut self,
        node: &NodeProto,
        weight: Option<&str>,
        is_module: bool,
        torch_name: &str,
    ) -> String {
        if let Some(own) = node.metadata_props.iter().find(|entry| entry.key == OWN && !entry.value.is_empty()) {
            return self.unique(own.value.clone());
        }
        let module = weight.and_then(module_of_weight).or_else(|| scopes(node)).or_else(|| path(&node.name));
        let wanted = match module {
            Some(path) if is_module && !path.is_empty() => path,
            Some(path) if !path.is_empty() => format!("{path}.{torch_name}"),
            _ => torch_name.to_ascii_lowercase(),
        };
        self.unique(wanted)
    }

    /// Without what a terminal would obey: names go into tables as they are.
    pub(super) fn unique(&mut self, wanted: String) -> String {
        let wanted = if wanted.contains(is_active) { one_line(&wanted) } else { wanted };
        let (count, first) = (self.wanted.entry(wanted.clone()).or_default(), wanted);
        loop {
            *count += 1;
            let name = if *count == 1 { first.clone() } else { format!("{first}_{count}") };
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// `features.0.0.weight` belongs to module `features.0.0`; invented names (`onnx::Conv_12`) to none.
fn module_of_weight(weight: &str) -> Option<String> {
    let module = weight.strip_suffix(".weight")?;
    (!module.contains(':') && !module.contains('/')).then(|| module.to_owned())
}

/// The scopes that PyTorch's dynamo exporter writes: `['', 'features', 'features.0', 'conv2d']`.
fn scopes(node: &NodeProto) -> Option<String> {
    let entry = node.metadata_props.iter().find(|entry| entry.key == "pkg.torch.onnx.name_scopes")?;
    let list = entry.value.trim().strip_prefix('[')?.strip_suffix(']')?;
    let scopes: Vec<&str> = list.split(',').map(|scope| scope.trim().trim_matches(['\'', '"'])).collect();
    scopes.len().checked_sub(2).map(|parent| scopes[parent].to_owned())
}

/// The slash path that PyTorch's older exporter writes: `/features/features.0/features.0.0/Conv`.
/// Each segment either continues the one before it or is an attribute of it.
fn path(name: &str) -> Option<String> {
    let mut segments: Vec<&str> = name.strip_prefix('/')?.split('/').collect();
    segments.pop();
    let mut whole: Vec<&str> = Vec::new();
    for segment in segments {
        if whole.last().is_some_and(|last| segment.strip_prefix(last).is_some_and(|rest| rest.starts_with('.'))) {
            whole.pop();
        }
        whole.push(segment);
    }
    Some(whole.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_exporters_lead_to_the_same_module() {
        let old = path("/features/features.1/block/block.1/avgpool/GlobalAveragePool");
        assert_eq!(old.as_deref(), Some("features.1.block.1.avgpool"));
        assert_eq!(path("/Flatten").as_deref(), Some(""));
        let entry = super::super::proto::StringEntry {
            key: "pkg.torch.onnx.name_scopes".into(),
            value: "['', 'features', 'features.1', 'features.1.block.1.avgpool', 'mean']".into(),
        };
        let node = NodeProto { metadata_props: vec![entry], ..NodeProto::default() };
        assert_eq!(scopes(&node), old);
    }
}
