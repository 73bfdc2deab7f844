use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use lab::{Bench, root};
use requant::base::digest::Digest;
use requant::base::files;
use requant::base::finding::Verdict;
use requant::base::progress::Unmetered;
use requant::manifest::{self, Overrides};
use requant::pipeline;
use requant::record::format::Outcome;
use requant::record::{Record, store};
use requant::workbench::Surroundings;
use requant::workbench::event::{Event, Events};

/// The files of a run that hold no timing and no clock.
const REPEATABLE: [&str; 9] = [
    "resolved.toml",
    "predictions.csv",
    "layers.csv",
    "subsets/calibration.txt",
    "subsets/evaluation.txt",
    "subsets/calibration.sha256",
    "subsets/evaluation.sha256",
    "artefacts/fp32_cpu.pt",
    "artefacts/int8_fbgemm_cpu.pt",
];

fn text(run: &Path, name: &str) -> String {
    files::read_text(&run.join(name)).unwrap()
}

#[test]
fn the_demo_reaches_its_figures_and_writes_every_file() {
    let bench = Bench::new();
    bench.digits(&[("[goals]", "[record]\nlogits = true\n\n[goals]")]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("verdict: PASS\nreport: results/digits/"), "{ended:?}");

    let run = bench.only_run("digits");
    let record = store::read(&run).unwrap();
    let correct: Vec<_> = record
        .variants
        .iter()
        .map(|v| v.measured().and_then(|m| m.classified()).map(|m| (m.correct, m.accuracy.n)))
        .collect();
    assert_eq!(correct, [Some((789, 797)), Some((788, 797)), None]);
    assert_eq!(record.network.fp32_modules["Conv2d"], 52);
    assert_eq!(record.network.fp32_modules["BatchNorm2d"], 34);
    assert_eq!(record.network.int8_modules.values().sum::<usize>(), 73);

    let files = files::walk(&run).unwrap();
    for name in
        ["manifest.toml", "record.json", "report.md", "metrics.csv", "latency.csv", "logits/fp32_cpu.safetensors"]
    {
        assert!(files.iter().any(|file| file == name), "{name} is missing of {files:?}");
    }
    assert!(!files.iter().any(|file| file.contains("/.") || file.starts_with('.')), "{files:?}");
    let first = |name: &str| text(&run, name).lines().next().unwrap().to_owned();
    assert!(first("metrics.csv").starts_with("variant,status,reason,samples,correct,accuracy,accuracy_low,accuracy_high,latency_ms,latency_low,latency_high,throughput,speedup,speedup_low,speedup_high,peak_memory_bytes,model_bytes"));
    assert_eq!(first("predictions.csv"), "sample,label,variant,predicted,margin");
    assert!(first("latency.csv").starts_with("variant,round,batch,iteration,nanoseconds,process,take,"));
    assert!(first("layers.csv").starts_with("layer,operator,quantized"));
    let mut turns = BTreeMap::new();
    for line in text(&run, "latency.csv").lines().skip(1) {
        let cells: Vec<String> = line.split(',').take(3).map(str::to_owned).collect();
        *turns.entry(cells).or_insert(0) += 1;
    }
    // Two variants, two rounds, two batch sizes; short passes are repeated for the least time.
    assert_eq!(turns.len(), 2 * 2 * 2, "{turns:?}");
    assert!(turns.values().all(|&passes| passes >= 2), "{turns:?}");
    assert_eq!(text(&run, "predictions.csv").lines().count(), 1 + 797 * 2);
    assert!(text(&run, "metrics.csv").contains("int8_tensorrt,missing,\"no NVIDIA driver"));
}

#[test]
fn sixteen_bits_are_rows_with_archives_of_half_the_size() {
    let bench = Bench::new();
    let int8 = "precision = \"int8\"\nengine = \"fbgemm\"\n";
    let bf16 = "precision = \"bf16\"\n\n[[variant]]\nname = \"fp16\"\nbackend = \"torch\"\nprecision = \"fp16\"\n";
    bench.digits(&[(int8, bf16), ("name = \"int8_fbgemm_cpu\"", "name = \"bf16\""), (TENSORRT, "")]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
    let run = bench.only_run("digits");
    let record = store::read(&run).unwrap();
    let [float, bf16, fp16] = record.variants.as_slice() else { panic!("{:?}", record.variants) };
    for (short, name) in [(bf16, "BF16"), (fp16, "FP16")] {
        let (measured, float) = (short.measured().unwrap(), float.measured().unwrap());
        let [own, theirs] = [measured, float].map(|measured| measured.classified().unwrap().correct);
        assert!(own.abs_diff(theirs) <= 2, "{short:?}");
        assert!(measured.artefact.bytes * 100 < float.artefact.bytes * 55, "{short:?}");
        assert!(measured.timing_checks.iter().all(|check| check.passes == check.identical), "{short:?}");
        assert!(measured.peak_device_bytes().is_none());
        assert!(text(&run, "report.md").contains(name));
    }
    assert!(record.network.layers.iter().all(|layer| layer.float_because.is_some()), "nothing is quantized");
    let report = text(&run, "report.md");
    assert!(report.contains("no variant asks for INT8") && !report.contains("Nothing was left in float"), "{report}");
    // Nothing was to be quantized, which is no fault.
    let modules = record.findings.iter().find(|finding| finding.code == "modules").unwrap();
    assert_eq!(modules.verdict, Verdict::Pass, "{modules:?}");
}

/// The row of `digits.toml` that is missing wherever there is no GPU.
const TENSORRT: &str = "[[variant]]\nname = \"int8_tensorrt\"\nbackend = \"tensorrt\"\nprecision = \"int8\"\ndevice = \
                        \"cuda\"\nrequired = false                                    # a row with its reason where it is missing\n";

#[test]
fn a_run_that_is_held_to_nothing_passes_nothing() {
    let bench = Bench::new();
    bench.digits(&[("max_accuracy_drop = 1.0", "")]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("verdict: INCONCLUSIVE"), "{ended:?}");
    assert!(text(&bench.only_run("digits"), "report.md").contains("No goal was judged, so nothing passed"));
}

#[test]
fn evaluating_on_calibration_samples_fails_whatever_the_accuracy() {
    let bench = Bench::new();
    let pin = "sha256 = \"0b152313352992cb7a7b8fceead794dc2e89bc0b47bc8025ff85a5db3d6fa7ea\"";
    bench.digits(&[("splits = [\"test\"]", "splits = [\"train\"]"), (pin, "")]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = text(&bench.only_run("digits"), "report.md");
    assert!(report.contains("512 of 1000 evaluation samples are also calibration samples, by content"), "{report}");
}

#[test]
fn the_memory_format_changes_the_layout_and_no_answer() {
    let bench = Bench::new();
    let variant = "[[variant]]\nname = \"fp32_nhwc\"\nbackend = \"torch\"\nprecision = \"fp32\"\n";
    bench.digits(&[("[goals]", &format!("{variant}memory_format = \"channels_last\"\n\n[goals]"))]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let run = bench.only_run("digits");
    let by_variant = |name: &str| {
        let table = text(&run, "predictions.csv");
        let rows = table.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        rows.filter(|row| row[2] == name).map(|row| (row[3].clone(), row[4].clone())).collect::<Vec<_>>()
    };
    let classes = |rows: &[(String, String)]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
    let (nchw, nhwc) = (by_variant("fp32_cpu"), by_variant("fp32_nhwc"));
    assert_eq!((nchw.len(), classes(&nchw)), (797, classes(&nhwc)));
    // Other kernels sum in another order: equal margins would mean that the layout was not used.
    assert_ne!(nchw, nhwc);
    assert!(text(&run, "report.md").contains("| `fp32_nhwc` | torch | FP32 channels_last | cpu |"));
}

#[test]
fn two_rounds_decide_no_speedup() {
    let bench = Bench::new();
    bench.digits(&[("max_accuracy_drop = 1.0", "min_speedup = 0.001")]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("only 2 rounds, and an interval needs 5"), "{ended:?}");
}

#[test]
fn rounds_go_on_until_the_speedup_is_known_or_there_may_be_no_more() {
    for (precision, wanted) in [("1", 2), ("0.001", 6)] {
        let bench = Bench::new();
        bench.digits(&[]);
        let set = format!("benchmark.precision={precision}");
        let ended = bench.run(&["run", "digits.toml", "--set", &set, "--set", "benchmark.max_rounds=5"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let record = store::read(&bench.only_run("digits")).unwrap();
        let int8 = record.variants[1].measured().unwrap();
        assert_eq!(int8.latency[0].milliseconds.n, wanted, "{precision}");
        assert_eq!(record.conditions.unwrap().rounds, wanted);
        let measurement = record.findings.iter().find(|finding| finding.code == "measurement").unwrap();
        let told = measurement.evidence.join("\n");
        assert!(told.contains(&format!("rounds were repeated for the wanted precision: {wanted} in all")), "{told}");
        assert_eq!(told.contains("and 0.1 % was wanted"), wanted == 6, "{told}");
    }
}

#[test]
fn a_template_of_ones_own_makes_the_report() {
    let bench = Bench::new();
    bench.digits(&[("[goals]", "[report]\ntemplate = \"mine.tera\"\n\n[goals]")]);
    bench.put("mine.tera", b"{{ record.settings.name }} is {{ verdict }}\n");
    assert_eq!(bench.run(&["run", "digits.toml"]).code, Some(0));
    let run = bench.only_run("digits");
    let digest = Digest::of(&files::read(&run.join("record.json")).unwrap());
    assert_eq!(text(&run, "report.md"), format!("digits is PASS\n<!-- record.json has SHA-256 {digest} -->\n"));
    let verified = bench.run(&["verify", &run.to_string_lossy()]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let again = bench.run(&["report", &run.to_string_lossy(), "--template", "mine.tera"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "digits is PASS\n"));
}

#[test]
fn the_collapse_is_called_a_failure() {
    let bench = Bench::new();
    let model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small-skewed.onnx")).unwrap();
    bench.digits_with_model(&model);
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let record = store::read(&bench.only_run("digits")).unwrap();
    assert_eq!(record.variants[0].measured().unwrap().classified().unwrap().correct, 789);
    assert_eq!(record.variants[1].measured().unwrap().classified().unwrap().correct, 424);
    assert!(ended.stdout.contains("FAIL: int8_fbgemm_cpu max_accuracy_drop (−45.80 points"), "{ended:?}");
    assert!(text(&bench.only_run("digits"), "report.md").contains("| quality warning | accuracy fell by 45.80 points"));
}

#[test]
fn a_second_run_is_the_same_to_the_bit() {
    let (first, second) = (Bench::new(), Bench::new());
    let folders = [&first, &second].map(|bench| {
        bench.digits(&[]);
        assert_eq!(bench.run(&["run", "digits.toml"]).code, Some(0));
        bench.only_run("digits")
    });
    for name in REPEATABLE {
        let [a, b] = [&folders[0], &folders[1]].map(|folder| files::read(&folder.join(name)).unwrap());
        assert!(a == b, "{name} differs between two runs");
    }
}

#[test]
fn every_engine_and_recipe_runs_and_exceptions_stay_in_float() {
    let bench = Bench::new();
    let engine = |name: &str| {
        format!(
            "[[variant]]\nname = \"int8_{name}\"\nbackend = \"torch\"\nprecision = \"int8\"\nengine = \"{name}\"\n\n"
        )
    };
    let engines = ["x86", "onednn", "qnnpack"].map(engine).concat() + "[compute]";
    for recipe in ["minmax", "percentile"] {
        let recipe = format!(
            "recipe = \"{recipe}\"\n[[quantize.layer]]\nmatch = \"features.1.*\"\nprecision = \"fp32\"\n[[quantize.layer]]\nmatch = \"classifier.*\"\nobserver = \"histogram\""
        );
        bench.digits(&[
            ("recipe = \"fx-default\"", &recipe),
            ("[compute]", &engines),
            ("max_accuracy_drop = 1.0", "max_accuracy_drop = 20.0"),
        ]);
        let ended = bench.run(&["run", "digits.toml"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let run = bench.only_run("digits");
        let record = store::read(&run).unwrap();
        let measured = record.variants.iter().filter_map(|v| v.measured()?.classified()).map(|m| m.accuracy.value);
        assert!(measured.clone().all(|accuracy| accuracy > 0.95), "{:?}", measured.collect::<Vec<_>>());
        assert_eq!(record.variants.iter().filter(|v| v.measured().is_some()).count(), 5);
        assert!(record.quantization.overridden.iter().any(|layer| layer == "features.1.block.0.0"));
        assert!(record.network.float_operators["Conv2d"] >= 1);
        std::fs::remove_dir_all(bench.path("results")).unwrap();
    }
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<libc::pid_t> {
    let listed = files::read_text(Path::new(&format!("/proc/{pid}/task/{pid}/children"))).unwrap_or_default();
    listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
#[expect(unsafe_code, reason = "kills a grandchild of our own")]
fn a_killed_measurement_fails_its_variant_and_no_other() {
    let bench = Bench::new();
    bench.digits(&[("rounds = 2", "rounds = 200\nprocesses = 1"), ("batch_sizes = [1, 8]", "batch_sizes = [1]")]);
    let mut run = bench.command(&["run", "digits.toml"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "benchmark"));
    // One process per variant, in manifest order: the second measures INT8.
    let started = (0..500).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        <[libc::pid_t; 2]>::try_from(children(run.id())).ok()
    });
    let [_, int8] = started.expect("two measuring processes start");
    // SAFETY: a plain signal to a process that our own child started and still waits for.
    unsafe { libc::kill(int8, libc::SIGKILL) };
    lines.for_each(drop);
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let record = store::read(&bench.only_run("digits")).unwrap();
    assert!(record.variants[0].measured().is_some());
    match &record.variants[1].outcome {
        Outcome::Failed { reason, .. } => assert!(reason.contains("signal: 9"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(text(&bench.only_run("digits"), "report.md").contains("`int8_fbgemm_cpu` failed: the measuring process"));
}

/// Runs the digits manifest with measuring processes that are `script` where they measure INT8.
fn with_a_sick_child(script: &str) -> (Bench, String) {
    struct Silent;
    impl Events for Silent {
        fn emit(&self, _: &Event<'_>) {}
    }
    let bench = Bench::new();
    bench.digits(&[
        ("warmup = 1", "warmup = 1\ntimeout_seconds = 5\nprocesses = 1"),
        ("isa = \"avx2\"", "isa = \"native\""),
    ]);
    let resolved = manifest::load(&bench.path("digits.toml"), &Overrides::default()).unwrap();
    crate::start(&resolved.manifest.compute).unwrap();
    let (started, results) = (Cell::new(0), bench.path("results"));
    let worker = || {
        started.set(started.get() + 1);
        let mut command = Command::new(env!("CARGO_BIN_EXE_requant-torch"));
        command.arg("worker");
        if started.get() == 2 {
            command = Command::new("sh");
            command.args(["-c", script]);
        }
        command
    };
    let around = Surroundings {
        results: &results,
        events: &Silent,
        meter: &Unmetered,
        worker: &worker,
        repeats: None,
        neighbours: None,
    };
    let finished = pipeline::run(resolved, &around).unwrap();
    assert!(finished.record.variants[0].measured().is_some(), "{script}");
    assert!(finished.folder.join("SHA256SUMS").is_file());
    // A row that failed is no forgery.
    assert_eq!(requant::verify::files_alone(&finished.folder).problems, Vec::new(), "{script}");
    let Outcome::Failed { reason, .. } = &finished.record.variants[1].outcome else { panic!("{script}") };
    let finding = finished.record.findings.iter().find(|finding| finding.code == "backends").unwrap();
    assert!(finding.verdict == Verdict::Fail && finding.evidence.iter().any(|line| line.contains(reason.as_str())));
    (bench, reason.clone())
}

#[test]
fn a_sick_measuring_process_leaves_a_complete_run_that_explains_it() {
    for (script, words) in [
        ("read x; echo 'last words' >&2; kill -9 $$", ["signal: 9", "last words"]),
        ("read x; exec sleep 600", ["no answer for 5 s", "benchmark.timeout_seconds"]),
        (r#"read x; printf '{"opened":{"runtime_by'"#, ["out of protocol", "runtime_by"]),
        ("read x; echo '[W] a library that prints'", ["out of protocol", "a library that prints"]),
    ] {
        let (_bench, reason) = with_a_sick_child(script);
        assert!(words.iter().all(|word| reason.contains(word)), "{script}: {reason}");
    }
}

#[test]
fn a_measuring_process_beyond_its_memory_is_told_by_the_engine() {
    let bench = Bench::new();
    bench.digits(&[("warmup = 1", "warmup = 1\nmemory_limit_mb = 60")]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let record = store::read(&bench.only_run("digits")).unwrap();
    for variant in &record.variants[..2] {
        assert!(matches!(variant.outcome, Outcome::Failed { .. }), "{variant:?}");
    }
    let run = bench.only_run("digits").display().to_string();
    assert_eq!(bench.run(&["verify", &run]).code, Some(0), "a row that failed is no forgery");
}

#[test]
fn cifar_runs_straight_from_the_tar() {
    let Some(tar) = lab::shared("datasets/cifar10.tar") else { return };
    let bench = Bench::new();
    let experiments = root().join("experiments");
    let model = "models/cifar10-mobilenet_v3_small.onnx";
    bench.put(model, &files::read(&experiments.join(model)).unwrap());
    let manifest = files::read_text(&experiments.join("cifar10-mobilenet_v3_small.toml")).unwrap();
    let manifest = manifest
        .replace("../data/cifar10.tar", &tar.to_string_lossy())
        .replace("rounds = 20", "rounds = 1\niterations = 1")
        .replace("threads = 2", "threads = 1");
    bench.put("cifar.toml", manifest.replace("min_speedup = 1.2", "").as_bytes());
    let ended = bench.run(&["run", "cifar.toml"]);
    assert!(matches!(ended.code, Some(1 | 3)), "{ended:?}");
    let record = store::read(&bench.only_run("cifar10-mobilenet_v3_small")).unwrap();
    assert_eq!(record.inputs.calibration.per_class, [52, 52, 51, 51, 51, 51, 51, 51, 51, 51]);
    assert_eq!(record.inputs.evaluation.per_class, [200; 10]);
    assert_eq!(record.inputs.shared_samples, 0);
    let accuracy = |index: usize| record.variants[index].measured().unwrap().classified().unwrap().accuracy.value;
    assert!((0.855..0.885).contains(&accuracy(0)), "{}", accuracy(0));
    assert!((0.83..0.875).contains(&accuracy(1)), "{}", accuracy(1));
}

/// A priority that the user chose stays; without one the record has what the kernel granted.
#[test]
fn a_record_has_the_priority_and_the_settings_of_measuring_processes() {
    let spin = |record: &Record| record.runtime.environment["GOMP_SPINCOUNT"].clone();
    let bench = Bench::new();
    bench.digits(&[]);
    let mut plain = bench.command(&["run", "digits.toml"]);
    plain.env_remove("GOMP_SPINCOUNT").env_remove("GOMP_SPINCOUNT_BY");
    assert!(plain.output().unwrap().status.success());
    let record = store::read(&bench.only_run("digits")).unwrap();
    assert_eq!(spin(&record), "300000");
    let nice = record.conditions.as_ref().unwrap().nice.unwrap();
    assert!(nice <= 0, "{nice}");
    let said = |record: &Record| {
        record.findings.iter().any(|own| own.evidence.iter().any(|line| line.contains("came before other programs")))
    };
    assert_eq!(said(&record), nice < 0);

    let other = Bench::new();
    other.digits(&[]);
    let own = other.command(&["run", "digits.toml"]);
    let mut niced = Command::new("nice");
    niced.args(["-n", "3"]).arg(own.get_program()).args(own.get_args()).current_dir(other.path(""));
    assert!(niced.env("GOMP_SPINCOUNT", "7").output().unwrap().status.success());
    let record = store::read(&other.only_run("digits")).unwrap();
    assert_eq!((spin(&record).as_str(), record.conditions.as_ref().unwrap().nice), ("7", Some(3)));
    assert!(!said(&record));
}
