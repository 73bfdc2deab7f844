//! Which modules compute in integers, and which were left in float?

use super::{Case, has_integers, some};
use crate::base::finding::{Finding, Verdict};
use crate::graph::quantization::FloatReason;
use crate::record::Record;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("modules", "Were the modules found and quantized?");
    if !has_integers(record) {
        case.note("no variant asks for INT8".into());
        return case.close();
    }
    let network = &record.network;
    let total = |counts: &std::collections::BTreeMap<String, usize>| counts.values().sum::<usize>();
    case.note(format!(
        "{} modules in the file; {} INT8 modules after fusion",
        total(&network.fp32_modules),
        total(&network.int8_modules)
    ));
    if network.int8_modules.is_empty() {
        case.against(Verdict::Fail, "nothing computes in integers".into(), "remove `precision = \"fp32\"` exceptions");
    }
    let left = |reason: FloatReason| -> Vec<String> {
        let layers = network.layers.iter().filter(|layer| layer.float_because == Some(reason));
        layers.map(|layer| layer.name.clone()).collect()
    };
    let (no_kernel, follows, asked) =
        (left(FloatReason::NoKernel), left(FloatReason::FloatInput), left(FloatReason::Manifest));
    if !no_kernel.is_empty() {
        // Stated, not held against the run: what it costs is in the accuracy and the timings.
        case.note(format!("in float, having no INT8 form here: {}; see `layers.csv`", some(&no_kernel)));
    }
    if !follows.is_empty() {
        case.note(format!("in float because their input is: {}", some(&follows)));
    }
    if !asked.is_empty() {
        case.note(format!("in float as the manifest asks: {}", some(&asked)));
    }
    if no_kernel.is_empty() && follows.is_empty() && asked.is_empty() {
        case.note("nothing was left in float".into());
    }
    case.close()
}
