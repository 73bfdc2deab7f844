//! What was different before anything was computed, ranked by how likely it explains a result.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::base::digest::Digest;

use crate::manifest::Choice as _;
use crate::record::{Record, upgrade};

/// Where a difference lies; the first explains the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rank {
    Manifest,
    Inputs,
    /// What was made of the model, and what ran it.
    Network,
    Versions,
    Machine,
}

/// A value that the runs do not share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub rank: Rank,
    /// Dotted, as in the manifest or the record.
    pub key: String,
    /// Absent where that run has none.
    pub a: Option<String>,
    pub b: Option<String>,
}

/// Tables of the manifest by how directly they change a result.
const TABLES: [&str; 10] =
    ["quantize", "calibration", "model", "dataset", "evaluation", "variant", "compute", "benchmark", "goals", "report"];

/// Settings that say nothing of a result, and pins, whose contents are compared themselves.
fn is_silent(key: &str) -> bool {
    const PINS: [&str; 4] = ["model.sha256", "dataset.sha256", "calibration.sha256", "evaluation.sha256"];
    ["name", "description", "schema"].contains(&key) || PINS.contains(&key) || key.ends_with(".source.url")
}

pub(super) fn between(a: &Record, b: &Record) -> Vec<Change> {
    let mut changes = Vec::new();
    // Format 1.0 took the digests of subsets otherwise.
    let redefined = (a.format == "1.0") != (b.format == "1.0");
    let mut compare = |rank: Rank, of: fn(&Record) -> Value| {
        let (left, right) = (flat(&of(a)), flat(&of(b)));
        let whole = whole_tables(&left, &right);
        let within = |key: &str| whole.iter().any(|(table, ..)| key.starts_with(&format!("{table}.")));
        let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for key in keys.into_iter().filter(|key| !within(key)) {
            let (x, y) = (left.get(key), right.get(key));
            // What an earlier format does not know is no difference.
            let knows = a.is_derived() && b.is_derived();
            let unknown = a.format != b.format && !knows && rank > Rank::Inputs && (x.is_none() || y.is_none());
            let unsaid = [a, b].into_iter().flat_map(|record| upgrade::unsaid(&record.format));
            let unsaid = unsaid.into_iter().any(|name| key.strip_prefix("benchmark.") == Some(name));
            let silent =
                (rank == Rank::Manifest && (is_silent(key) || unsaid)) || (redefined && key.ends_with("ion.sha256"));
            // That only one run has a variant is said once.
            let other_variant = key.starts_with("ran.") && (x.is_none() || y.is_none());
            if x != y && !unknown && !silent && !other_variant {
                changes.push(Change { rank, key: key.clone(), a: x.cloned(), b: y.cloned() });
            }
        }
        changes.extend(whole.into_iter().map(|(key, a, b)| Change { rank, key, a, b }));
    };
    compare(Rank::Manifest, |record| serde_json::to_value(&record.settings).unwrap_or_default());
    compare(Rank::Inputs, inputs);
    compare(Rank::Network, made);
    compare(Rank::Versions, versions);
    compare(Rank::Machine, machine);
    changes.sort_by(|x, y| (x.rank, table(x), &x.key).cmp(&(y.rank, table(y), &y.key)));
    changes
}

fn table(change: &Change) -> usize {
    let first = change.key.split('.').next().unwrap_or_default();
    TABLES.iter().position(|table| *table == first).unwrap_or(TABLES.len())
}

fn inputs(record: &Record) -> Value {
    let inputs = &record.inputs;
    json!({
        "model": { "sha256": inputs.model.sha256 },
        "dataset": { "sha256": inputs.dataset.sha256, "classes": inputs.dataset.classes.join(", ") },
        "samples": {
            "in_both_subsets": inputs.shared_samples + inputs.shared_pictures,
            "look_alikes": inputs.look_alikes,
        },
        "calibration": { "sha256": inputs.calibration.sha256 },
        "evaluation": { "sha256": inputs.evaluation.sha256 },
    })
}

/// What was made of the network and what ran it, beyond what the manifest asked for.
fn made(record: &Record) -> Value {
    let network = &record.network;
    let quantization = &record.quantization;
    let steps: Vec<&str> = quantization.steps.iter().map(|step| step.word()).collect();
    let engines = record.variants.iter().map(|variant| {
        let facts = json!({ "backend": variant.backend, "device": variant.device, "engine": variant.engine });
        (variant.name.clone(), facts)
    });
    let patches = network.patches.iter().map(|patch| serde_json::to_string(patch).unwrap_or_default());
    json!({
        "baseline": record.baseline().map(|variant| &variant.name),
        "recipe": quantization.recipe,
        "observer": quantization.observer,
        "steps": steps.join(", "),
        "ran": engines.collect::<serde_json::Map<_, _>>(),
        "patches": Digest::of(patches.collect::<Vec<_>>().join("\n").as_bytes()),
        "fp32_modules": network.fp32_modules,
        "int8_modules": network.int8_modules,
        "float_operators": network.float_operators,
        "dead_observers": record.quantization.dead_observers.join(", "),
        "excepted_layers": record.quantization.overridden.join(", "),
        "layer_order": Digest::of(network.layers.iter().map(|l| l.name.as_str()).collect::<Vec<_>>().join("\n").as_bytes()),
    })
}

fn versions(record: &Record) -> Value {
    let git = record.provenance.as_ref().and_then(|provenance| provenance.git.as_ref());
    json!({
        "requant": record.requant,
        "calibrated_on": record.runtime.reference,
        "libtorch": record.runtime.libtorch,
        "libtorch_build": record.runtime.build,
        "dependencies": record.provenance.as_ref().map(|provenance| provenance.dependencies),
        "program": record.provenance.as_ref().and_then(|provenance| provenance.binary),
        "commit": git.map(|git| &git.id),
        "changes_since_commit": git.and_then(|git| git.patch),
        "untracked_files": git.and_then(|git| git.untracked).filter(|count| *count > 0),
        "manifest_committed": git.map(|git| git.manifest_committed),
        "report_template": record.inputs.template,
    })
}

fn machine(record: &Record) -> Value {
    let runtime = &record.runtime;
    let mut host = serde_json::to_value(&record.host).unwrap_or_default();
    if let Some(host) = host.as_object_mut() {
        host.insert("isa_flags".into(), json!(record.host.isa_flags.join(" ")));
        host.insert("caches".into(), json!(record.host.caches.join(", ")));
        host.insert("gpus".into(), json!(record.host.gpus.join(", ")));
        // Kernels reserve a little more or less of the same memory.
        let gigabytes = |bytes: u64| format!("{} GB", (bytes + 500_000_000) / 1_000_000_000);
        host.remove("memory_bytes");
        host.insert("memory".into(), json!(record.host.memory_bytes.map(gigabytes)));
        host.insert("kernels".into(), json!(runtime.cpu_capability));
        host.insert("threads".into(), json!(runtime.threads));
        host.insert("environment".into(), json!(runtime.environment));
    }
    host
}

/// Every value by its dotted key; tables with a name go by it, empty values are left out.
fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(value, "", &mut found);
    found
}

fn walk(value: &Value, key: &str, found: &mut BTreeMap<String, String>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Null => {}
        Value::Object(table) => table.iter().for_each(|(name, value)| walk(value, &below(name), found)),
        Value::Array(tables) if tables.iter().any(Value::is_object) => {
            for (position, value) in tables.iter().enumerate() {
                let name = value.get("name").and_then(Value::as_str);
                walk(value, &below(name.unwrap_or(&position.to_string())), found);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            found.insert(key.to_owned(), text.clone());
        }
        other => {
            found.insert(key.to_owned(), other.to_string());
        }
    }
}

/// What makes times of one machine say nothing of another.
const SPEED_KEYS: [&str; 9] =
    ["cpu", "isa_flags", "cores", "memory", "virtual_machine", "governor", "kernels", "threads", "gpus"];

/// Tables with a name, such as variants, that only one run has.
fn whole_tables(
    left: &BTreeMap<String, String>,
    right: &BTreeMap<String, String>,
) -> Vec<(String, Option<String>, Option<String>)> {
    let only = |of: &BTreeMap<String, String>, other: &BTreeMap<String, String>| -> Vec<String> {
        let names = of.keys().filter(|key| !other.contains_key(*key));
        names.filter_map(|key| key.strip_suffix(".name").map(str::to_owned)).collect()
    };
    let there = || Some("present".to_owned());
    let of_left = only(left, right).into_iter().map(|table| (table, there(), None));
    let of_right = only(right, left).into_iter().map(|table| (table, None, there()));
    of_left.chain(of_right).collect()
}

/// Why the times are not comparable, if they are not.
pub(super) fn against_speed(changes: &[Change]) -> Option<String> {
    let telling = |change: &&Change| {
        let key = change.key.as_str();
        match change.rank {
            Rank::Machine => SPEED_KEYS.contains(&key) || key.starts_with("environment."),
            Rank::Manifest => key.starts_with("compute."),
            Rank::Versions => ["calibrated_on", "libtorch"].contains(&key),
            Rank::Inputs | Rank::Network => false,
        }
    };
    let keys: Vec<&str> = changes.iter().filter(telling).map(|change| change.key.as_str()).collect();
    (!keys.is_empty()).then(|| format!("other {}", keys.join(", ")))
}
