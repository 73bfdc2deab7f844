//! The committed run of the demo, tampered with in a copy.

use lab::Bench;
use requant::base::digest::Digest;
use requant::base::files;

const RUN: &str = "results/digits/reference";

/// A copy of the committed run beside its model, as in a checkout.
fn copy() -> Bench {
    let bench = Bench::new();
    let source = lab::root().join(RUN);
    for name in files::walk(&source).unwrap().iter().filter(|name| !name.starts_with("artefacts/")) {
        bench.put(&format!("{RUN}/{name}"), &files::read(&source.join(name)).unwrap());
    }
    let model = "experiments/models/digits-mobilenet_v3_small.onnx";
    bench.put(model, &files::read(&lab::root().join(model)).unwrap());
    bench
}

/// Gives every file of the copy its present digest.
fn seal(bench: &Bench) {
    let sums = format!("{RUN}/SHA256SUMS");
    let sealed = files::read_text(&bench.path(&sums)).unwrap();
    let line = |line: &str| {
        let (digest, name) = line.split_once("  ").unwrap();
        let now = files::read(&bench.path(&format!("{RUN}/{name}"))).map(|bytes| Digest::of(&bytes).to_string());
        format!("{}  {name}", now.unwrap_or_else(|_| digest.to_owned()))
    };
    let resealed = sealed.lines().map(line).collect::<Vec<_>>().join("\n") + "\n";
    bench.put(&sums, resealed.as_bytes());
}

#[test]
fn the_committed_run_is_intact() {
    let bench = copy();
    for name in [RUN, "digits", "digits/ref"] {
        let ended = bench.run(&["verify", name]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.ends_with("intact\n") && ended.stdout.contains("byte for byte"), "{ended:?}");
        assert!(ended.stdout.contains("on the disk are those of the run"), "{ended:?}");
    }
}

/// One byte of each file, at its middle and near its end, without its digest.
#[test]
fn a_changed_byte_in_any_file_is_found_and_named() {
    let bench = copy();
    let names = files::walk(&bench.path(RUN)).unwrap();
    let mut cases = 0;
    for name in &names {
        let path = format!("{RUN}/{name}");
        let whole = files::read(&bench.path(&path)).unwrap();
        for at in [whole.len() / 2, whole.len() - 2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bench.put(&path, &bytes);
            let ended = bench.run(&["verify", RUN]);
            assert_eq!(ended.code, Some(5), "{name} at {at}: {ended:?}");
            assert!(ended.stderr.contains(name.as_str()), "{name} at {at}: {ended:?}");
            cases += 1;
        }
        bench.put(&path, &whole);
    }
    assert!(cases >= 25, "{cases}");
}

#[test]
fn a_file_that_came_or_went_is_found_and_named() {
    let bench = copy();
    bench.put(&format!("{RUN}/notes.txt"), b"mine");
    let ended = bench.run(&["verify", RUN]);
    assert!(ended.code == Some(5) && ended.stderr.contains("notes.txt: it is not in SHA256SUMS"), "{ended:?}");
    files::remove(&bench.path(&format!("{RUN}/notes.txt"))).unwrap();
    for name in ["metrics.csv", "subsets/evaluation.txt", "SHA256SUMS"] {
        let path = format!("{RUN}/{name}");
        let whole = files::read(&bench.path(&path)).unwrap();
        files::remove(&bench.path(&path)).unwrap();
        let ended = bench.run(&["verify", RUN]);
        assert!(ended.code == Some(5) && ended.stderr.contains(name), "{name}: {ended:?}");
        bench.put(&path, &whole);
    }
    for line in ["not a digest", "0000  ../../etc/passwd"] {
        let sums = files::read_text(&bench.path(&format!("{RUN}/SHA256SUMS"))).unwrap();
        let line = line.replace("0000", &Digest::of(b"").to_string());
        bench.put(&format!("{RUN}/SHA256SUMS"), format!("{sums}{line}\n").as_bytes());
        let ended = bench.run(&["verify", RUN]);
        assert!(ended.code == Some(5) && ended.stderr.contains("SHA256SUMS: line"), "{ended:?}");
        bench.put(&format!("{RUN}/SHA256SUMS"), sums.as_bytes());
    }
}

/// A value changed by someone who also corrects `SHA256SUMS`: file, what is replaced, and what must
/// be said.
const FORGERIES: [(&str, &str, &str, &str); 37] = [
    ("metrics.csv", "797,789,", "797,790,", "metrics.csv: line 2"),
    ("metrics.csv", ",171", ",172", "metrics.csv: line 3"),
    ("layers.csv", ",histogram,", ",min-max,", "layers.csv: line"),
    ("layers.csv", ",true,", ",false,", "layers.csv: line"),
    ("report.md", "PASS", "FAIL", "report.md: line 1"),
    ("report.md", "789 of 797", "790 of 797", "report.md: line"),
    ("record.json", "\"correct\": 788", "\"correct\": 789", "predictions.csv: `int8_fbgemm_cpu` has 788 of 797"),
    (
        "record.json",
        "\"verdict\": \"pass\"",
        "\"verdict\": \"fail\"",
        "record.json: the verdict is FAIL, and should be PASS",
    ),
    ("record.json", "\"only_first\": 2", "\"only_first\": 3", "predictions.csv: `int8_fbgemm_cpu` compares"),
    ("record.json", "\"dead_observers\": []", "\"dead_observers\": [\"x\"]", "record.json: "),
    ("record.json", "\"cpu\": \"", "\"cpu\": \"Other", "report.md: line"),
    ("record.json", "\"format\": \"2.4\"", "\"format\":  \"2.4\"", "record.json: line 2"),
    ("record.json", "\"format\": \"2.4\"", "\"format\": \"2.1\"", "record.json: format 2.1 has no `files`"),
    (
        "record.json",
        "\"format\": \"2.4\"",
        "\"format\": \"2.7\"",
        "record.json: report.md was made from another record",
    ),
    ("record.json", "\"format\": \"2.4\"", "\"format\": \"2.4 \"", "record.json: `results"),
    ("record.json", "\"format\": \"2.4\"", "\"format\": \"2.02\"", "record.json: `results"),
    ("record.json", "\"requant\": \"0.1.0\"", "\"requant\": \"0.1.1\"", "record.json: report.md was made from another"),
    ("record.json", "\"template\": \"", "\"template\": \"0\"", "record.json"),
    ("resolved.toml", "# default", "# environment", "resolved.toml: it is not the file that the record has"),
    ("predictions.csv", ",fp32_cpu,0,1", ",fp32_cpu,0,9", "predictions.csv: it is not the file that the record has"),
    ("predictions.csv", "margin", "probability", "predictions.csv"),
    ("predictions.csv", "\n", "\r\n", "predictions.csv: it is not the file that the record has"),
    ("latency.csv", "nanoseconds", "milliseconds", "latency.csv: it is not the file that the record has"),
    ("record.json", "\"noise_floor\": 0.03", "\"noise_floor\": 0.01", "record.json: `settings` are not"),
    ("record.json", "\"samples\": 512", "\"samples\": 511", "subsets/calibration.txt: it has 512 samples"),
    ("record.json", "\"bytes\": 171", "\"bytes\": 172", "metrics.csv: line 3"),
    ("record.json", "\"caches\": [", "\"caches\": [\"L9 1T\",", "record.json"),
    ("record.json", "\"values\": ", "\"values\": 1", "report.md: line"),
    ("record.json", "\"finished\": \"2026", "\"finished\": \"2025", "report.md: line"),
    ("manifest.toml", "samples = 512", "samples = 500", "manifest.toml: it is not the manifest"),
    ("resolved.toml", "rounds = 20", "rounds = 21", "resolved.toml: its values are not those"),
    ("predictions.csv", ",0,fp32_cpu,0,", ",0,fp32_cpu,1,", "predictions.csv: `fp32_cpu` has 788 of 797"),
    ("predictions.csv", ",int8_fbgemm_cpu,", ",int9_fbgemm_cpu,", "predictions.csv"),
    ("predictions.csv", "\n1000,", "\n2000,", "predictions.csv"),
    ("subsets/evaluation.txt", "1000", "2000", "subsets/evaluation.txt: line 1"),
    ("subsets/calibration.sha256", "a", "b", "subsets/calibration.sha256: it does not give the digest"),
    ("subsets/evaluation.sha256", "a", "b", "subsets/evaluation.sha256: it does not give the digest"),
];

#[test]
fn a_changed_value_is_found_though_its_digest_was_corrected() {
    let bench = copy();
    for (name, from, to, told) in FORGERIES {
        let path = format!("{RUN}/{name}");
        let whole = files::read_text(&bench.path(&path)).unwrap();
        assert!(whole.contains(from), "{name} has no {from}");
        bench.put(&path, whole.replacen(from, to, 1).as_bytes());
        seal(&bench);
        let ended = bench.run(&["verify", RUN]);
        assert_eq!(ended.code, Some(5), "{name} {to}: {ended:?}");
        assert!(ended.stderr.contains(told), "{name} {to}: {}", ended.stderr);
        assert!(!ended.stderr.contains("and SHA256SUMS has"), "{name} {to}: {}", ended.stderr);
        bench.put(&path, whole.as_bytes());
    }
}

/// Of a pass that counts: one that was disturbed is in no statistic.
#[test]
fn a_changed_time_is_found_though_its_digest_was_corrected() {
    let bench = copy();
    let path = format!("{RUN}/latency.csv");
    let whole = files::read_text(&bench.path(&path)).unwrap();
    let counts = |line: &&str| line.starts_with("fp32_cpu,") && line.ends_with(",0");
    let line = whole.lines().find(counts).unwrap();
    let cells: Vec<&str> = line.split(',').collect();
    let slower = format!("9{}", cells[4]);
    let forged = [&cells[..4], &[slower.as_str()], &cells[5..]].concat().join(",");
    bench.put(&path, whole.replacen(line, &forged, 1).as_bytes());
    seal(&bench);
    let ended = bench.run(&["verify", RUN]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("latency.csv: the latency of `fp32_cpu`"), "{}", ended.stderr);
}

/// Taken away together with its line, no text, a link, a line too many: sealed all the same.
#[test]
fn what_sealing_again_does_not_hide() {
    let bench = copy();
    let sums = format!("{RUN}/SHA256SUMS");
    let sealed = files::read_text(&bench.path(&sums)).unwrap();
    let told = |what: &str, told: &str| {
        let ended = bench.run(&["verify", RUN]);
        assert_eq!(ended.code, Some(5), "{what}: {ended:?}");
        assert!(ended.stderr.contains(told), "{what}: {}", ended.stderr);
    };
    for name in ["report.md", "metrics.csv", "manifest.toml", "subsets/evaluation.txt", "subsets/calibration.sha256"] {
        let path = bench.path(&format!("{RUN}/{name}"));
        let whole = files::read(&path).unwrap();
        files::remove(&path).unwrap();
        let without: String = sealed.split_inclusive('\n').filter(|line| !line.trim_end().ends_with(name)).collect();
        bench.put(&sums, without.as_bytes());
        told(name, &format!("{name}: it is missing"));
        bench.put(&sums, sealed.as_bytes());
        files::write(&path, &[b"\xff", whole.as_slice()].concat()).unwrap();
        seal(&bench);
        told(name, &format!("{name}: it is not"));
        files::remove(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        told(name, &format!("{name}: it is a link"));
        files::remove(&path).unwrap();
        files::write(&path, &whole).unwrap();
        bench.put(&sums, sealed.as_bytes());
    }
    bench.put(&sums, sealed.replace('\n', "\r\n").as_bytes());
    told("line ends", "SHA256SUMS");
    let more = format!("{}  artefacts/never.pt\n{sealed}", Digest::of(b""));
    bench.put(&sums, more.as_bytes());
    told("an artefact", "artefacts/never.pt");
    bench.put(&sums, sealed.as_bytes());
    // A record made to look older than the digests of files, its own mention of them taken out.
    let path = format!("{RUN}/record.json");
    let whole = files::read_text(&bench.path(&path)).unwrap();
    let (head, _) = whole.split_once(",\n  \"files\": {").unwrap();
    let older = head.replace("\"format\": \"2.4\"", "\"format\": \"2.1\"").replace("Intel", "AMD") + "\n}\n";
    bench.put(&path, older.as_bytes());
    seal(&bench);
    told("an older format", "record.json: report.md was made from another record");
    bench.put(&sums, sealed.as_bytes());
    files::remove(&bench.path(&format!("{RUN}/record.json"))).unwrap();
    told("the record", "record.json: it is missing");
}

/// A judgement that was changed by someone who seals everything again, and names another version or format.
#[test]
fn another_version_in_a_record_switches_no_check_off() {
    let bench = copy();
    let (record, report) = (format!("{RUN}/record.json"), format!("{RUN}/report.md"));
    let [own, page] = [&record, &report].map(|path| files::read_text(&bench.path(path)).unwrap());
    let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
    let harmless = "no evaluation sample has the content of a calibration sample";
    assert!(own.contains(harmless));
    let (version, format) =
        (("\"requant\": \"0.1.0\"", "\"requant\": \"0.0.9\""), ("\"format\": \"2.4\"", "\"format\": \"2.2\""));
    let later = ("\"format\": \"2.4\"", "\"format\": \"2.9\"");
    let last = ("\"format\": \"2.4\"", "\"format\": \"2.3\"");
    for (changes, told) in [
        (vec![version, (harmless, "no sample at all")], "record.json: finding `calibration` should be PASS"),
        (vec![version, ("\"verdict\": \"pass\"", "\"verdict\": \"fail\"")], "record.json: the verdict is FAIL"),
        (vec![format, (harmless, "no sample at all")], "latency.csv: its columns are as they are since format 2.3"),
        (vec![format, (harmless, "no sample at all")], "record.json: a latency has `disturbed_turns` since format 2.3"),
        (
            vec![format, ("\"verdict\": \"pass\"", "\"verdict\": \"fail\"")],
            "record.json: the verdict is FAIL, and should be PASS",
        ),
        (vec![later], "record.json: format 2.9 is later than 2.4"),
        (vec![last], "record.json: finding `runtime` should be PASS"),
        (vec![last, (harmless, "no sample at all")], "record.json: finding `calibration` should be PASS"),
    ] {
        let changed = changes.iter().fold(own.clone(), |text, (from, to)| text.replacen(from, to, 1));
        bench.put(&record, changed.as_bytes());
        bench.put(&report, page.replace(&digest(&own), &digest(&changed)).as_bytes());
        seal(&bench);
        let ended = bench.run(&["verify", RUN]);
        assert!(ended.code == Some(5) && ended.stderr.contains(told), "{told}: {}", ended.stderr);
        assert!(!ended.stderr.contains("made from another record"), "{told}: {}", ended.stderr);
    }
}

#[test]
fn an_input_that_changed_since_is_named() {
    let bench = copy();
    let model = "experiments/models/digits-mobilenet_v3_small.onnx";
    let mut bytes = files::read(&bench.path(model)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bench.put(model, &bytes);
    let ended = bench.run(&["verify", RUN]);
    assert!(ended.code == Some(5) && ended.stderr.contains("model.sha256: "), "{ended:?}");
    files::remove(&bench.path(model)).unwrap();
    let ended = bench.run(&["verify", RUN]);
    assert!(ended.code == Some(0) && ended.stdout.contains("is not at hand"), "{ended:?}");
}

/// What `sha256sum -c` says too.
#[test]
fn the_sums_are_in_the_form_of_sha256sum() {
    let checked = std::process::Command::new("sha256sum")
        .args(["-c", "--ignore-missing", "--quiet", "SHA256SUMS"])
        .current_dir(lab::root().join(RUN))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}
