//! `requant tune`: what it writes, that it goes on where it was stopped, and that what it writes runs.

use requant::base::files;
use requant::base::finding::Verdict;
use requant::record::store;

use crate::lab::{Bench, root};

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
