use std::process::Command;

use lab::{Bench, DIGITS_MODEL};
use requant::base::files;

/// A manifest with comments and odd spacing, and no pin but the model's.
fn manifest(bench: &Bench) -> String {
    bench.pictures("data");
    bench.put("mine.tera", b"# {{ verdict }}");
    let path = bench.on_pictures(&[
        ("path = \"data\"", "path = \"data\"      # where they are"),
        ("[compute]", "# my own report\n[report]\ntemplate = \"mine.tera\"\n\n[compute]"),
        (
            "strategy = \"all\"\n\n[evaluation]",
            "strategy = \"random\"\nsamples = 7\nseed = 42\nbatch_size = 3\n\n[evaluation]",
        ),
    ]);
    files::read_text(&path).unwrap()
}

#[test]
fn every_pin_is_filled_in_and_nothing_else_is_touched() {
    let bench = Bench::new();
    let before = manifest(&bench);
    assert_eq!(bench.run(&["pin", "--check", "m.toml"]).code, Some(5));
    assert_eq!(files::read_text(&bench.path("m.toml")).unwrap(), before, "a check changes nothing");
    let ended = bench.run(&["pin", "m.toml"]);
    assert!(ended.code == Some(0) && ended.stdout.contains("m.toml: 4 of 5 pins changed"), "{ended:?}");
    let after = files::read_text(&bench.path("m.toml")).unwrap();
    let without: String = after
        .lines()
        .filter(|line| !line.starts_with("sha256") || line.contains(DIGITS_MODEL))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(without, before);
    assert!(bench.run(&["pin", "--check", "m.toml"]).stdout.contains("m.toml: 5 pins hold"));
    let again = bench.run(&["pin", "m.toml"]);
    assert!(again.stdout.contains("0 of 5 pins changed"), "{again:?}");
    assert_eq!(files::read_text(&bench.path("m.toml")).unwrap(), after);

    bench.put("data/test/c0/0.png", &lab::picture(200));
    let stale = bench.run(&["pin", "--check", "m.toml"]);
    assert_eq!(stale.code, Some(5));
    assert!(
        stale.stderr.contains("`dataset.sha256` is pinned") && stale.stderr.contains("`evaluation.sha256` is pinned"),
        "{stale:?}"
    );
    assert!(!stale.stderr.contains("`calibration.sha256` is pinned"), "{stale:?}");
}

/// The commands of `docs/data.md`, on another implementation of everything but requant's own.
#[test]
fn a_random_subset_is_what_sha256sum_and_sort_make_of_it() {
    let bench = Bench::new();
    manifest(&bench);
    bench.run(&["pin", "m.toml"]);
    let pins = files::read_text(&bench.path("m.toml")).unwrap();
    let script = r#"
        cd data
        find -L train -type f | LC_ALL=C sort | xargs -d '\n' sha256sum | while read -r digest id; do
            printf '%s %s  %s\n' "$(printf '42:%s' "$digest" | sha256sum | cut -d' ' -f1)" "$digest" "$id"
        done | LC_ALL=C sort | head -n 7 | cut -d' ' -f2- > ../chosen.txt
        { echo 'batch_size 3'; cat ../chosen.txt; } | sha256sum | cut -d' ' -f1
        find -L test -type f | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum | cut -d' ' -f1
    "#;
    let output = Command::new("sh").args(["-c", script]).current_dir(bench.path("")).output().unwrap();
    let by_hand = String::from_utf8(output.stdout).unwrap();
    let digests: Vec<&str> = by_hand.lines().collect();
    assert_eq!(digests.len(), 2, "{by_hand}");
    assert!(digests.iter().all(|digest| pins.contains(&format!("sha256 = \"{digest}\""))), "{by_hand}\n{pins}");
}

#[test]
fn the_bytes_of_a_row_are_what_cut_makes_of_it() {
    let bench = Bench::new();
    let row = |n: u8| format!("{},{n},{},3,4\r\n", n % 10, n + 1);
    let text: String = std::iter::once("label,a,b,c,d\r\n".to_owned()).chain((0..20).map(row)).collect();
    bench.put("data.csv", text.as_bytes());
    let settings = "format = \"csv\"\nsplits = { all = \"0..20\" }\n[preprocess]\nmean = [0.5]\nstd = [0.5]\ninterpolation = \"nearest\"\nantialias = false";
    let labels = requant::dataset::Labels::Found;
    let source =
        requant::dataset::open(&toml::from_str(settings).unwrap(), Some(&bench.path("data.csv")), &labels).unwrap();
    let script = "sed -n 19p data.csv | cut -d, -f2- | tr -d '\\r\\n'";
    let output = Command::new("sh").args(["-c", script]).current_dir(bench.path("")).output().unwrap();
    assert_eq!(source.bytes(&source.split("all").unwrap()[17]).unwrap(), output.stdout);
}

#[test]
fn the_batch_size_is_part_of_the_calibrations_pin_and_not_of_the_evaluations() {
    let bench = Bench::new();
    manifest(&bench);
    bench.run(&["pin", "m.toml"]);
    let check = |setting: &str| bench.run(&["check", "m.toml", "--set", setting]).stderr;
    assert!(check("calibration.batch_size=4").contains("`calibration.sha256` is pinned"));
    assert!(!check("evaluation.batch_size=4").contains("is pinned to"));
    assert!(check("calibration.seed=43").contains("`calibration.sha256` is pinned"));
}

#[test]
fn what_is_wrong_besides_the_pins_stops_pinning() {
    let bench = Bench::new();
    let before = manifest(&bench).replace("resize = [32, 32]", "resize = [16, 32]");
    bench.put("m.toml", before.as_bytes());
    let ended = bench.run(&["pin", "m.toml"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("becomes 3 × 16 × 32"), "{ended:?}");
    assert_eq!(files::read_text(&bench.path("m.toml")).unwrap(), before);
}

#[test]
fn a_hand_written_manifest_without_any_pin_can_be_pinned() {
    let bench = Bench::new();
    let text = manifest(&bench);
    let bare: String = text.lines().filter(|line| !line.starts_with("sha256")).flat_map(|line| [line, "\n"]).collect();
    bench.put("m.toml", bare.as_bytes());
    assert_eq!(bench.run(&["check", "m.toml"]).code, Some(2), "an unpinned model is no reproducible one");
    assert_eq!(bench.run(&["pin", "m.toml"]).code, Some(0));
    assert!(files::read_text(&bench.path("m.toml")).unwrap().contains(&format!("sha256 = \"{DIGITS_MODEL}\"")));
}

#[test]
fn an_artefact_can_be_pinned_from_a_run_and_then_must_come_out_again() {
    if !lab::has_libtorch() {
        return;
    }
    let bench = Bench::new();
    manifest(&bench);
    bench.run(&["pin", "m.toml"]);
    let first = bench.run(&["run", "m.toml"]);
    assert_eq!(first.code, Some(1), "seven samples are no calibration: {first:?}");
    let run = bench.only_run("pictures");
    let pinned = bench.run(&["pin", "m.toml", "--from", &run.display().to_string()]);
    assert!(pinned.code == Some(0) && pinned.stdout.contains("2 of 7 pins changed"), "{pinned:?}");
    let artefact = requant::base::digest::Digest::of(&files::read(&run.join("artefacts/int8_cpu.pt")).unwrap());
    let text = files::read_text(&bench.path("m.toml")).unwrap();
    assert!(text.contains(&format!("precision = \"int8\"\nsha256 = \"{artefact}\"")), "{text}");
    assert_eq!(bench.run(&["run", "m.toml"]).code, Some(1), "the same artefact comes out again");
    let other = bench.run(&["run", "m.toml", "--set", "quantize.recipe=minmax"]);
    assert_eq!(other.code, Some(5), "{other:?}");
    assert!(other.stderr.contains("`variant.1.sha256` is pinned") && other.stderr.contains("m.toml:"), "{other:?}");

    bench.put(&run.join("artefacts/fp32_cpu.pt").display().to_string(), b"something else");
    let tampered = bench.run(&["pin", "m.toml", "--from", &run.display().to_string()]);
    assert!(tampered.code == Some(5) && tampered.stderr.contains("is not what the run recorded"), "{tampered:?}");

    let elsewhere = bench.run(&[
        "run",
        "m.toml",
        "--results",
        "other",
        "--set",
        "compute.isa=avx2",
        "--set",
        "variant=[{name=\"fp32_cpu\", backend=\"torch\", precision=\"fp32\"}]",
    ]);
    assert_eq!(elsewhere.code, Some(1), "{elsewhere:?}");
    let other = bench.path("other/pictures");
    let other = other.join(&files::list(&other).unwrap()[0]);
    let refused = bench.run(&["pin", "m.toml", "--from", &other.display().to_string()]);
    assert!(refused.code == Some(5) && refused.stderr.contains("had other settings in `[compute]`"), "{refused:?}");

    bench.put("m.toml", text.replace("seed = 42", "seed = 43").as_bytes());
    let foreign = bench.run(&["pin", "m.toml", "--from", &run.display().to_string()]);
    assert!(foreign.code == Some(5) && foreign.stderr.contains("had another `calibration.sha256`"), "{foreign:?}");
}
