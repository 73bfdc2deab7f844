//! Past runs again, runs side by side, and runs that were killed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use lab::{Bench, root};
use requant::base::digest::Digest;
use requant::base::files;
use requant::record::{host, store};

const REFERENCE: &str = "results/digits/reference";

/// The committed run as it lies in a checkout.
fn checkout() -> Bench {
    let bench = Bench::new();
    let source = root().join(REFERENCE);
    for name in files::walk(&source).unwrap().iter().filter(|name| !name.starts_with("artefacts/")) {
        bench.put(&format!("{REFERENCE}/{name}"), &files::read(&source.join(name)).unwrap());
    }
    let model = "experiments/models/digits-mobilenet_v3_small.onnx";
    bench.put(model, &files::read(&root().join(model)).unwrap());
    bench
}

fn contents(folder: &Path) -> BTreeMap<String, Digest> {
    let names = files::walk(folder).unwrap();
    names.into_iter().map(|name| (name.clone(), Digest::of(&files::read(&folder.join(name)).unwrap()))).collect()
}

#[test]
fn the_committed_run_is_reproduced() {
    let bench = checkout();
    let before = contents(&bench.path(REFERENCE));
    let ended = bench.run(&["rerun", "digits", "--to", "accuracy"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.ends_with(": REPRODUCED\n"), "{ended:?}");
    // Between makers of CPUs FP32 linear layers differ in their last bits.
    let maker = |cpu: &str| cpu.split(['(', ' ']).next().unwrap_or_default().to_owned();
    let then = store::read(&bench.path(REFERENCE)).unwrap().host.cpu;
    let likeness = if maker(&then) == maker(&host::facts().cpu) { "identical" } else { "" };
    let levels =
        [("inputs", "identical"), ("artefact", likeness), ("predictions", likeness), ("accuracy", "identical")];
    for (level, likeness) in levels {
        let line = format!("{level:11}  {likeness}");
        assert!(ended.stdout.contains(&line), "{line}: {}", ended.stdout);
    }
    assert!(ended.stdout.contains("speed  ") && ended.stdout.contains("memory  "), "{}", ended.stdout);
    assert_eq!(contents(&bench.path(REFERENCE)), before, "the original is never touched");

    let runs = files::list(&bench.path("results/digits")).unwrap();
    let new = runs.iter().find(|name| *name != "reference").unwrap();
    let repeats = store::read(&bench.path(&format!("results/digits/{new}"))).unwrap().run.repeats.unwrap();
    assert_eq!(repeats.record, before["record.json"]);
    let ended = bench.run(&["verify", "digits"]);
    assert!(ended.code == Some(0) && ended.stdout.contains(new.as_str()), "the new run is the latest: {ended:?}");
}

#[test]
fn a_run_that_was_changed_is_not_repeated() {
    let bench = checkout();
    let settings = format!("{REFERENCE}/resolved.toml");
    let text = files::read_text(&bench.path(&settings)).unwrap();
    bench.put(&settings, text.replace("rounds = 20", "rounds = 2").as_bytes());
    let ended = bench.run(&["rerun", "digits"]);
    assert!(ended.code == Some(5) && ended.stderr.contains("resolved.toml: "), "{ended:?}");
    assert_eq!(files::list(&bench.path("results/digits")).unwrap(), ["reference"]);

    let ended = bench.run(&["rerun", &format!("{REFERENCE}/record.json")]);
    assert!(ended.code == Some(2) && ended.stderr.contains("is a record alone"), "{ended:?}");
    files::remove_dir_all(&bench.path("experiments")).unwrap();
    bench.put(&settings, text.as_bytes());
    let ended = bench.run(&["rerun", "digits"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("inputs of the run are not at hand"), "{ended:?}");
}

#[test]
fn a_run_against_another_says_what_the_recipe_changed() {
    let bench = Bench::new();
    bench.digits(&[]);
    assert_eq!(bench.run(&["run", "digits.toml"]).code, Some(0));
    let ended = bench.run(&["run", "digits.toml", "--against", "digits", "--set", "quantize.recipe=minmax"]);
    assert!(ended.stdout.contains("manifest  quantize.recipe"), "{ended:?}");
    assert!(ended.stdout.contains("The results differ") && ended.stdout.contains("\nLayers\n"), "{ended:?}");
    assert!(!ended.stdout.contains("fp32_cpu  artefact"), "the float network is the same: {ended:?}");
    let ended = bench.run(&["run", "digits.toml", "--against", "nothing"]);
    assert!(ended.code == Some(2) && !ended.stderr.contains("prepare"), "told before the work: {ended:?}");
}

#[test]
fn two_runs_at_once_are_two_whole_runs() {
    let bench = Bench::new();
    bench.digits(&[]);
    let start = || bench.command(&["run", "digits.toml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut both = [start(), start()];
    assert!(both.iter_mut().all(|child| child.wait().unwrap().code() == Some(0)));
    let runs = files::list(&bench.path("results/digits")).unwrap();
    assert_eq!(runs.len(), 2, "{runs:?}");
    for run in &runs {
        let ended = bench.run(&["verify", &format!("digits/{run}")]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let ended = bench.run(&["diff", "--check", &format!("digits/{}", runs[0]), &format!("results/digits/{}", runs[1])]);
    assert!(!ended.stdout.contains("artefact") && !ended.stdout.contains("Flips"), "{ended:?}");
}

#[test]
fn a_killed_run_leaves_the_others_and_can_be_cleaned_up() {
    let bench = Bench::new();
    bench.digits(&[("rounds = 2", "rounds = 500")]);
    bench.put("results/digits/old/record.json", &files::read(&root().join(REFERENCE).join("record.json")).unwrap());
    let before = contents(&bench.path("results/digits/old"));
    let mut child =
        bench.command(&["run", "digits.toml"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "calibrate"));

    let ended = bench.run(&["clean"]);
    assert!(ended.code == Some(0) && ended.stdout == "nothing to clean\n", "it is at work: {ended:?}");
    assert!(bench.run(&["list"]).stdout.contains("digits/old"), "nothing blocks a reader");
    child.kill().unwrap();
    child.wait().unwrap();
    let ended = bench.run(&["clean"]);
    assert!(ended.code == Some(0) && ended.stdout.starts_with("removed results/digits/.draft-"), "{ended:?}");
    assert_eq!(files::list(&bench.path("results/digits")).unwrap(), ["old"]);
    assert_eq!(contents(&bench.path("results/digits/old")), before);
}

/// A path that the command line gives means the working folder, also when the run is looked at again.
#[test]
fn paths_of_the_command_line_stay_true() {
    let bench = Bench::new();
    bench.digits(&[]);
    let model = files::read(&bench.path("models/digits-mobilenet_v3_small.onnx")).unwrap();
    bench.put("below/digits.toml", &files::read(&bench.path("digits.toml")).unwrap());
    bench.put("else/m.onnx", &model);
    bench.put("mine.tera", b"{{ record.settings.name }}\n");
    let ended = bench.run(&[
        "run",
        "below/digits.toml",
        "--set",
        "model.path=else/m.onnx",
        "--set",
        "report.template=mine.tera",
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let verified = bench.run(&["verify", "digits"]);
    assert!(verified.code == Some(0) && verified.stdout.contains("on the disk are those of the run"), "{verified:?}");
    let again = bench.run(&["rerun", "digits", "--to", "accuracy"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    // Another model, readable or not, is told as what it is.
    for broken in [[model.as_slice(), b"\0"].concat(), Vec::new()] {
        bench.put("else/m.onnx", &broken);
        let ended = bench.run(&["rerun", "digits"]);
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.stderr.contains("restore what the run used"), "{ended:?}");
    }
}
