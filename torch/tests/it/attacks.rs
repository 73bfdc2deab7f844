//! Small models that ask for much, or whose names are no names (`tests/fixtures/attacks.py`).

use std::io::{Cursor, Read as _};
use std::process::Command;

use lab::Bench;
use requant::base::files;
use zip::ZipArchive;

fn model(name: &str) -> Vec<u8> {
    let bytes = files::read(&lab::root().join("tests/fixtures/attacks.zip")).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut model = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut model).unwrap();
    model
}

/// Kilobytes of writable memory that a check may take.
const LITTLE: u32 = 300_000;

#[test]
fn what_would_take_all_memory_is_refused_by_name() {
    for (name, told) in [
        ("integers.onnx", "node `many23` (Concat, opset 17): its outcome is a constant of 8388608 elements"),
        ("doubling.onnx", "node `stem15` (Concat, opset 17): its outcome has 134217728 values for one image"),
        ("padding.onnx", "node `pad` (Pad, opset 17): its outcome has 4303360000 values for one image"),
    ] {
        let bench = Bench::new();
        bench.digits_with_model(&model(name));
        let limited = format!("ulimit -d {LITTLE}; exec \"$0\" check digits.toml");
        let program = lab::program("requant");
        let ended =
            Command::new("sh").args(["-c", &limited]).arg(program).current_dir(bench.path("")).output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(2) && stderr.contains(told), "{name}: {:?} {stderr}", ended.status);
    }
}

#[test]
fn names_are_text_wherever_they_land() {
    let bench = Bench::new();
    bench.digits_with_model(&model("names.onnx"));
    let ended = bench.run(&["run", "digits.toml", "--set", "benchmark.rounds=1"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
    let run = bench.only_run("digits");
    let report = files::read_text(&run.join("report.md")).unwrap();
    assert!(report.contains("## Verdict: PASS"), "the name is told, as text");
    let lines = || report.lines().map(str::trim_start);
    assert!(lines().all(|line| !line.starts_with("## Verdict") && !line.starts_with("| a | b |")), "{report}");
    assert!(!report.contains("<script") && !report.contains("[l](javascript"), "{report}");
    let check = bench.run(&["check", "digits.toml"]);
    let show = bench.run(&["show", "digits"]);
    let table = |name: &str| files::read_text(&run.join(name)).unwrap();
    let (layers, scales) = (table("layers.csv"), table("scales.csv"));
    for shown in [&report, &layers, &scales, &ended.stdout, &ended.stderr, &check.stdout, &check.stderr, &show.stdout] {
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    }
    lab::has_even_tables(&report);
}
