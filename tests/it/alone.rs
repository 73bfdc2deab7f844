use lab::Bench;
use requant::backend::{self, Availability, Request};
use requant::base::finding::Verdict;
use requant::manifest::{Backend, Choice as _};
use requant::record::{Record, store};

/// Says why and ends a test where a library is not here.
fn is_here(backend: Backend) -> bool {
    let Availability::Missing { why, .. } = backend::probe(Request::float(backend)) else { return true };
    assert!(std::env::var_os("CI").is_none(), "{backend} is missing, and CI must not skip: {why}");
    lab::skip(&format!("a run on {backend} alone: {why}"));
    false
}

/// The demo, rewritten to one backend.
fn rewritten(bench: &Bench, backend: Backend, edits: &[(&str, &str)]) {
    let word = format!("backend = \"{}\"", backend.word());
    let own = [("backend = \"torch\"", word.as_str()), ("engine = \"fbgemm\"\n", ""), ("isa = \"avx2\"", "#")];
    bench.digits(&[&own, edits].concat());
}

fn run(bench: &Bench) -> Record {
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    store::read(&bench.only_run("digits")).unwrap()
}

#[test]
fn onnxruntime_does_the_whole_job() {
    does_the_whole_job(Backend::Onnxruntime);
}

#[test]
fn openvino_does_the_whole_job() {
    does_the_whole_job(Backend::Openvino);
}

fn does_the_whole_job(backend: Backend) {
    if !is_here(backend) {
        return;
    }
    let bench = Bench::new();
    rewritten(&bench, backend, &[]);
    let record = run(&bench);
    assert!(record.runtime.reference.as_ref().is_some_and(|name| name.contains(char::is_numeric)), "{record:?}");
    let accuracies: Vec<f64> =
        record.variants.iter().filter_map(|variant| Some(variant.measured()?.classified()?.accuracy.value)).collect();
    let &[float, int8] = accuracies.as_slice() else { panic!("{accuracies:?}") };
    assert!(float > 0.95 && int8 > float - 0.02, "{accuracies:?}");
    // Evidence of every integer layer: its own loss, which is less than all that came before it together, mostly.
    let evidence: Vec<_> = record.network.layers.iter().filter_map(|layer| layer.evidence.as_ref()).collect();
    assert!(evidence.len() > 50, "{}", evidence.len());
    let local = |at: usize| evidence[at].local_sqnr_db.unwrap();
    assert!((0..evidence.len()).all(|at| local(at) > 10.0), "{evidence:?}");
    let both = evidence.iter().filter(|own| own.local_sqnr_db >= own.cumulative_sqnr_db).count();
    assert!(both * 10 >= evidence.len() * 9, "{both} of {}", evidence.len());
    let parts = record.quantization.parts.as_ref().unwrap();
    // What its kernels come to is what rounding alone predicts.
    let apart = parts.both.sqnr_db.unwrap() - parts.kernels.sqnr_db.unwrap();
    assert!(apart.abs() < 6.0, "{parts:?}");
    assert!(record.verdict == Verdict::Pass, "{:?}", record.findings);
    let folder = bench.only_run("digits");
    let folder = folder.to_str().unwrap();
    let verified = bench.run(&["verify", folder]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let again = bench.run(&["rerun", folder, "--to", "predictions"]);
    assert_eq!(again.code, Some(0), "{again:?}");
}

#[test]
fn onnxruntime_alone_finds_a_robust_quantization() {
    if !is_here(Backend::Onnxruntime) {
        return;
    }
    let bench = Bench::new();
    rewritten(&bench, Backend::Onnxruntime, &[("recipe = \"fx-default\"", "recipe = \"robust\"")]);
    let record = run(&bench);
    let trials = &record.quantization.trials;
    assert!(trials.len() >= 7 && trials.iter().filter(|trial| trial.chosen).count() == 1, "{trials:?}");
    let best = trials.iter().find(|trial| trial.chosen).unwrap();
    assert!(trials.iter().all(|trial| trial.followed.divergence >= best.followed.divergence), "{trials:?}");
    assert!(trials[0].followed.divergence > best.followed.divergence, "the default of PyTorch is not the best");
}

/// An INT8 variant of which the manifest keeps every layer in float.
#[test]
fn onnxruntime_alone_runs_where_nothing_is_left_in_integers() {
    if !is_here(Backend::Onnxruntime) {
        return;
    }
    let bench = Bench::new();
    let none = "[[quantize.layer]]\nmatch = \"*\"\nprecision = \"fp32\"\n\n[quantize]";
    rewritten(&bench, Backend::Onnxruntime, &[("[quantize]", none)]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let record = store::read(&bench.only_run("digits")).unwrap();
    let correct: Vec<usize> =
        record.variants.iter().filter_map(|own| Some(own.measured()?.classified()?.correct)).collect();
    assert!(correct.len() == 2 && correct[0] == correct[1], "{correct:?}");
}

#[test]
fn what_libtorch_alone_can_do_is_refused_by_name() {
    let bench = Bench::new();
    rewritten(
        &bench,
        Backend::Onnxruntime,
        &[("recipe = \"fx-default\"", "recipe = \"fx-default\"\nsteps = [\"adaround\"]")],
    );
    let refused = bench.run(&["check", "digits.toml"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("`quantize.steps` has `adaround`, which learns with libtorch"), "{refused:?}");
    rewritten(
        &bench,
        Backend::Onnxruntime,
        &[("[quantize]", "[[quantize.layer]]\nmatch = \"features.1.*\"\nkernel = \"fused\"\n\n[quantize]")],
    );
    let refused = bench.run(&["check", "digits.toml"]);
    assert!(refused.stderr.contains("`quantize.layer.0.kernel` names a kernel of libtorch"), "{refused:?}");
    rewritten(&bench, Backend::Onnxruntime, &[]);
    let refused = bench.run(&["tune", "digits.toml", "--max-drop", "1"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("tuning chooses among libtorch's kernels"), "{refused:?}");
}

#[test]
fn a_first_manifest_for_onnxruntime_runs() {
    let bench = Bench::new();
    bench.on_pictures(&[]);
    bench.pictures("data");
    let model = "models/digits-mobilenet_v3_small.onnx";
    let new =
        |name: &str, backend: &str| bench.run(&["new", name, "--model", model, "--data", "data", "--backend", backend]);
    assert_eq!(new("mine", "onnxruntime").code, Some(0));
    let text = requant::base::files::read_text(&bench.path("mine.toml")).unwrap();
    assert!(text.matches("backend = \"onnxruntime\"").count() == 2 && !text.contains("isa"), "{text}");
    let refused = new("other", "onnx");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("choose one of torch, onnxruntime, openvino"), "{refused:?}");
    if is_here(Backend::Onnxruntime) {
        let quick = ["benchmark.rounds=2", "benchmark.iterations=1", "benchmark.batch_sizes=[1]", "compute.threads=1"];
        let sets = quick.iter().flat_map(|setting| ["--set", setting]);
        let ended = bench.run(&["run", "mine.toml"].into_iter().chain(sets).collect::<Vec<_>>());
        assert!([Some(0), Some(1), Some(3)].contains(&ended.code), "{ended:?}");
    }
}
