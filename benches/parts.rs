//! Costs of requant's own parts, none of which needs an engine.

use std::convert::Infallible;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use requant::base::digest::Digest;
use requant::base::files;
use requant::base::progress::Unmetered;
use requant::base::rng::Stream;
use requant::codec::{Form, onnx, torchscript};
use requant::dataset;
use requant::diff::{self, Diff, Layout};
use requant::graph::pass;
use requant::history;
use requant::manifest::{self, Overrides};
use requant::measure::turn::{self, Inputs, Length};
use requant::quantize::observer::{Observer, ObserverKind};

fn values(count: usize) -> Vec<f32> {
    let mut stream = Stream::named(1, "bench");
    (0..count).map(|_| stream.below(2_000_001) as f32 / 1e6 - 1.0).collect()
}

/// A network that computes nothing.
struct Nothing(Digest);

impl turn::Network for Nothing {
    type Error = Infallible;

    fn load(&mut self, input: usize) -> Result<(), Infallible> {
        black_box(input);
        Ok(())
    }

    fn pass(&mut self) -> Result<(), Infallible> {
        black_box(self);
        Ok(())
    }

    fn output(&mut self) -> Result<Digest, Infallible> {
        Ok(self.0)
    }
}

/// A turn whose passes do nothing: what the harness adds to every pass.
fn harness(criterion: &mut Criterion) {
    let length = Length { warmup: 3, max_warmup: 3, iterations: 1000, min_seconds: 0.0 };
    let digest = Digest::of(b"");
    criterion.bench_function("harness: a turn of 1000 empty passes", |bench| {
        let inputs = Inputs { warm_up: 0, timed: vec![1, 2], next: 0 };
        bench.iter(|| turn::take(&length, &inputs, &mut Nothing(digest)));
    });
}

/// One batch of 32 activations of 16 channels at 112 × 112.
fn observers(criterion: &mut Criterion) {
    let tensor = values(32 * 16 * 112 * 112);
    let mut group = criterion.benchmark_group("observers");
    group.throughput(Throughput::Bytes(tensor.len() as u64 * 4)).sample_size(20);
    for (name, kind) in [("histogram", ObserverKind::Histogram), ("min-max", ObserverKind::Minmax)] {
        group.bench_function(name, |bench| {
            bench.iter_batched_ref(
                || Observer::new(kind, 128).expect("an observer that watches"),
                |observer| observer.observe(&tensor),
                BatchSize::PerIteration,
            );
        });
    }
}

fn archive(criterion: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/models/digits-mobilenet_v3_small.onnx");
    let bytes = files::read(&path).expect("the demo's model");
    let model = onnx::read(&bytes).expect("a model");
    let (graph, _) = pass::run_all(model.graph).expect("a graph");
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(bytes.len() as u64)).sample_size(20);
    group.bench_function("read MobileNetV3-Small from ONNX", |bench| bench.iter(|| onnx::read(&bytes)));
    group.bench_function("write it as TorchScript", |bench| {
        bench.iter(|| torchscript::write(&graph, Form::Float));
    });
}

/// 512 of the demo's 1 000 training rows, by class: every row is read, digested and keyed.
fn subsets(criterion: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/digits.toml");
    let manifest = manifest::load(&path, &Overrides::default()).expect("the demo's manifest").manifest;
    let source = dataset::open(&manifest.dataset, None, &dataset::Labels::Found).expect("the embedded data set");
    criterion.bench_function("subset: 512 stratified of 1000", |bench| {
        bench.iter(|| dataset::choose(&*source, &manifest.calibration, None, &Unmetered));
    });
}

/// A results folder of 2 000 runs, and two runs of 10 000 samples, two variants and 109 layers.
fn past_runs(criterion: &mut Criterion) {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/digits/reference/record.json");
    let record = files::read(&reference).expect("the committed run");
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        files::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        files::write(&path, content).expect("a file");
    };
    for number in 0..2000 {
        put(&format!("results/e{}/{number}/record.json", number % 20), &record);
    }
    for (side, shift) in [("a", 0), ("b", 1)] {
        let answer = |n: usize| {
            let class = if n.is_multiple_of(97) { (n + shift) % 10 } else { n % 10 };
            ["fp32_cpu", "int8_fbgemm_cpu"]
                .map(|variant| format!("s{n},{},{variant},{class},{n}.25\n", n % 10))
                .concat()
        };
        let rows: String = (0..10_000).map(answer).collect();
        put(&format!("{side}/record.json"), &record);
        put(&format!("{side}/predictions.csv"), format!("sample,label,variant,predicted,margin\n{rows}").as_bytes());
    }
    let results = folder.path().join("results");
    let load = |side: &str| diff::load(&folder.path().join(side), side.to_owned()).expect("a run");
    let mut group = criterion.benchmark_group("history");
    group.sample_size(20);
    group.bench_function("list 2000 runs", |bench| bench.iter(|| history::list(&results)));
    group.bench_function("diff two runs of 10000 samples and 109 layers", |bench| {
        bench.iter(|| diff::render(&Diff::of(&load("a"), &load("b")), &[], Layout::Terminal));
    });
}

criterion_group!(parts, harness, observers, archive, subsets, past_runs);
criterion_main!(parts);
