//! Records of earlier formats, brought to the present one before they are read. What an old record
//! does not know stays unknown: an empty field, or the setting under which the old requant measured.

use serde_json::{Map, Value, json};

use super::format::{FORMAT, version};

/// Brings the JSON of a record to the present major version; `None` where it is of a later one, or
/// of none.
#[must_use]
pub(super) fn upgrade(mut record: Value) -> Option<Value> {
    let format = record.get("format")?.as_str()?;
    if !is_known(format) {
        return None;
    }
    if major(format) < Some(2) {
        from_1(&mut record);
    }
    Some(record)
}

/// Whether records of this format can be brought to the present one.
pub(super) fn is_known(format: &str) -> bool {
    major(format).is_some_and(|found| found > 0 && Some(found) <= major(FORMAT))
}

fn major(format: &str) -> Option<u32> {
    version(format).map(|(major, _)| major)
}

/// Settings of `[benchmark]` that a record of this format does not have: `upgrade` fills in what its
/// requant did, which no manifest said.
#[must_use]
pub fn unsaid(format: &str) -> &'static [&'static str] {
    const SINCE_2: [&str; 6] =
        ["processes", "min_seconds", "max_warmup", "noise_floor", "max_seconds", "timeout_seconds"];
    if major(format) < Some(2) { &SINCE_2 } else { &[] }
}

/// 1.x measured each variant in one process, without a noise floor, and knew one peak of memory.
fn from_1(record: &mut Value) {
    if let Some(run) = object(record, "run") {
        run.entry("manifest_path").or_insert_with(|| json!(""));
    }
    if let Some(runtime) = object(record, "runtime") {
        runtime.entry("environment").or_insert_with(|| json!({}));
    }
    if let Some(benchmark) = record.get_mut("settings").and_then(|settings| object(settings, "benchmark")) {
        let warmup = benchmark.get("warmup").cloned().unwrap_or_else(|| json!(1));
        let then = [
            ("processes", json!(1)),
            ("min_seconds", json!(0.0)),
            ("max_warmup", warmup),
            ("noise_floor", json!(0.0)),
            ("max_seconds", json!(86_400)),
            ("timeout_seconds", json!(86_400)),
        ];
        for (key, value) in then {
            benchmark.entry(key).or_insert(value);
        }
    }
    for variant in record.get_mut("variants").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(outcome) = object(variant, "outcome") {
            let peak = outcome.remove("peak_memory_bytes").filter(Value::is_number);
            // What loading alone needed was a difference, which is no longer stated.
            outcome.remove("loaded_memory_bytes");
            if let Some(peak) = peak {
                let once = json!({ "value": peak, "low": peak, "high": peak, "n": 1 });
                outcome.insert("memory".into(), json!({ "runtime": null, "loaded": null, "inference": once }));
            }
        }
    }
}

fn object<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    value.get_mut(key)?.as_object_mut()
}
