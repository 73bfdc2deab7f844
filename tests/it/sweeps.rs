use std::path::Path;

use lab::Bench;
use requant::base::digest::Digest;
use requant::base::files;
use requant::base::progress::Unmetered;
use requant::grid::{Plan, Sweep};
use requant::manifest::{self, Overrides};

fn plan(file: &Path) -> Plan {
    let sweep = Sweep::load(file).unwrap_or_else(|failure| panic!("{failure}"));
    Plan::of(sweep, &Overrides::default(), &Unmetered).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The demo's manifest and model, as they are committed.
fn put_demo(bench: &Bench) {
    let home = lab::root().join("experiments");
    bench.put("digits.toml", &files::read(&home.join("digits.toml")).unwrap());
    let model = "models/digits-mobilenet_v3_small.onnx";
    bench.put(model, &files::read(&home.join(model)).unwrap());
}

#[test]
fn points_are_complete_pinned_and_known_by_their_digest() {
    let bench = Bench::new();
    put_demo(&bench);
    let file = bench.grid(
        "quantize.recipe = [\"fx-default\", \"mse\"]\ncalibration.seed = \"1..=5\"\nevaluation.samples = [10, 20]\n",
    );
    let text = files::read_text(&file).unwrap().replace("evaluation.samples = 60\n", "");
    files::write(&file, text.as_bytes()).unwrap();
    let plan = plan(&file);
    assert_eq!(plan.points.len(), 20);
    let place = plan.sweep.base.with_file_name("any.toml");
    for point in &plan.points {
        let resolved = manifest::restore(&place, Path::new("point"), point.text.clone().into_bytes()).unwrap();
        assert_eq!(resolved.digest(), point.id, "what a run obeys is what the point is known by");
        assert_eq!(Digest::of(point.text.as_bytes()), point.id, "anyone can recompute it with sha256sum");
        let manifest = resolved.manifest;
        assert!(manifest.model.sha256.is_some() && manifest.dataset.sha256.is_some());
        assert!(manifest.calibration.sha256.is_some() && manifest.evaluation.sha256.is_some());
    }
    let pins = |pick: fn(&requant::manifest::Manifest) -> Option<Digest>| {
        let mut found: Vec<_> = (0..20).map(|at| pick(&reread(&plan, at))).collect();
        found.sort_unstable();
        found.dedup();
        found.len()
    };
    assert_eq!(pins(|m| m.calibration.sha256), 5, "a pin per seed");
    assert_eq!(pins(|m| m.evaluation.sha256), 2);
    assert_eq!(pins(|m| m.model.sha256), 1);
    let again = self::plan(&file);
    assert_eq!(again.id, plan.id);
}

fn reread(plan: &Plan, at: usize) -> requant::manifest::Manifest {
    let text = plan.points[at].text.clone().into_bytes();
    manifest::restore(&plan.sweep.base.with_file_name("any.toml"), Path::new("point"), text).unwrap().manifest
}

#[test]
fn axes_cross_zip_and_leave_out() {
    let bench = Bench::new();
    put_demo(&bench);
    let file = bench.grid(
        "quantize.recipe = [\"fx-default\", \"mse\"]\nvariant.int8_fbgemm_cpu.engine = [\"fbgemm\", \"onednn\"]\n\n\
         [[sweep.zip]]\ncalibration.seed = [1, 2, 3]\ncalibration.batch_size = [8, 16, 8]\n\n\
         [[sweep.exclude]]\nquantize.recipe = \"mse\"\ncalibration.seed = [2, 3]\n",
    );
    let plan = plan(&file);
    let shown: Vec<String> = plan.points.iter().map(|point| point.values.join(" ")).collect();
    assert_eq!(
        shown,
        [
            "fx-default fbgemm 1 8",
            "fx-default fbgemm 2 16",
            "fx-default fbgemm 3 8",
            "fx-default onednn 1 8",
            "fx-default onednn 2 16",
            "fx-default onednn 3 8",
            "mse fbgemm 1 8",
            "mse onednn 1 8",
        ]
    );
    let engine = |at| reread(&plan, at).variant[1].engine.map(|engine| engine.to_string());
    assert_eq!((engine(0).as_deref(), engine(3).as_deref()), (Some("fbgemm"), Some("onednn")));
    assert_eq!(reread(&plan, 0).variant.len(), 3, "the other rows stay");
}

#[test]
fn two_thousand_points_are_told_apart() {
    let bench = Bench::new();
    put_demo(&bench);
    bench.grid("calibration.seed = \"0..500\"\nquantize.recipe = [\"fx-default\", \"mse\", \"kl\", \"percentile\"]\n");
    let ended = bench.run(&["sweep", "grid.toml", "--dry-run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 2002, "a header, the points and the cost");
    let mut ids: Vec<&str> = lines[1..2001].iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2000);
    assert!(lines[2001].contains("no past run of `digits`"), "{}", lines[2001]);
    assert!(!bench.path("results").exists(), "nothing was started");
}

/// What is told of a sweep that is wrong.
#[test]
fn a_mistake_is_told_where_it_stands() {
    let told = |axes: &str| {
        let bench = Bench::new();
        put_demo(&bench);
        bench.grid(axes);
        let ended = bench.run(&["sweep", "grid.toml", "--dry-run"]);
        assert_eq!(ended.code, Some(2), "{axes}: {}{}", ended.stdout, ended.stderr);
        ended.stderr
    };
    for (axes, wanted) in [
        (
            "quantize.recepie = [\"mse\"]",
            vec!["unknown key `recepie` in `quantize`", "grid.toml:16:", "did you mean `recipe`?"],
        ),
        (
            "quantize.recipe = [\"mse\", \"robost\"]",
            vec!["unknown value `robost`", "point 2", "did you mean `robust`?"],
        ),
        ("quantize.recipe = \"mse\"", vec!["`quantize.recipe` has no list of values"]),
        ("quantize.recipe = []", vec!["has no list of values"]),
        ("quantize.recipe = [\"mse\", \"mse\"]", vec!["takes the value mse twice"]),
        ("calibration.samples = [8]", vec!["`calibration.samples` is an axis, too", "keep one of the two"]),
        ("calibration.seed = \"5..5\"", vec!["which is no range of 1 to 100000 integers"]),
        ("name = [\"a\", \"b\"]", vec!["`name` cannot be changed by a sweep"]),
        (
            "variant.int8_fbgem_cpu.engine = [\"x86\"]",
            vec!["has no variant `int8_fbgem_cpu`", "did you mean `int8_fbgemm_cpu`?"],
        ),
        ("variant.int8_fbgemm_cpu.engine = [\"x87\"]", vec!["unknown value `x87`", "grid.toml:16:"]),
        ("calibration.seed = \"0..100001\"", vec!["which is no range of 1 to 100000 integers"]),
        ("calibration.seed = \"0..1000\"\nevaluation.seed = \"0..1000\"", vec!["1000000 points", "at most 100000"]),
        ("calibration.batch_size = [1]\n[[sweep.exclude]]\ncalibration.batch_size = 2", vec!["never has the value 2"]),
        (
            "calibration.batch_size = [1]\n[[sweep.exclude]]\ncalibration.batch_size = 1",
            vec!["every point is excluded"],
        ),
        (
            "[[sweep.zip]]\ncalibration.seed = [1, 2]\nevaluation.seed = [1]",
            vec!["has 2 values and `evaluation.seed` has 1 value"],
        ),
        ("[sweep.corss]\ncalibration.seed = [1]", vec!["unknown key `corss`", "did you mean `cross`?"]),
        ("", vec!["the sweep has no axis"]),
        ("calibration.splits = [[\"nowhere\"]]", vec!["nowhere", "point 1"]),
        (
            "quantize.recipe = [\"robust\"]\nquantize.steps = [[\"equalize\"]]",
            vec!["cannot be given to `robust`", "recipe = robust"],
        ),
    ] {
        let said = told(axes);
        for part in wanted {
            assert!(said.contains(part), "`{axes}` lacks `{part}`:\n{said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Two rows of one experiment, under values that it did not have, would be worse than no table.
#[test]
fn points_that_are_one_experiment_are_refused() {
    for (axes, more, wanted) in [
        ("quantize.recipe = [\"fx-default\", \"mse\"]", vec!["--set", "quantize.recipe=mse"], "same experiment"),
        (
            "quantize.recipe = [\"fx-default\"]",
            vec!["--set", "quantize.recipe=mse"],
            "`quantize.recipe` is an axis, and",
        ),
        ("calibration.seed = [1, 2]", vec!["--set", "name=other"], "`name` is `other` by a setting from outside"),
        ("[[sweep.zip]]\ncalibration.seed = [1, 1]\ncalibration.batch_size = [8, 8]", vec![], "same experiment"),
        ("variant.int8_fbgemm_cpu.name = [\"a\", \"b\"]", vec![], "cannot be changed by a sweep"),
        (
            "goals.max_accuracy_drop = [1.0]\n[[sweep.zip]]\ngoals = [{ min_speedup = 1.0 }]",
            vec![],
            "is part of the axis",
        ),
        ("evaluation.seed = [1, 2]", vec![], "`evaluation.seed` changes nothing"),
    ] {
        let bench = Bench::new();
        put_demo(&bench);
        bench.grid(axes);
        let ended = bench.run(&[&["sweep", "grid.toml", "--dry-run"], more.as_slice()].concat());
        assert_eq!(ended.code, Some(2), "{axes}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(wanted), "`{axes}` lacks `{wanted}`:\n{}", ended.stderr);
    }
    let bench = Bench::new();
    put_demo(&bench);
    let file = bench.grid("calibration.seed = [1, 2]");
    let text = files::read_text(&file).unwrap();
    bench.put("other.toml", text.replace("digits.toml", "grid.toml").as_bytes());
    let ended = bench.run(&["sweep", "other.toml", "--dry-run"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("is a sweep itself"), "{}", ended.stderr);
}

#[test]
fn a_broken_pin_of_the_base_stops_the_sweep() {
    let bench = Bench::new();
    put_demo(&bench);
    bench.grid("calibration.seed = [1, 2]");
    bench.put("models/digits-mobilenet_v3_small.onnx", b"another");
    let ended = bench.run(&["sweep", "grid.toml", "--dry-run"]);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains("`model.sha256` is pinned to"), "{}", ended.stderr);
    let ended = bench.run(&["run", "grid.toml"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("`requant sweep grid.toml`"), "{}", ended.stderr);
    let ended = bench.run(&["sweep", "status", "grid"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("`grid` is no sweep"), "{}", ended.stderr);
}
