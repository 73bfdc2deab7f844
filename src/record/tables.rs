//! The csv files of a run. Other programs read them: the columns are a promise.

use csv::Writer;

use super::Record;
use super::format::{Measured, VariantResult};
use crate::measure::summary::Timing;
use crate::stats::Estimate;
use crate::task::classification::Answer;
use crate::task::fidelity::Closeness;

/// A csv file; every row is as long as the header.
#[must_use]
pub fn table<R: AsRef<[String]>>(header: &[&str], rows: impl IntoIterator<Item = R>) -> Vec<u8> {
    let mut writer = Writer::from_writer(Vec::new());
    let written = writer
        .write_record(header)
        .and_then(|()| rows.into_iter().try_for_each(|row| writer.write_record(row.as_ref())));
    written
        .and_then(|()| writer.into_inner().map_err(|e| e.into_error().into()))
        .expect("a Vec takes every row of equal length")
}

/// A number in its shortest exact form; nothing where it is none.
#[must_use]
pub fn number(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { String::new() }
}

/// `metrics.csv`: a row per variant; empty cells where there is no value.
#[must_use]
pub fn metrics(record: &Record) -> Vec<u8> {
    const HEADER: [&str; 19] = [
        "variant",
        "status",
        "reason",
        "samples",
        "correct",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "latency_ms",
        "latency_low",
        "latency_high",
        "throughput",
        "speedup",
        "speedup_low",
        "speedup_high",
        "peak_memory_bytes",
        "model_bytes",
        "batch",
        "peak_device_bytes",
    ];
    table(&HEADER, record.variants.iter().map(metrics_row))
}

fn metrics_row(variant: &VariantResult) -> Vec<String> {
    let (status, reason) = variant.status();
    let mut row = vec![variant.name.clone(), status.into(), reason];
    row.extend(variant.measured().map_or_else(|| vec![String::new(); 16], measured_cells));
    row
}

fn measured_cells(measured: &Measured) -> Vec<String> {
    let classified = measured.classified();
    let correct = classified.map(|own| own.correct.to_string()).unwrap_or_default();
    let mut cells = vec![measured.samples().0.to_string(), correct];
    let accuracy = classified.map(|own| [own.accuracy.value, own.accuracy.low, own.accuracy.high].map(number));
    cells.extend(accuracy.unwrap_or_default());
    let first = measured.latency.first();
    let latency = first.map(|l| [l.milliseconds.value, l.milliseconds.low, l.milliseconds.high, l.throughput()]);
    cells.extend(latency.map_or_else(|| vec![String::new(); 4], |values| values.map(number).to_vec()));
    let speedup = first.and_then(|l| l.speedup).map(|s| [s.value, s.low, s.high]);
    cells.extend(speedup.map_or_else(|| vec![String::new(); 3], |values| values.map(number).to_vec()));
    cells.push(measured.peak_memory_bytes().map(|b| b.to_string()).unwrap_or_default());
    cells.push(measured.artefact.bytes.to_string());
    cells.push(first.map(|l| l.batch.to_string()).unwrap_or_default());
    cells.push(measured.peak_device_bytes().map(|b| b.to_string()).unwrap_or_default());
    cells
}

/// `predictions.csv`: samples in subset order, for each the variants in manifest order.
#[must_use]
pub fn predictions(classes: &[String], samples: &[(String, usize)], variants: &[(&str, &[Answer])]) -> Vec<u8> {
    let rows = samples.iter().enumerate().flat_map(|(i, (id, label))| {
        variants.iter().map(move |(variant, answers)| {
            let Answer { class, margin } = answers[i];
            let name = |class: usize| classes.get(class).cloned().unwrap_or_else(|| class.to_string());
            [id.clone(), name(*label), (*variant).to_owned(), name(class), format!("{margin}")]
        })
    });
    table(&["sample", "label", "variant", "predicted", "margin"], rows)
}

/// `fidelity.csv`: a row per variant and output; empty cells where there is no value.
#[must_use]
pub fn fidelity(record: &Record) -> Vec<u8> {
    const HEADER: [&str; 11] = [
        "variant",
        "output",
        "samples",
        "undefined",
        "identical",
        "sqnr_db",
        "sqnr_db_low",
        "sqnr_db_high",
        "cosine",
        "cosine_low",
        "cosine_high",
    ];
    let all = record.variants.iter().filter_map(|variant| Some((variant, variant.measured()?.fidelity()?)));
    let rows = all.flat_map(|(variant, fidelity)| {
        fidelity.outputs.iter().map(move |output| {
            let counts = [fidelity.samples, fidelity.undefined, output.identical].map(|count| count.to_string());
            let cells = |estimate: Option<Estimate>| {
                estimate.map(|own| [own.value, own.low, own.high].map(number)).unwrap_or_default()
            };
            let (names, ratio, cosine) = ([variant.name.clone(), output.name.clone()], output.sqnr_db, output.cosine);
            names.into_iter().chain(counts).chain(cells(ratio)).chain(cells(cosine)).collect::<Vec<_>>()
        })
    });
    table(&HEADER, rows)
}

/// The columns of `outputs.csv`.
pub const OUTPUTS: [&str; 8] = ["sample", "variant", "output", "signal", "noise", "product", "energy", "sqnr_db"];

/// `outputs.csv`: samples in subset order, for each the variants in manifest order with their outputs, beside the baseline's:
/// the sums that every figure is made of, as exact decimals (empty where one is no number), and their ratio in dB.
#[must_use]
pub fn outputs(names: &[String], samples: &[&str], variants: &[(&str, &[Vec<Closeness>])]) -> Vec<u8> {
    let rows = samples.iter().enumerate().flat_map(|(i, id)| {
        variants.iter().flat_map(move |(variant, outputs)| {
            names.iter().zip(*outputs).filter_map(move |(name, all)| {
                let own = all.get(i)?;
                let Closeness { signal, noise, product, energy } = *own;
                let [signal, noise, product, energy] = [signal, noise, product, energy].map(number);
                let ratio = own.sqnr_db().map(|db| format!("{db:.2}")).unwrap_or_default();
                Some([(*id).to_owned(), (*variant).to_owned(), name.clone(), signal, noise, product, energy, ratio])
            })
        })
    });
    table(&OUTPUTS, rows)
}

/// The columns of `latency.csv`.
pub const LATENCY: [&str; 10] = [
    "variant",
    "round",
    "batch",
    "iteration",
    "nanoseconds",
    "process",
    "take",
    "input",
    "waited_nanoseconds",
    "disturbed",
];

/// `latency.csv`: every raw timing.
#[must_use]
pub fn latency(variants: &[(String, Vec<Timing>)]) -> Vec<u8> {
    let rows = variants.iter().flat_map(|(name, timings)| {
        timings.iter().map(move |t| {
            let numbers = [t.round, t.batch, t.iteration].map(|number| number.to_string());
            let [round, batch, iteration] = numbers;
            let waited = t.waited.map(|waited| waited.to_string()).unwrap_or_default();
            let [process, take, input] = [t.process, t.take, t.input].map(|number| number.to_string());
            let (nanoseconds, disturbed) = (t.nanoseconds.to_string(), u8::from(t.disturbed).to_string());
            [name.clone(), round, batch, iteration, nanoseconds, process, take, input, waited, disturbed]
        })
    });
    table(&LATENCY, rows)
}

/// `scales.csv`: the scale of every output channel of every integer layer, as exact decimals; weights have zero
/// point 0. Activations' parameters are in `layers.csv`.
#[must_use]
pub fn scales<'a>(layers: impl IntoIterator<Item = (&'a str, &'a [f64])>) -> Vec<u8> {
    let rows = layers.into_iter().flat_map(|(layer, scales)| {
        let row = move |(channel, scale): (usize, &f64)| [layer.to_owned(), channel.to_string(), scale.to_string()];
        scales.iter().enumerate().map(row)
    });
    table(&["layer", "channel", "scale"], rows)
}

/// `layers.csv`: every node of the quantized network.
#[must_use]
pub fn layers(record: &Record) -> Vec<u8> {
    const HEADER: [&str; 20] = [
        "layer",
        "operator",
        "quantized",
        "float_because",
        "scale",
        "zero_point",
        "observer",
        "min",
        "max",
        "low",
        "high",
        "weight_shape",
        "weight_sqnr_db",
        "local_sqnr_db",
        "cumulative_sqnr_db",
        "clipped",
        "levels",
        "clipped_in_evaluation",
        "levels_in_evaluation",
        "kernel",
    ];
    let rows = record.network.layers.iter().map(|layer| {
        let seen = layer.observed.as_ref();
        let observed =
            |pick: fn(&super::format::ObservedFacts) -> f32| seen.map(|o| format!("{}", pick(o))).unwrap_or_default();
        let weight = layer.weight.as_ref();
        let evidence = layer.evidence.as_ref();
        let used = |cell: fn(&super::format::Usage) -> String| layer.usage.as_ref().map(cell).unwrap_or_default();
        [
            layer.name.clone(),
            layer.operator.clone(),
            layer.float_because.is_none().to_string(),
            layer.float_because.map(|reason| reason.word().to_owned()).unwrap_or_default(),
            layer.output.map(|q| format!("{}", q.scale)).unwrap_or_default(),
            layer.output.map(|q| q.zero_point.to_string()).unwrap_or_default(),
            seen.map(|o| o.observer.clone()).unwrap_or_default(),
            observed(|o| o.min),
            observed(|o| o.max),
            observed(|o| o.low),
            observed(|o| o.high),
            weight.map(|w| w.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")).unwrap_or_default(),
            weight.and_then(|w| w.sqnr_db).map(|db| format!("{db:.2}")).unwrap_or_default(),
            evidence.and_then(|e| e.local_sqnr_db).map(|db| format!("{db:.2}")).unwrap_or_default(),
            evidence.and_then(|e| e.cumulative_sqnr_db).map(|db| format!("{db:.2}")).unwrap_or_default(),
            used(|usage| format!("{:.6}", usage.clipped)),
            used(|usage| usage.levels.to_string()),
            used(|usage| format!("{:.6}", usage.clipped_in_evaluation)),
            used(|usage| usage.levels_in_evaluation.to_string()),
            layer.kernel.map(|kernel| kernel.word().to_owned()).unwrap_or_default(),
        ]
    });
    table(&HEADER, rows)
}
