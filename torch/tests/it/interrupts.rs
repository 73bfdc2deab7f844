use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use lab::Bench;
use requant::base::files;

/// Starts a run of the demo and sends it a signal when it announces `stage`; returns the exit code and what it wrote
/// from then on.
#[expect(unsafe_code, reason = "sends a signal to our own child")]
fn signal_at(run: &mut Command, signal: i32, stage: &str) -> (Option<i32>, Vec<String>) {
    let mut child = run.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line == stage), "`{stage}` was never announced");
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: a plain signal to a process that we started and have not yet waited for.
    unsafe { libc::kill(pid, signal) };
    let rest = lines.collect();
    (child.wait().unwrap().code(), rest)
}

fn interrupt_at(bench: &Bench, stage: &str) -> Option<i32> {
    let (code, rest) = signal_at(&mut bench.command(&["run", "digits.toml"]), libc::SIGINT, stage);
    assert!(
        code != Some(130) || rest.iter().any(|line| line.starts_with("error: ") && line.ends_with("interrupted")),
        "{rest:?}"
    );
    code
}

#[test]
fn an_interrupt_in_a_long_stage_leaves_nothing() {
    for stage in ["prepare", "calibrate", "evaluate", "benchmark"] {
        let bench = Bench::new();
        // Long enough that the signal always arrives in time.
        bench.digits(&[("rounds = 2", "rounds = 500")]);
        assert_eq!(interrupt_at(&bench, stage), Some(130), "{stage}");
        assert_eq!(bench.leftovers(), Vec::<String>::new(), "{stage}");
    }
}

#[test]
fn an_interrupt_in_a_short_stage_leaves_nothing_or_a_whole_run() {
    for stage in ["quantize", "diagnose", "record", "render"] {
        let bench = Bench::new();
        bench.digits(&[]);
        if interrupt_at(&bench, stage) == Some(130) {
            assert_eq!(bench.leftovers(), Vec::<String>::new(), "{stage}");
        } else {
            let run = bench.only_run("digits");
            let sums = files::read_text(&run.join("SHA256SUMS")).unwrap();
            assert!(sums.lines().all(|line| run.join(line.split_once("  ").unwrap().1).exists()), "{stage}");
        }
    }
}

#[test]
fn a_hang_up_stops_a_run_unless_it_was_started_to_outlive_it() {
    let bench = Bench::new();
    bench.digits(&[]);
    // Whatever these tests were started with; the latter is what `nohup` does.
    for (signals, wanted) in [("--default-signal=HUP", 130), ("--ignore-signal=HUP", 0)] {
        let mut run = Command::new("env");
        run.arg(signals).arg(lab::program("requant")).args(["run", "digits.toml"]).current_dir(bench.path(""));
        let (code, rest) = signal_at(&mut run, libc::SIGHUP, "calibrate");
        assert_eq!(code, Some(wanted), "{rest:?}");
    }
}

#[test]
fn a_killed_run_is_reported_by_the_next() {
    let bench = Bench::new();
    bench.digits(&[]);
    bench.put("results/digits/.draft-20200101T000000Z-dead~4194399~x/record.json", b"{");
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("note: an earlier run was killed and left"), "{ended:?}");
}

/// A process that waits for its input asks nobody whether it is to stop.
#[test]
#[expect(unsafe_code, reason = "sends a signal to our own child")]
fn a_blocked_read_ends_on_the_first_signal() {
    let bench = Bench::new();
    let mut child = bench.command(&["template"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // Waiting for a process closes what it still has of its pipe.
    let _open = child.stdin.take();
    // It listens to signals once it waits for its input.
    let status = format!("/proc/{}/status", child.id());
    let catches = |text: String| {
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim).map(str::to_owned);
        u64::from_str_radix(&mask.unwrap(), 16).unwrap() >> (libc::SIGTERM - 1) & 1 == 1
    };
    while !catches(files::read_text(std::path::Path::new(&status)).unwrap()) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // SAFETY: a plain signal to a process that we started and have not yet waited for.
    unsafe { libc::kill(libc::pid_t::try_from(child.id()).unwrap(), libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
