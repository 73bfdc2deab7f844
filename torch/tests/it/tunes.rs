//! `requant tune`: what it writes, that it goes on where it was stopped, and that what it writes runs.

use lab::{Bench, root};
use requant::base::files;
use requant::base::finding::Verdict;
use requant::graph::quantization::Kernel;
use requant::record::store;

/// The rescaled digits model, which no scheme without `equalize` holds.
fn skewed() -> Bench {
    let bench = Bench::new();
    let model = files::read(&root().join("experiments/models/digits-mobilenet_v3_small-skewed.onnx")).unwrap();
    bench.digits_with_model(&model);
    bench
}

fn tries(bench: &Bench) -> usize {
    files::read_text(&bench.path("digits.tuning/trials.jsonl")).unwrap().lines().count()
}

#[test]
fn tuning_writes_a_manifest_that_holds_what_was_asked() {
    let bench = skewed();
    let ended = bench.run(&["tune", "digits.toml", "--max-drop", "0.5", "--trials", "5", "--samples", "200"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(tries(&bench), 5);
    let manifest = files::read_text(&bench.path("digits.tuned.toml")).unwrap();
    assert!(manifest.contains("steps = [\"equalize\", \"bound-weights\"]"), "{manifest}");
    assert!(manifest.contains("max_accuracy_drop = 0.5") && manifest.contains("digits-tuned"), "{manifest}");
    let page = files::read_text(&bench.path("digits.tuning/tuning.md")).unwrap();
    assert!(page.contains("| chosen |") && page.contains("pareto.svg"), "{page}");
    let figure = files::read_text(&bench.path("digits.tuning/pareto.svg")).unwrap();
    assert_eq!(figure.matches("<title>").count(), 5, "{figure}");

    // What is known is not tried again: the same table and choice, and with more trials only the new ones.
    let again = bench.run(&["tune", "digits.toml", "--max-drop", "0.5", "--trials", "5", "--samples", "200"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(files::read_text(&bench.path("digits.tuning/tuning.md")).unwrap(), page);
    assert_eq!(files::read_text(&bench.path("digits.tuned.toml")).unwrap(), manifest);
    bench.run(&["tune", "digits.toml", "--max-drop", "0.5", "--trials", "6", "--samples", "200"]);
    assert_eq!(tries(&bench), 6);

    let run = bench.run(&["run", "digits.tuned.toml"]);
    assert!(matches!(run.code, Some(0 | 3)), "{run:?}");
    let record = store::read(&bench.only_run("digits-tuned")).unwrap();
    let drop = record.goals.iter().find(|goal| goal.goal == "max_accuracy_drop").unwrap();
    assert_ne!(drop.verdict, Verdict::Fail, "{drop:?}");
}

/// No held-out sample calibrates, and evaluation samples change nothing.
#[test]
fn tuning_sees_neither_evaluation_nor_a_way_out() {
    let bench = skewed();
    let impossible = ["tune", "digits.toml", "--max-drop", "0", "--min-speedup", "1000", "--trials", "1"];
    let ended = bench.run(&impossible);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("no candidate of 1 holds what was asked"), "{ended:?}");
    assert!(!bench.path("digits.tuned.toml").exists());

    let text = files::read_text(&bench.path("digits.toml")).unwrap();
    let greedy = text
        .replace("samples = 512", "samples = 990")
        .replace("sha256 = \"4f8cb41f99f11d37bd1e62b920f319374025f76f375172d80eb75cf4ba8423df\"", "");
    bench.put("digits.toml", greedy.as_bytes());
    let ended = bench.run(&["tune", "digits.toml", "--max-drop", "0.5"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("10 samples of `train` neither calibrate nor judge"), "{ended:?}");
    assert_eq!(bench.run(&["tune", "digits.toml"]).code, Some(2));
    assert_eq!(bench.run(&["tune", "digits.toml", "--max-drop", "-1"]).code, Some(2));
}

/// After the ladder each convolution's kernels are raced once, and what is fastest is a candidate like any other.
#[test]
fn tuning_races_the_kernels_of_each_layer_once() {
    let bench = skewed();
    let tune = ["tune", "digits.toml", "--max-drop", "5", "--trials", "19", "--samples", "60"];
    let ended = bench.run(&tune);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let page = files::read_text(&bench.path("digits.tuning/tuning.md")).unwrap();
    let rows: Vec<&str> = page.lines().skip_while(|line| !line.starts_with("| layer |")).skip(2).collect();
    assert!(rows.len() > 20 && rows[0].starts_with("| `features.0.0` |"), "{page}");
    let ledger = files::read_text(&bench.path("digits.tuning/trials.jsonl")).unwrap();
    assert_eq!(ledger.matches("\"kernels\":[").count(), 1, "{ledger}");

    assert_eq!(bench.run(&tune).code, Some(0));
    assert_eq!(files::read_text(&bench.path("digits.tuning/tuning.md")).unwrap(), page);
    assert_eq!(files::read_text(&bench.path("digits.tuning/trials.jsonl")).unwrap(), ledger);
}

/// When all else was tried, what would be chosen learns its rounding, which costs a run no time.
#[test]
fn tuning_ends_with_learned_rounding() {
    let bench = skewed();
    let text = files::read_text(&bench.path("digits.toml")).unwrap();
    let briefly = "recipe = \"robust\"\nadaround = { iterations = 3 }\n";
    bench.put("digits.toml", text.replace("recipe = \"fx-default\"\n", briefly).as_bytes());
    let ended = bench.run(&["tune", "digits.toml", "--max-drop", "5", "--trials", "99", "--samples", "60"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ledger = files::read_text(&bench.path("digits.tuning/trials.jsonl")).unwrap();
    let learned: Vec<&str> = ledger.lines().filter(|line| line.contains("\"adaround\"")).collect();
    assert_eq!(learned, [ledger.lines().last().unwrap()], "{ledger}");
    assert!(
        learned[0].contains("\"sequential-bias-correction\"") && !learned[0].contains("\"bias-correction\""),
        "{ledger}"
    );
    let manifest = files::read_text(&bench.path("digits.tuned.toml")).unwrap();
    assert_eq!(manifest.contains("\"adaround\""), manifest.contains("iterations = 3"), "{manifest}");
}

/// What a person has decided is not raced again, and so never undone.
#[test]
fn tuning_leaves_exceptions_of_the_manifest_alone() {
    let bench = skewed();
    let text = files::read_text(&bench.path("digits.toml")).unwrap();
    let mine = "recipe = \"fx-default\"\n\n[[quantize.layer]]\nmatch = \"features.0.*\"\nprecision = \"fp32\"\n\n\
                [[quantize.layer]]\nmatch = \"features.12.*\"\nkernel = \"engine\"\n";
    bench.put("digits.toml", text.replace("recipe = \"fx-default\"\n", mine).as_bytes());
    let ended = bench.run(&["tune", "digits.toml", "--max-drop", "5", "--trials", "19", "--samples", "60"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let page = files::read_text(&bench.path("digits.tuning/tuning.md")).unwrap();
    assert!(page.contains("| `features.2.block.0.0` |"), "{page}");
    assert!(!page.contains("| `features.0.0` |") && !page.contains("| `features.12.0` |"), "{page}");
}

/// What computes a layer is what its exception says, and the record tells it.
#[test]
fn a_layer_is_computed_as_its_exception_says() {
    let bench = Bench::new();
    let exceptions = "recipe = \"fx-default\"\nsteps = [\"products-only\", \"fuse\"]\n\n\
                      [[quantize.layer]]\nmatch = \"features.12.0\"\nkernel = \"engine\"\n\n\
                      [[quantize.layer]]\nmatch = \"features.4.block.1.0\"\nprecision = \"int8\"\nkernel = \"fused\"\n\n\
                      [[quantize.layer]]\nmatch = \"features.2.block.0.0\"\nprecision = \"fp32\"\n";
    bench.digits(&[("recipe = \"fx-default\"\n", exceptions)]);
    let ended = bench.run(&["run", "digits.toml"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let record = store::read(&bench.only_run("digits")).unwrap();
    let of = |name: &str| record.network.layers.iter().find(|layer| layer.name == name).unwrap().kernel;
    assert_eq!(of("features.12.0"), Some(Kernel::Engine));
    // Depthwise, which the steps leave in float.
    assert_eq!(of("features.4.block.1.0"), Some(Kernel::Fused));
    assert_eq!(of("features.5.block.1.0"), None);
    assert_eq!(of("features.2.block.0.0"), None);
    assert_eq!(of("features.4.block.0.0"), Some(Kernel::Fused));
    let wrong = "recipe = \"fx-default\"\n\n[[quantize.layer]]\nmatch = \"classifier.*\"\nkernel = \"fused\"\n";
    let bench = Bench::new();
    bench.digits(&[("recipe = \"fx-default\"\n", wrong)]);
    let refused = bench.run(&["check", "digits.toml"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("names a kernel, and matches no convolution"), "{refused:?}");

    let int8 = record.variants.iter().find(|variant| variant.name == "int8_fbgemm_cpu").unwrap().measured().unwrap();
    assert!(int8.classified().unwrap().correct > 700, "{int8:?}");
}
