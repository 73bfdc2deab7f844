use lab::Bench;
use requant::base::files;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::cluster::wait_for;

/// Point, word and number of attempts, as `status` tells them.
pub(crate) fn states(bench: &Bench, environment: &[(String, String)]) -> Vec<(String, u64)> {
    let mut command = bench.command(&["sweep", "status", "grid", "--format", "json"]);
    let output = command.envs(environment.iter().cloned()).output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let one =
        |point: &Value| (point["standing"]["state"].as_str().unwrap().to_owned(), point["attempts"].as_u64().unwrap());
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
    bench.grid(axes);
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
    bench.grid("quantize.recipe = [\"fx-default\", \"mse\"]\ncalibration.seed = [1, 2, 3]");
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

    bench.grid("calibration.seed = \"5..=7\"");
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
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == bench.path("").canonicalize().unwrap())
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
