//! The fault bench: known faults planted in healthy experiments, and whether the first finding names them. Its
//! table is a page of the documentation.

use std::fmt::Write as _;
use std::path::Path;

use lab::{Bench, root};
use rayon::prelude::*;
use requant::base::digest::Digest;
use requant::base::files;
use requant::base::finding::{Finding, Verdict, ranked};
use requant::codec::onnx;
use requant::diagnose;
use requant::graph::Op;
use requant::graph::op::{Layer, Normalize, Unary};
use requant::record::{Record, store};
use requant::stats::Estimate;
use requant::tensor::Tensor;

/// Writes an experiment.
type Plant = fn(&Bench);

/// What is planted, and the code of the finding that should come first.
struct Fault {
    name: &'static str,
    cause: &'static str,
    plant: Plant,
}

const RECIPE: &str = "recipe = \"fx-default\"";
const CALIBRATION_PIN: &str = "sha256 = \"4f8cb41f99f11d37bd1e62b920f319374025f76f375172d80eb75cf4ba8423df\"";
const EVALUATION_PIN: &str = "sha256 = \"0b152313352992cb7a7b8fceead794dc2e89bc0b47bc8025ff85a5db3d6fa7ea\"";
const DATASET_PIN: &str = "sha256 = \"c2777df97130ae946f9086d2adb8f2e0083a2bb8f5f112ade8cb25c1ede48c7e\"";

const FAULTS: [Fault; 26] = [
    Fault { name: "residual streams rescaled", cause: "channels", plant: |bench| skewed(bench, &[]) },
    Fault {
        name: "residual streams rescaled, min/max observer",
        cause: "channels",
        plant: |bench| skewed(bench, &[(RECIPE, "recipe = \"minmax\"")]),
    },
    Fault {
        name: "calibrated on what is evaluated",
        cause: "calibration",
        plant: |bench| digits(bench, &[("splits = [\"train\"]", "splits = [\"test\"]"), (CALIBRATION_PIN, "")]),
    },
    Fault {
        name: "four calibration samples",
        cause: "calibration",
        plant: |bench| digits(bench, &[("samples = 512", "samples = 4"), (CALIBRATION_PIN, "")]),
    },
    Fault { name: "calibrated on one class", cause: "calibration", plant: |bench| one_class(bench) },
    Fault {
        name: "calibrated on blank images",
        cause: "likeness",
        plant: |bench| {
            rows(bench, &[], |row, values| {
                if row < TRAIN {
                    values.iter_mut().for_each(|v| *v = 0);
                }
            });
        },
    },
    Fault {
        name: "calibrated on negatives",
        cause: "likeness",
        plant: |bench| {
            rows(bench, &[], |row, values| {
                if row < TRAIN {
                    values.iter_mut().for_each(|v| *v = 16 - *v);
                }
            });
        },
    },
    Fault {
        name: "calibrated on dim images",
        cause: "likeness",
        plant: |bench| {
            rows(bench, &[], |row, values| {
                if row < TRAIN {
                    values.iter_mut().for_each(|v| *v /= 4);
                }
            });
        },
    },
    Fault {
        name: "one outlying calibration image, min/max observer",
        cause: "ranges",
        plant: |bench| {
            // Coarser than from 16, so that one row can have sixty times what the others have.
            let finer = "mean = [0.0078431, 0.0078431, 0.0078431], std = [0.0078431, 0.0078431, 0.0078431]";
            let edits = [
                (RECIPE, "recipe = \"minmax\""),
                ("full_scale = 16", "full_scale = 255"),
                ("mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5]", finer),
            ];
            rows(bench, &edits, |row, values| {
                values.iter_mut().for_each(|v| *v = if row == 7 { 255 } else { *v / 4 });
            });
        },
    },
    Fault {
        name: "images in 0 to 255, not normalized",
        cause: "baseline",
        plant: |bench| {
            let raw = "mean = [0.0, 0.0, 0.0], std = [0.0039, 0.0039, 0.0039]";
            digits(bench, &[("mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5]", raw)]);
        },
    },
    Fault { name: "classes in another order", cause: "baseline", plant: |bench| labels(bench, |_, label| 9 - label) },
    Fault {
        name: "labels at random",
        cause: "baseline",
        plant: |bench| labels(bench, |row, _| (row * 7919 % 1009) % 10),
    },
    Fault {
        name: "one weight scale for all channels",
        cause: "weights",
        plant: |bench| cifar(bench, &[(RECIPE, "recipe = \"fx-default\"\nweights = \"per-tensor\"")]),
    },
    Fault {
        name: "8 bits without bounded weights, no VNNI",
        cause: "saturation",
        plant: |bench| {
            let scheme = "recipe = \"percentile\"\nsteps = [\"float-stem\"]\nreduce_range = false";
            cifar(bench, &[(RECIPE, scheme)]);
        },
    },
    Fault {
        name: "residual streams of the CIFAR-10 model rescaled",
        cause: "channels",
        plant: |bench| cifar_with(bench, "cifar10-mobilenet_v3_small-skewed.onnx", &[]),
    },
    Fault {
        name: "a channel of next to no weight and a large bias",
        cause: "weights",
        plant: |bench| dead_channel(bench),
    },
    Fault { name: "a gate shut from far away in each block", cause: "gates", plant: |bench| far_gates(bench) },
    Fault { name: "a dead channel far below hard-swish", cause: "gates", plant: |bench| far_channels(bench) },
    Fault {
        name: "six of 64 depthwise channels without variance and with large constants",
        cause: "channels",
        plant: |bench| case(bench, "dead-depthwise", "[0.485, 0.456, 0.406]", "[0.229, 0.224, 0.225]"),
    },
    Fault {
        name: "one channel of a layer that reaches 256 times too far",
        cause: "channels",
        plant: |bench| one_channel(bench),
    },
    Fault { name: "all scores shifted by 1 000", cause: "ranges", plant: |bench| shifted_scores(bench) },
    Fault {
        name: "EfficientNet-B0 whose activations spread over many orders of magnitude",
        cause: "activations",
        plant: |bench| case(bench, "efficientnet-collapse", "[0.5, 0.5, 0.5]", "[0.5, 0.5, 0.5]"),
    },
    Fault {
        name: "one channel of an attention's queries 1 024 times too large, that of its keys too small",
        cause: "activations",
        plant: |bench| attention(bench, 1024.0),
    },
    Fault {
        name: "every layer excepted",
        cause: "modules",
        plant: |bench| {
            digits(
                bench,
                &[(RECIPE, "recipe = \"fx-default\"\n[[quantize.layer]]\nmatch = \"*\"\nprecision = \"fp32\"\n")],
            );
        },
    },
    Fault {
        name: "a goal finer than the samples",
        cause: "resolution",
        plant: |bench| digits(bench, &[("max_accuracy_drop = 1.0", "max_accuracy_drop = 0.05")]),
    },
    Fault {
        name: "a measuring process without memory",
        cause: "backends",
        plant: |bench| digits(bench, &[("[benchmark]\n", "[benchmark]\nmemory_limit_mb = 60\n")]),
    },
];

/// The planted faults and the healthy experiments whose model or images are too large for the repository.
const BESIDE: [&str; 7] = [
    "one weight scale for all channels",
    "8 bits without bounded weights, no VNNI",
    "residual streams of the CIFAR-10 model rescaled",
    "six of 64 depthwise channels without variance and with large constants",
    "EfficientNet-B0 whose activations spread over many orders of magnitude",
    "CIFAR-10, fx-default",
    "CIFAR-10, robust",
];

/// Experiments without a fault, in which no finding may fail.
const HEALTHY: [(&str, Plant); 8] = [
    ("CIFAR-10, fx-default", |bench| cifar(bench, &[])),
    ("CIFAR-10, robust", |bench| cifar(bench, &[(RECIPE, "recipe = \"robust\"")])),
    ("digits, fx-default", |bench| digits(bench, &[])),
    ("digits, minmax", |bench| digits(bench, &[(RECIPE, "recipe = \"minmax\"")])),
    ("digits, percentile", |bench| digits(bench, &[(RECIPE, "recipe = \"percentile\"")])),
    ("digits, robust", |bench| digits(bench, &[(RECIPE, "recipe = \"robust\"")])),
    ("digits by a network with attention, fx-default", |bench| attention(bench, 1.0)),
    ("rescaled digits, robust", |bench| skewed(bench, &[(RECIPE, "recipe = \"robust\"")])),
];

/// Rows of the digits that are calibrated on.
const TRAIN: usize = 1000;

fn digits(bench: &Bench, edits: &[(&str, &str)]) {
    bench.digits(&[edits, &[("rounds = 2", "rounds = 1"), ("batch_sizes = [1, 8]", "batch_sizes = [8]")]].concat());
}

/// The CIFAR-10 experiment on 1 000 test images.
fn cifar(bench: &Bench, edits: &[(&str, &str)]) {
    cifar_with(bench, "cifar10-mobilenet_v3_small.onnx", edits);
}

fn cifar_with(bench: &Bench, model: &str, edits: &[(&str, &str)]) {
    let shared = lab::shared("models").expect("the bench needs the shared models").join(model);
    let tar = lab::shared("datasets/cifar10.tar").expect("the bench needs CIFAR-10");
    let bytes = files::read(&shared).unwrap();
    bench.put(&format!("models/{model}"), &bytes);
    let text = files::read_text(&root().join("experiments/cifar10-mobilenet_v3_small.toml")).unwrap();
    bench.put("digits.toml", text.as_bytes());
    let pin = "246c43107312a68190a508b90b1030173c483aaf36e02d615126b21c14871174";
    let here = [
        ("name = \"cifar10-mobilenet_v3_small\"", "name = \"digits\""),
        ("models/cifar10-mobilenet_v3_small.onnx", &format!("models/{model}")),
        (pin, &Digest::of(&bytes).to_string()),
        ("../data/cifar10.tar", &tar.to_string_lossy()),
        ("samples = 2000", "samples = 1000"),
        ("sha256 = \"28108fbca042b9c64390832417aa20775bd0bdfbac9bafab3a4211c9ce36e8e3\"", ""),
        ("rounds = 20", "rounds = 1\niterations = 2"),
        ("batch_sizes = [1, 50]", "batch_sizes = [50]"),
        ("threads = 2", "threads = 1"),
        ("max_accuracy_drop = 1.0", "max_accuracy_drop = 3.0"),
    ];
    edit(bench, &[&here, edits].concat());
}

/// A network of ten classes on 400 images of 32 × 32.
fn case(bench: &Bench, name: &str, mean: &str, std: &str) {
    let model = lab::shared(&format!("cases/{name}/model.onnx")).expect("the bench needs the shared cases");
    let data = lab::shared("cases/data/data32").expect("the bench needs the shared cases");
    let bytes = files::read(&model).unwrap();
    bench.put("models/case.onnx", &bytes);
    let text = format!(
        "schema = 1\nname = \"digits\"\n[model]\npath = \"models/case.onnx\"\nsha256 = \"{}\"\n\
         [dataset]\nformat = \"image-folder\"\npath = \"{}\"\npreprocess = {{ mean = {mean}, std = {std} }}\n\
         [calibration]\nsplits = [\"train\"]\nstrategy = \"all\"\n[evaluation]\nsplits = [\"test\"]\nstrategy = \"all\"\n\
         [[variant]]\nname = \"fp32\"\nbackend = \"torch\"\nprecision = \"fp32\"\n\
         [[variant]]\nname = \"int8\"\nbackend = \"torch\"\nprecision = \"int8\"\nengine = \"fbgemm\"\n\
         [compute]\nthreads = 1\nisa = \"avx2\"\n[benchmark]\nrounds = 1\niterations = 2\nbatch_sizes = [8]\n\
         [goals]\nmax_accuracy_drop = 5.0\n",
        Digest::of(&bytes),
        data.display()
    );
    bench.put("digits.toml", text.as_bytes());
}

fn edit(bench: &Bench, edits: &[(&str, &str)]) {
    let mut text = files::read_text(&bench.path("digits.toml")).unwrap();
    for (from, to) in edits {
        assert!(text.contains(from), "the manifest has no `{from}`");
        text = text.replace(from, to);
    }
    bench.put("digits.toml", text.as_bytes());
}

fn skewed(bench: &Bench, edits: &[(&str, &str)]) {
    let model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small-skewed.onnx")).unwrap();
    bench.digits_with_model(&model);
    edit(bench, edits);
}

/// The digits as a file of their own, each row's label and pixels changed.
fn table(bench: &Bench, edits: &[(&str, &str)], change: impl Fn(usize, &mut usize, &mut Vec<usize>)) {
    let text = files::read_text(&root().join("src/dataset/digits.csv")).unwrap();
    let mut lines = text.lines();
    let mut out = lines.next().unwrap().to_owned() + "\n";
    for (row, line) in lines.enumerate() {
        let mut cells: Vec<usize> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        let mut label = cells.remove(0);
        change(row, &mut label, &mut cells);
        let cells: Vec<String> = std::iter::once(label).chain(cells).map(|cell| cell.to_string()).collect();
        let _ = writeln!(out, "{}", cells.join(","));
    }
    bench.put("changed.csv", out.as_bytes());
    let format = "format = \"csv\"\nfull_scale = 16\npath = \"changed.csv\"\n";
    let own = [("format = \"digits\"", format), (DATASET_PIN, ""), (CALIBRATION_PIN, ""), (EVALUATION_PIN, "")];
    digits(bench, &[&own, edits].concat());
}

fn rows(bench: &Bench, edits: &[(&str, &str)], change: fn(usize, &mut Vec<usize>)) {
    table(bench, edits, |row, _, values| change(row, values));
}

fn labels(bench: &Bench, change: fn(usize, usize) -> usize) {
    table(bench, &[], |row, label, _| *label = change(row, *label));
}

fn one_class(bench: &Bench) {
    let text = files::read_text(&root().join("src/dataset/digits.csv")).unwrap();
    let threes = text.lines().skip(1).take(TRAIN).enumerate().filter(|(_, line)| line.starts_with("3,"));
    let ids = threes.map(|(row, _)| row.to_string()).collect::<Vec<_>>().join("\n");
    bench.put("threes.txt", ids.as_bytes());
    let list = "strategy = \"list\"\nlist = \"threes.txt\"";
    digits(bench, &[("strategy = \"first\"\nsamples = 512", list), (CALIBRATION_PIN, "")]);
}

/// A channel of a convolution with hardly any weight, whose normalization gives it a large constant that nobody
/// reads: the scale of such a channel leaves its bias no room in 32 bits.
fn dead_channel(bench: &Bench) {
    const CHANNEL: usize = 5;
    let mut model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small.onnx")).unwrap();
    let graph = onnx::read(&model).unwrap().graph;
    let at = |name: &str| graph.nodes.iter().position(|node| node.name == name).unwrap();
    let expand = at("features.4.block.0.0");
    let (Op::Layer(Layer::Conv { weights: first, .. }), Op::Normalize(Normalize::Batch(norm))) =
        (&graph.nodes[expand].op, &graph.nodes[expand + 1].op)
    else {
        panic!("a convolution and its normalization")
    };
    let Op::Layer(Layer::Conv { weights: second, .. }) = &graph.nodes[at("features.4.block.1.0")].op else {
        panic!("depthwise")
    };
    let row = |tensor: &requant::tensor::Tensor| tensor.as_f32().unwrap().len() / tensor.shape()[0];
    let (wide, deep) = (row(&first.weight), row(&second.weight));
    overwrite(&mut model, &first.weight, |place, value| if place / wide == CHANNEL { 1e-20 } else { value });
    overwrite(&mut model, &norm.beta, |place, value| if place == CHANNEL { 100.0 } else { value });
    overwrite(&mut model, &second.weight, |place, value| if place / deep == CHANNEL { 0.0 } else { value });
    bench.digits_with_model(&model);
}

/// One of the channels between the first two blocks is 256 times as wide, and what reads it undoes that.
fn one_channel(bench: &Bench) {
    const CHANNEL: usize = 5;
    let mut model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small.onnx")).unwrap();
    let graph = onnx::read(&model).unwrap().graph;
    let reader = graph.nodes.iter().find(|node| node.name == "features.2.block.0.0").unwrap();
    let (Op::Normalize(Normalize::Batch(norm)), Op::Layer(Layer::Conv { weights, .. })) =
        (&graph.node(reader.inputs[0]).op, &reader.op)
    else {
        panic!("a normalization and the convolution that reads it")
    };
    let channels = weights.weight.shape()[1];
    for own in [&norm.gamma, &norm.beta] {
        overwrite(&mut model, own, |place, value| if place == CHANNEL { value * 256.0 } else { value });
    }
    let undo = |place: usize, value: f32| if place % channels == CHANNEL { value / 256.0 } else { value };
    overwrite(&mut model, &weights.weight, undo);
    bench.digits_with_model(&model);
}

/// The product of queries and keys stays what it is; the integers of the queries, which have one scale, do not.
fn attention(bench: &Bench, factor: f32) {
    const CHANNEL: usize = 3;
    let mut model = files::read(&root().join("tests/fixtures/attention.onnx")).unwrap();
    let graph = onnx::read(&model).unwrap().graph;
    for (name, factor) in [("attention.q", factor), ("attention.k", factor.recip())] {
        let weights = graph.nodes.iter().find(|node| node.name == name).unwrap().op.weights().unwrap();
        for own in std::iter::once(&weights.weight).chain(&weights.bias) {
            let row = own.as_f32().unwrap().len() / own.shape()[0];
            overwrite(&mut model, own, |place, value| if place / row == CHANNEL { value * factor } else { value });
        }
    }
    bench.digits_with_model(&model);
}

/// What is added to all scores alike changes no answer of the float network.
fn shifted_scores(bench: &Bench) {
    let mut model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small.onnx")).unwrap();
    let graph = onnx::read(&model).unwrap().graph;
    let last = graph.node(graph.output()).op.weights().unwrap().bias.clone().unwrap();
    overwrite(&mut model, &last, |_, value| value + 1000.0);
    bench.digits_with_model(&model);
}

/// Gives a tensor of a model other values.
fn overwrite(model: &mut [u8], tensor: &Tensor, change: impl Fn(usize, f32) -> f32) {
    let old = tensor.as_f32().unwrap();
    let from: Vec<u8> = old.iter().flat_map(|value| value.to_le_bytes()).collect();
    let to = old.iter().enumerate().flat_map(|(place, &value)| change(place, value).to_le_bytes());
    let found = model.windows(from.len()).position(|window| window == from).unwrap();
    model[found..found + from.len()].copy_from_slice(&to.collect::<Vec<u8>>());
}

/// In each block the gate of one channel is shut by a bias of −500, where −3 would do.
fn far_gates(bench: &Bench) {
    let mut model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small.onnx")).unwrap();
    let graph = onnx::read(&model).unwrap().graph;
    let last = graph.nodes.iter().filter(|node| node.name.ends_with(".fc2"));
    for node in last {
        let bias = node.op.weights().unwrap().bias.as_ref().unwrap();
        overwrite(&mut model, bias, |place, value| if place == 3 { -500.0 } else { value });
    }
    bench.digits_with_model(&model);
}

/// One channel of each layer before hard-swish is shut by a shift of −500.
fn far_channels(bench: &Bench) {
    let mut model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small.onnx")).unwrap();
    let graph = onnx::read(&model).unwrap().graph;
    for node in graph.nodes.iter().filter(|node| node.op == Op::Unary(Unary::HardSwish)) {
        if let Op::Normalize(Normalize::Batch(norm)) = &graph.node(node.inputs[0]).op {
            overwrite(&mut model, &norm.beta, |place, value| if place == 3 { -500.0 } else { value });
        }
    }
    bench.digits_with_model(&model);
}

/// Runs what was planted.
fn record(plant: Plant) -> Record {
    planted(plant).1
}

fn planted(plant: Plant) -> (Bench, Record) {
    let bench = Bench::new();
    plant(&bench);
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let record = store::read(&bench.only_run("digits")).unwrap();
    (bench, record)
}

/// A remedy that a run promised, and what a run with it regained: accuracy over all samples, a fraction.
struct Kept {
    told: String,
    promised: Estimate,
    regained: f64,
}

impl Kept {
    fn is_kept(&self) -> bool {
        (self.promised.low..=self.promised.high).contains(&self.regained)
    }
}

/// Follows the remedy of a run, where it has one, by the manifest that requant writes.
fn follow(bench: &Bench, before: &Record) -> Option<Kept> {
    let remedy = diagnose::remedy(before)?;
    let ended = bench.run(&["remedy", "digits"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = bench.run(&["run", "digits.remedy.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let after = store::read(&bench.only_run("digits-remedy")).unwrap();
    let changed = &before.attribution.as_ref()?.variant;
    let accuracy = |record: &Record| {
        let variant = record.variants.iter().find(|variant| variant.name == *changed).unwrap();
        variant.measured().unwrap().classified().unwrap().accuracy.value
    };
    let regained = accuracy(&after) - accuracy(before);
    Some(Kept { told: remedy.told(), promised: remedy.gained, regained })
}

/// What the reader is shown first. Whether the machine was quiet enough to time on is another matter.
fn first(record: &Record) -> Option<&Finding> {
    ranked(&record.findings).into_iter().find(|finding| finding.code != "measurement" && !finding.is_clean())
}

#[test]
fn the_first_finding_names_the_planted_cause() {
    let is_whole = lab::shared("datasets/cifar10.tar").is_some();
    let is_here = |name: &str| is_whole || !BESIDE.contains(&name);
    let faults: Vec<&Fault> = FAULTS.iter().filter(|fault| is_here(fault.name)).collect();
    let healthy: Vec<&(&str, Plant)> = HEALTHY.iter().filter(|(name, _)| is_here(name)).collect();
    let is_known = |name: &&str| FAULTS.iter().any(|own| own.name == *name) || HEALTHY.iter().any(|own| own.0 == *name);
    assert!(BESIDE.iter().all(is_known), "a name of `BESIDE` is no experiment's");
    if !is_whole {
        let left = FAULTS.len() + HEALTHY.len() - faults.len() - healthy.len();
        lab::skip(&format!("{left} experiments of docs/diagnosis.md, and so the page itself: {}", BESIDE.join("; ")));
    }
    let mut named = 0;
    let run = |fault: &Fault| {
        let (bench, record) = planted(fault.plant);
        let kept = follow(&bench, &record);
        (record, kept)
    };
    let (records, kept): (Vec<Record>, Vec<Option<Kept>>) = faults.par_iter().map(|fault| run(fault)).unzip();
    let questions = &records[0].findings;
    let mut page = PAGE.replace("QUESTIONS", &questions.len().to_string());
    for (Fault { name, cause, .. }, record) in faults.iter().copied().zip(&records) {
        let found = first(record);
        let code = found.map_or("nothing", |finding| &finding.code);
        named += usize::from(code == *cause);
        let verdict = found.map_or("", |finding| finding.verdict.word());
        let others: Vec<&str> = ranked(&record.findings)
            .into_iter()
            .filter(|other| !other.is_clean() && other.code != "measurement" && other.code != code)
            .map(|other| other.code.as_str())
            .collect();
        let explained = found.and_then(|finding| finding.explains);
        let explained = explained.map_or_else(|| "–".to_owned(), |points| format!("{points:.1}"));
        let _ = writeln!(page, "| {name} | `{cause}` | `{code}` | {verdict} | {explained} | {} |", dash(&others));
    }
    let _ = writeln!(page, "\n{named} of {} planted causes are named first.\n", faults.len());
    page.push_str(REMEDIES_HEAD);
    let followed: Vec<(&Fault, &Kept)> =
        faults.iter().copied().zip(&kept).filter_map(|(fault, kept)| Some((fault, kept.as_ref()?))).collect();
    for (Fault { name, .. }, kept) in &followed {
        let held = if kept.is_kept() { "yes" } else { "no" };
        let _ = writeln!(page, "| {name} | {} | {:+.2} | {held} |", kept.told, kept.regained * 100.0);
    }
    let held = followed.iter().filter(|(_, kept)| kept.is_kept()).count();
    let _ = writeln!(page, "\n{held} of {} promises are kept.\n", followed.len());
    page.push_str(HEALTHY_HEAD);
    let mut false_alarms = Vec::new();
    let records: Vec<Record> = healthy.par_iter().map(|(_, plant)| record(*plant)).collect();
    for ((name, _), record) in healthy.iter().zip(&records) {
        let failing: Vec<&str> =
            record.findings.iter().filter(|f| f.verdict == Verdict::Fail).map(|f| f.code.as_str()).collect();
        let warned: Vec<&str> = record
            .findings
            .iter()
            .filter(|f| !f.is_clean() && f.verdict != Verdict::Fail && f.code != "measurement")
            .map(|f| f.code.as_str())
            .collect();
        let _ = writeln!(page, "| {name} | {} | {} |", dash(&failing), dash(&warned));
        false_alarms.extend(failing.into_iter().map(|code| format!("{name}: {code}")));
    }
    page.push_str(QUESTIONS_HEAD);
    for finding in questions {
        let _ = writeln!(page, "| `{}` | {} |", finding.code, finding.question);
    }
    assert_eq!(false_alarms, Vec::<String>::new());
    assert!(named * 20 >= faults.len() * 19, "fewer than 95 %: {page}");
    assert!(held * 10 >= followed.len() * 9, "fewer than 90 % of the promises: {page}");
    if is_whole {
        golden(&root().join("docs/diagnosis.md"), &page);
    }
}

fn dash(codes: &[&str]) -> String {
    if codes.is_empty() { "–".to_owned() } else { codes.join(", ") }
}

fn golden(path: &Path, page: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        files::write(path, page.as_bytes()).unwrap();
    }
    let held = files::read_text(path).unwrap_or_default();
    assert!(held == page, "{} is stale: run this test with UPDATE_GOLDEN=1\n{page}", path.display());
}

const PAGE: &str = "# Diagnosis: planted faults and what is found

A run asks QUESTIONS questions of its own record (`src/diagnose`, a file each). Where INT8 surely lost accuracy, it also
changes one thing of the quantized network at a time and looks at what comes back, on evaluation samples that tell the
two networks apart (`record.interventions`): other arithmetic, other scales, other calibration samples, then each
block and the layers of the worst blocks in float. If removing a
suspected fault was measured to restore almost no accuracy, it is not called a cause. The others are ranked by the points that they restore. The remedy that is shown
first is the cheapest change that was measured to bring back most of the loss, with what it brought; where none did, the
report says so and names the next experiment.

The tables below come from runs: `UPDATE_GOLDEN=1 cargo test --release --test libtorch -- faults` writes this page, and CI
fails where it is stale. The first holds known faults, planted in healthy experiments by editing manifest, data or
model; the finding that a reader is shown first should name the cause. *Explained* is what
undoing the fault brought back, in points of accuracy, on the samples of that experiment (so it can differ a little from the
loss of the whole run); `–` where it was not measured. The verdict is that of the finding. PASS means that the fault
was found, but INT8 lost no accuracy that is significant, or too little to fail.

| planted fault | its finding | shown first | verdict | explained | also shown |
| --- | --- | --- | --- | --- | --- |
";

const REMEDIES_HEAD: &str = "Where a change was measured to bring most of the loss back (its whole interval lies above half of it),
`requant remedy RUN` writes the cheapest such change as a manifest beside the run's own. It writes none where `baseline`,
`observers`, `calibration` or `likeness` fails: the input is to be corrected first. For the other faults of the
table above no change that a manifest can express was measured to bring most of the loss back, or the loss is not significant. The next table follows each remedy: *regained* is what a run of that manifest has over the
first one, in points of accuracy over all its evaluation samples. A promise is kept where that lies within the interval that was
told; what was told is an estimate from at most 512 samples, and can exceed the loss.

| planted fault | first remedy | regained | promise kept |
| --- | --- | --- | --- |
";

const QUESTIONS_HEAD: &str = "\nWhat each finding asks:\n\n| finding | question |\n| --- | --- |\n";
const HEALTHY_HEAD: &str = "Healthy experiments must have no failing finding:\n\n| healthy experiment | failing findings | other findings |\n| --- | --- | --- |\n";
