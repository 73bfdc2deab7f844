use std::path::{Path, PathBuf};

use requant::base::digest::Digest;
use requant::base::files;
use requant::base::progress::Unmetered;
use requant::grid::{Plan, Sweep};
use requant::manifest::{self, Overrides};

use crate::lab::{self, Bench};

/// A sweep over the demo, small and quick; `axes` is what stands below `[sweep.cross]`.
pub(crate) fn put_sweep(bench: &Bench, axes: &str) -> PathBuf {
    let text = format!(
        "schema = 1\nname = \"grid\"\n\n[sweep]\nbase = \"digits.toml\"\n\n[sweep.set]\n\
         calibration.strategy = \"stratified\"\ncalibration.samples = 40\nevaluation.strategy = \"first\"\n\
         evaluation.samples = 60\nbenchmark.processes = 1\nrecord.evidence = false\n\n[sweep.cross]\n{axes}\n"
    );
    bench.put("grid.toml", text.as_bytes())
}

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
    let file = put_sweep(
        &bench,
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
    let file = put_sweep(
        &bench,
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
    put_sweep(
        &bench,
        "calibration.seed = \"0..500\"\nquantize.recipe = [\"fx-default\", \"mse\", \"kl\", \"percentile\"]\n",
    );
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
        put_sweep(&bench, axes);
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
        put_sweep(&bench, axes);
        let ended = bench.run(&[&["sweep", "grid.toml", "--dry-run"], more.as_slice()].concat());
        assert_eq!(ended.code, Some(2), "{axes}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(wanted), "`{axes}` lacks `{wanted}`:\n{}", ended.stderr);
    }
    let bench = Bench::new();
    put_demo(&bench);
    let file = put_sweep(&bench, "calibration.seed = [1, 2]");
    let text = files::read_text(&file).unwrap();
    bench.put("other.toml", text.replace("digits.toml", "grid.toml").as_bytes());
    let ended = bench.run(&["sweep", "other.toml", "--dry-run"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("is a sweep itself"), "{}", ended.stderr);
}

#[test]
fn a_broken_pin_of_the_base_stops_the_sweep() {
    let bench = Bench::new();
    put_demo(&bench);
    put_sweep(&bench, "calibration.seed = [1, 2]");
    bench.put("models/digits-mobilenet_v3_small.onnx", b"another");
    let ended = bench.run(&["sweep", "grid.toml", "--dry-run"]);
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains("`model.sha256` is pinned to"), "{}", ended.stderr);
    let ended = bench.run(&["run", "grid.toml"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("`requant sweep grid.toml`"), "{}", ended.stderr);
    let ended = bench.run(&["sweep", "status", "grid"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("`grid` is no sweep"), "{}", ended.stderr);
}

#[cfg(feature = "torch")]
mod run {
    use std::process::Stdio;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::cluster::wait_for;

    /// Point, word and number of attempts, as `status` tells them.
    pub(crate) fn states(bench: &Bench, environment: &[(String, String)]) -> Vec<(String, u64)> {
        let mut command = bench.command(&["sweep", "status", "grid", "--format", "json"]);
        let output = command.envs(environment.iter().cloned()).output().unwrap();
        let value: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let one = |point: &Value| {
            (point["standing"]["state"].as_str().unwrap().to_owned(), point["attempts"].as_u64().unwrap())
        };
        value["points"].as_array().unwrap().iter().map(one).collect()
    }

    pub(crate) fn count(states: &[(String, u64)], word: &str) -> usize {
        states.iter().filter(|(state, _)| state == word).count()
    }

    /// Whether the sweep has a folder: that of its runs may be there before.
    fn is_planned(bench: &Bench) -> bool {
        let names = files::list(&bench.path("results/grid")).unwrap_or_default();
        names.iter().any(|name| name.starts_with("sweep-"))
    }

    /// The sweep's folder.
    pub(crate) fn folder(bench: &Bench) -> PathBuf {
        let home = bench.path("results/grid");
        let names = files::list(&home).unwrap();
        let name = names.iter().rfind(|name| name.starts_with("sweep-")).unwrap();
        home.join(name)
    }

    pub(crate) fn runs(bench: &Bench) -> Vec<String> {
        let names = files::list(&bench.path("results/grid")).unwrap_or_default();
        names.into_iter().filter(|name| name.starts_with('2')).collect()
    }

    pub(crate) fn prepared(axes: &str) -> Bench {
        let bench = Bench::new();
        bench.digits(&[]);
        put_sweep(&bench, axes);
        bench
    }

    /// `requant sweep` without a point, whichever way it ended.
    fn sweep(bench: &Bench, more: &[&str]) -> lab::Ended {
        bench.run(&[&["sweep", "grid.toml"], more].concat())
    }

    /// Processes whose command line has all of these words.
    fn processes(words: &[&str]) -> Vec<i32> {
        let names = files::list(Path::new("/proc")).unwrap();
        let is_meant = |pid: &i32| {
            let line = files::read(Path::new(&format!("/proc/{pid}/cmdline"))).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            words.iter().all(|word| line.contains(word))
        };
        names.iter().filter_map(|name| name.parse().ok()).filter(is_meant).collect()
    }

    #[expect(unsafe_code, reason = "sends a signal to processes of our own")]
    fn kill(pid: i32, signal: i32) {
        // SAFETY: a plain signal.
        unsafe { libc::kill(pid, signal) };
    }

    /// Kills what sees to a point and what runs it, as a node does that runs out of memory.
    pub(crate) fn kill_whole(task: i32) {
        kill(task, libc::SIGSTOP);
        let own = |pid: &i32| {
            let stat = files::read_text(Path::new(&format!("/proc/{pid}/stat"))).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
            parent == Some(task)
        };
        let found = processes(&["sweep", "point"]).into_iter().filter(own);
        found.for_each(|pid| kill(pid, libc::SIGKILL));
        kill(task, libc::SIGKILL);
    }

    /// The process that sees to a point of this bench, once there is one.
    pub(crate) fn task(bench: &Bench, what: &str) -> i32 {
        let here = folder(bench).file_name().unwrap().to_string_lossy().into_owned();
        let home = bench.path("").display().to_string();
        let mut found = Vec::new();
        let is_ours = |pid: &i32| {
            std::fs::read_link(format!("/proc/{pid}/cwd"))
                .is_ok_and(|cwd| Path::new(&home).canonicalize().is_ok_and(|home| cwd == home))
        };
        assert!(
            wait_for(600, || {
                found = processes(&["sweep", what, &here]).into_iter().filter(is_ours).collect();
                !found.is_empty()
            }),
            "no `{what}` is running"
        );
        found[0]
    }

    #[test]
    fn a_grid_runs_here_is_not_repeated_and_can_be_checked() {
        let bench = prepared("quantize.recipe = [\"fx-default\", \"mse\"]\ncalibration.seed = [1, 2]");
        let ended = sweep(&bench, &["--jobs", "2"]);
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        assert!(ended.stdout.contains("4 done"), "{ended:?}");
        let before = runs(&bench);
        assert_eq!(before.len(), 4);
        let table = files::read(&folder(&bench).join("sweep.csv")).unwrap();
        let again = sweep(&bench, &[]);
        assert!(again.stdout.contains("4 done already, 0 in hand, 0 to run"), "{again:?}");
        assert_eq!(runs(&bench), before, "nothing was run again");
        assert_eq!(files::read(&folder(&bench).join("sweep.csv")).unwrap(), table);

        // Another value makes another sweep, which finds the points that it shares with this one.
        put_sweep(&bench, "quantize.recipe = [\"fx-default\", \"mse\"]\ncalibration.seed = [1, 2, 3]");
        let larger = sweep(&bench, &[]);
        assert!(larger.stdout.contains("4 done already, 0 in hand, 2 to run"), "{larger:?}");
        assert_eq!(runs(&bench).len(), 6);

        assert_eq!(bench.run(&["verify", "grid"]).code, Some(0));
        let diff = bench.run(&["diff", "grid#1", "grid#4"]);
        assert!(diff.code == Some(0) && diff.stdout.contains("quantize.recipe"), "{diff:?}");
        let rerun = bench.run(&["rerun", "grid#2", "--to", "predictions"]);
        assert_eq!(rerun.code, Some(0), "{rerun:?}");
        let page = files::read_text(&folder(&bench).join("sweep.md")).unwrap();
        for part in ["6 of 6 points done", "`quantize.recipe`", "Variance over seeds", "2 groups of 6 points"] {
            assert!(page.contains(part), "{part}:\n{page}");
        }
        tampered(&bench);
    }

    #[test]
    fn times_beside_a_neighbour_compare_with_nothing() {
        let bench = prepared("calibration.seed = [1, 2]");
        let ended = sweep(&bench, &["--jobs", "2", "--parallel-timing"]);
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        let table = files::read_text(&folder(&bench).join("sweep.csv")).unwrap();
        assert_eq!((table.matches(",beside others,").count(), table.matches(",alone,").count()), (4, 0), "{table}");
        let page = files::read_text(&folder(&bench).join("sweep.md")).unwrap();
        for part in ["2 points timed beside others", "not comparable", "No row was both judged"] {
            assert!(page.contains(part), "{part}:\n{page}");
        }
        let diff = bench.run(&["diff", "grid#1", "grid#2"]);
        assert!(diff.stdout.contains("timed beside other points of a sweep"), "{diff:?}");
    }

    /// Whatever is changed of a gathered sweep, `verify` names it.
    fn tampered(bench: &Bench) {
        let sweep = folder(bench);
        let run = bench.path("results/grid").join(&runs(bench)[0]);
        let edits: [(PathBuf, &str, &str); 7] = [
            (sweep.join("sweep.csv"), ",done,", ",dome,"),
            (sweep.join("sweep.md"), "of 6 points", "of 9 points"),
            (sweep.join("sweep.json"), "\"name\": \"grid\"", "\"name\": \"grit\""),
            (sweep.join("points/00002.toml"), "seed = 2", "seed = 3"),
            (sweep.join("outcome.json"), "\"number\": 1", "\"number\": 2"),
            (sweep.join("base.toml"), "digits", "digit5"),
            (run.join("metrics.csv"), "measured", "measurad"),
        ];
        for (path, from, to) in edits {
            let sound = files::read_text(&path).unwrap();
            assert!(sound.contains(from), "{} has no `{from}`", path.display());
            files::write(&path, sound.replacen(from, to, 1).as_bytes()).unwrap();
            let ended = bench.run(&["verify", "grid"]);
            files::write(&path, sound.as_bytes()).unwrap();
            assert_eq!(ended.code, Some(5), "{}: {ended:?}", path.display());
        }
        assert_eq!(bench.run(&["verify", "grid"]).code, Some(0), "put back, it holds");
        let record = sweep.join("sweep.json");
        let sound = files::read(&record).unwrap();
        files::write(&record, &sound[..300]).unwrap();
        assert_eq!(bench.run(&["verify", "grid"]).code, Some(5), "not passed over for a run of that name");
        files::write(&record, &sound).unwrap();
    }

    /// One file that cannot be read takes no other point's result away, and is got over by trying again.
    #[test]
    fn what_cannot_be_read_is_lost_and_run_again() {
        let bench = prepared("calibration.seed = [1, 2, 3]");
        assert!(matches!(sweep(&bench, &[]).code, Some(0 | 3)));
        let attempts = folder(&bench).join("attempts");
        let run = |point: usize| {
            let text = files::read_text(&attempts.join(format!("{point:05}.1.json"))).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            bench.path("results/grid").join(value["end"]["run"].as_str().unwrap())
        };
        let (first, second) = (run(1).join("record.json"), attempts.join("00002.1.json"));
        let record = files::read(&first).unwrap();
        files::write(&first, &record[..1000]).unwrap();
        files::write(&second, b"{ \"point\": 2,").unwrap();
        files::remove_dir_all(&run(3)).unwrap();
        let gathered = bench.run(&["sweep", "gather", "grid"]);
        assert!(gathered.code == Some(1) && gathered.stdout.contains("1 done, 2 lost"), "{gathered:?}");
        let again = bench.run(&["sweep", "retry", "grid"]);
        assert!(again.stdout.contains("1 done already, 0 in hand, 2 to run"), "the run of 2 is found: {again:?}");
        assert!(states(&bench, &[]).iter().all(|(state, _)| state == "done"));
        assert_eq!(bench.run(&["verify", "grid"]).code, Some(0));
    }

    #[test]
    fn a_killed_launcher_and_a_killed_task_lose_nothing() {
        let bench = prepared("calibration.seed = \"1..=4\"");
        let mut launcher =
            bench.command(&["sweep", "grid.toml"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        assert!(wait_for(600, || is_planned(&bench) && count(&states(&bench, &[]), "done") > 0));
        task(&bench, "point");
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        let told = states(&bench, &[]);
        assert!(count(&told, "done") >= 1 && count(&told, "running") <= 1 && count(&told, "waiting") >= 1, "{told:?}");
        // The task that was under way ends by itself; nobody starts another.
        assert!(wait_for(600, || count(&states(&bench, &[]), "running") == 0));
        let finished = runs(&bench);
        let ended = bench.run(&["sweep", "retry", "grid"]);
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        assert!(states(&bench, &[]).iter().all(|state| *state == ("done".to_owned(), 1)), "each was begun once");
        let all = runs(&bench);
        assert!(all.len() == 4 && finished.iter().all(|run| all.contains(run)), "{finished:?} {all:?}");

        put_sweep(&bench, "calibration.seed = \"5..=7\"");
        let mut launcher =
            bench.command(&["sweep", "grid.toml"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert!(wait_for(600, || files::list(&bench.path("results/grid"))
            .unwrap()
            .iter()
            .filter(|n| n.starts_with("sweep-"))
            .count()
            == 2));
        let newest = |bench: &Bench| bench.run(&["sweep", "status", "grid", "--format", "json"]);
        std::thread::sleep(Duration::from_millis(300));
        let here = processes(&["sweep", "task", "--point"]);
        let ours = |pid: &&i32| {
            std::fs::read_link(format!("/proc/{pid}/cwd"))
                .is_ok_and(|cwd| cwd == bench.path("").canonicalize().unwrap())
        };
        let pid = *here.iter().find(ours).expect("a task is running");
        kill_whole(pid);
        assert!(launcher.wait().unwrap().code().is_some());
        let told: Value = serde_json::from_str(&newest(&bench).stdout).unwrap();
        let words: Vec<&str> =
            told["points"].as_array().unwrap().iter().filter_map(|p| p["standing"]["state"].as_str()).collect();
        assert_eq!(words.iter().filter(|word| **word == "lost").count(), 1, "{words:?}");
        assert_eq!(words.iter().filter(|word| **word == "done").count(), 2, "the others went on: {words:?}");
        let ended = bench.run(&["sweep", "retry", "grid"]);
        assert!(ended.stdout.contains("2 done already, 0 in hand, 1 to run"), "{ended:?}");
        assert_eq!(runs(&bench).len(), 7);
    }

    #[test]
    fn ctrl_c_stops_cleanly() {
        let bench = prepared("calibration.seed = \"1..=4\"");
        let mut launcher =
            bench.command(&["sweep", "grid.toml"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        assert!(wait_for(600, || is_planned(&bench) && count(&states(&bench, &[]), "done") > 0));
        task(&bench, "point");
        kill(i32::try_from(launcher.id()).unwrap(), libc::SIGINT);
        assert_eq!(launcher.wait().unwrap().code(), Some(130));
        let told = states(&bench, &[]);
        assert_eq!(count(&told, "running"), 0, "{told:?}");
        assert!(count(&told, "done") >= 1 && count(&told, "waiting") >= 1, "{told:?}");
        let drafts = files::list(&bench.path("results/grid")).unwrap();
        assert!(!drafts.iter().any(|name| name.starts_with(".draft")), "{drafts:?}");
        let ended = bench.run(&["sweep", "retry", "grid"]);
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        assert_eq!(runs(&bench).len(), 4);
    }

    #[test]
    fn a_full_disk_is_told_and_got_over() {
        let bench = prepared("calibration.seed = \"1..=4\"");
        let results = bench.path("results");
        files::create_dir_all(&results).unwrap();
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&results).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            return lab::skip("a small tmpfs cannot be mounted here");
        }
        let _unmount = Unmount(results.clone());
        files::write(&results.join("filler"), &vec![1; 44 << 20]).unwrap();
        let ended = sweep(&bench, &[]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let told = states(&bench, &[]);
        assert!(count(&told, "done") >= 1 && count(&told, "failed") >= 1, "{told:?}");
        assert_eq!(count(&told, "done") + count(&told, "failed"), 4, "{told:?}");
        let said = bench.run(&["sweep", "status", "grid"]).stdout;
        assert!(said.contains("No space left"), "{said}");
        let finished = runs(&bench);
        files::remove(&results.join("filler")).unwrap();
        let ended = bench.run(&["sweep", "retry", "grid"]);
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        let all = runs(&bench);
        assert!(all.len() == 4 && finished.iter().all(|run| all.contains(run)), "nothing lost, nothing repeated");
        assert_eq!(bench.run(&["verify", "grid"]).code, Some(0));
    }

    struct Unmount(PathBuf);

    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
}

#[cfg(feature = "torch")]
pub(crate) use run::{count, folder, kill_whole, prepared, runs, states, task};
