use std::path::Path;
use std::process::Stdio;

use requant::base::files;

use crate::cluster::{Cluster, wait_for};
use crate::sweeps::{count, folder, kill_whole, prepared, runs, states, task};
use lab::{Bench, Ended};

/// requant on this cluster.
fn on(cluster: &Cluster, bench: &Bench, arguments: &[&str]) -> Ended {
    let output = bench.command(arguments).envs(cluster.environment()).output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Waits until nobody has a point in hand.
fn settled(cluster: &Cluster, bench: &Bench) -> Vec<(String, u64)> {
    let environment = cluster.environment();
    let mut told = Vec::new();
    let quiet = wait_for(300, || {
        told = states(bench, &environment);
        !told.iter().any(|(state, _)| ["running", "queued", "unknown"].contains(&state.as_str()))
    });
    assert!(quiet, "{told:?}");
    told
}

/// A sweep's table without what was measured.
fn decided(sweep: &Path) -> Vec<String> {
    let text = files::read_text(&sweep.join("sweep.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let end = reader.headers().unwrap().iter().position(|name| name == "latency_ms").unwrap();
    let header = reader.headers().unwrap().clone();
    let rows = std::iter::once(header).chain(reader.records().map(Result::unwrap));
    rows.map(|row| row.iter().take(end).collect::<Vec<_>>().join(",")).collect()
}

const TWELVE: &str =
    "quantize.recipe = [\"fx-default\", \"mse\"]\ncalibration.seed = \"1..=3\"\ncalibration.batch_size = [8, 20]";

#[test]
fn a_cluster_and_this_machine_make_the_same_table() {
    let Some(cluster) = Cluster::start() else { return };
    let bench = prepared(TWELVE);
    let ended =
        on(&cluster, &bench, &["sweep", "grid.toml", "--launcher", "slurm", "--array-throttle", "2", "--cpus", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("12 points") && ended.stdout.contains("gathers when all have ended"), "{ended:?}");
    let mut most = 0;
    let told = {
        let environment = cluster.environment();
        let mut told = Vec::new();
        assert!(wait_for(300, || {
            told = states(&bench, &environment);
            most = most.max(count(&told, "running"));
            count(&told, "done") == 12
        }));
        told
    };
    assert!(most <= 2, "at most {most} at a time");
    assert!(told.iter().all(|(_, attempts)| *attempts == 1), "{told:?}");
    let sweep = folder(&bench);
    assert!(wait_for(600, || sweep.join("sweep.md").exists()), "the job that gathers has not");
    // The job that gathers is still completing when its page is there.
    let completed = || cluster.completed().lines().filter(|line| line.contains("JobState=COMPLETED")).count();
    assert!(wait_for(600, || completed() == 13), "{} of 13 jobs are completed", completed());

    let here = prepared(TWELVE);
    let ended = here.run(&["sweep", "grid.toml", "--jobs", "2"]);
    assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
    let (theirs, ours) = (decided(&sweep), decided(&folder(&here)));
    assert_eq!(theirs.len(), 37, "a header, and three variants of twelve points");
    assert_eq!(theirs, ours);
    assert_eq!(bench.run(&["verify", "grid"]).code, Some(0), "without Slurm at hand");
    assert_eq!(states(&bench, &[]), told, "what is done is told without asking anybody");
}

#[test]
fn a_cluster_that_kills_cancels_and_goes_away_is_told_truly() {
    let Some(cluster) = Cluster::start() else { return };
    let environment = cluster.environment();
    let bench = prepared("calibration.seed = \"1..=6\"");
    let launch = ["sweep", "grid.toml", "--launcher", "slurm", "--array-throttle", "1"];
    let ended = on(&cluster, &bench, &launch);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // One is called off before it begins, and the one under way is killed without a word.
    let one = on(&cluster, &bench, &["sweep", "cancel", "grid", "6"]);
    assert!(one.code == Some(0) && one.stdout.contains("told to cancel"), "{one:?}");
    assert!(wait_for(600, || count(&states(&bench, &environment), "running") == 1));
    kill_whole(task(&bench, "task"));
    let mut told = Vec::new();
    assert!(
        wait_for(300, || {
            told = states(&bench, &environment);
            count(&told, "lost") == 1
        }),
        "{told:?}"
    );
    assert_ne!(told[5].0, "queued", "it was called off: {told:?}");

    // Without its controller nothing is known of what is queued, and nothing is lost either.
    assert!(wait_for(600, || count(&states(&bench, &environment), "done") >= 1));
    cluster.stop_controller();
    let told = states(&bench, &environment);
    assert!(count(&told, "unknown") >= 1 && count(&told, "done") >= 1 && count(&told, "queued") == 0, "{told:?}");
    let refused = on(&cluster, &bench, &["sweep", "retry", "grid"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("cannot be known"), "{refused:?}");
    cluster.resume_controller();
    let told = states(&bench, &environment);
    assert_eq!(count(&told, "unknown"), 0, "{told:?}");

    // All of it is called off.
    task(&bench, "task");
    let all = on(&cluster, &bench, &["sweep", "cancel", "grid"]);
    assert_eq!(all.code, Some(0), "{all:?}");
    let told = settled(&cluster, &bench);
    let done = count(&told, "done");
    assert!((1..=5).contains(&done) && count(&told, "failed") == 0, "{told:?}");
    assert!(count(&told, "cancelled") + count(&told, "waiting") + count(&told, "lost") == 6 - done, "{told:?}");
    let finished = runs(&bench);
    assert_eq!(finished.len(), done);

    let again = on(&cluster, &bench, &["sweep", "retry", "grid", "--array-throttle", "2"]);
    assert!(again.stdout.contains(&format!("{done} done already, 0 in hand, {} to run", 6 - done)), "{again:?}");
    let told = settled(&cluster, &bench);
    assert_eq!(count(&told, "done"), 6, "{told:?}");
    let everything = runs(&bench);
    assert!(everything.len() == 6 && finished.iter().all(|run| everything.contains(run)), "{everything:?}");
    let gathered = on(&cluster, &bench, &["sweep", "gather", "grid"]);
    assert!(matches!(gathered.code, Some(0 | 3)), "{gathered:?}");
    assert_eq!(bench.run(&["verify", "grid"]).code, Some(0));
}

#[test]
fn what_slurm_refuses_is_passed_on() {
    let Some(cluster) = Cluster::start() else { return };
    let bench = prepared("calibration.seed = \"1..=2\"");
    let ended = on(&cluster, &bench, &["sweep", "grid.toml", "--launcher", "slurm", "--partition", "nowhere"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("invalid partition"), "{ended:?}");
    assert_eq!(count(&states(&bench, &cluster.environment()), "waiting"), 2);
    let followed = on(&cluster, &bench, &["sweep", "retry", "grid", "--partition", "debug", "--wait"]);
    assert!(matches!(followed.code, Some(0 | 3)), "{followed:?}");
    assert!(followed.stderr.contains("point 2 (2): done") && followed.stdout.contains("2 done"), "{followed:?}");

    // Two that launch at once may both submit: calling off reaches whatever they did.
    bench.grid("calibration.seed = \"3..=4\"");
    let held = || {
        let mut command = bench.command(&["sweep", "grid.toml", "--launcher", "slurm", "--sbatch=--hold"]);
        command.envs(cluster.environment()).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut launcher in [held(), held()] {
        assert!(launcher.wait().unwrap().success());
    }
    assert_eq!(on(&cluster, &bench, &["sweep", "cancel", "grid"]).code, Some(0));
    // Slurm takes a job out of its queue a moment after it was called off.
    let left = || {
        let output = cluster.command("squeue").args(["-h", "-r"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(wait_for(30, || left().is_empty()), "{}", left());

    let ended = bench.run(&["sweep", "grid.toml", "--partition", "debug"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("is an option of `--launcher slurm`"), "{ended:?}");
    let mut nowhere = bench.command(&["sweep", "grid.toml", "--launcher", "slurm"]);
    let output = nowhere.env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}
