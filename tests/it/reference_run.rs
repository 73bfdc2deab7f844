use std::path::PathBuf;

use requant::base::digest::Digest;
use requant::base::files;
use requant::diagnose::goals;
use requant::record::format::GoalOutcome;
use requant::record::store;
use requant::report;

/// The committed run of the demo.
fn folder() -> PathBuf {
    lab::root().join("results/digits/reference")
}

#[test]
fn every_committed_file_has_its_digest() {
    let sums = files::read_text(&folder().join("SHA256SUMS")).unwrap();
    let mut checked = 0;
    for line in sums.lines().filter(|line| !line.contains("  artefacts/")) {
        let (digest, name) = line.split_once("  ").unwrap();
        assert_eq!(Digest::of(&files::read(&folder().join(name)).unwrap()).to_string(), digest, "{name}");
        checked += 1;
    }
    assert!(checked >= 9);
}

#[test]
fn the_report_is_a_function_of_the_record() {
    let record = store::read(&folder()).unwrap();
    let rendered = report::render(&record, report::BUILT_IN).unwrap();
    assert!(
        rendered == files::read_text(&folder().join("report.md")).unwrap(),
        "render the reference run's report anew"
    );
}

/// A failing run's report has more of them, and is held to it where one is made.
#[test]
fn tables_of_the_report_are_even() {
    lab::has_even_tables(&files::read_text(&folder().join("report.md")).unwrap());
}

/// Of each format: its figures, read by this requant.
#[test]
fn records_of_every_format_are_read_and_rendered() {
    for (format, memory) in
        [("1.0", Some(1)), ("1.1", Some(1)), ("2.0", Some(10)), ("2.1", Some(10)), ("2.2", Some(10)), ("2.3", Some(10))]
    {
        let path = lab::root().join(format!("tests/fixtures/records/{format}.json"));
        let record = store::read(&path).unwrap();
        assert_eq!(record.format, format);
        // What `verify` derives of a record of any format.
        let verdicts = |goals: &[GoalOutcome]| goals.iter().map(|goal| goal.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&goals::judge(&record)), verdicts(&record.goals), "{format}");
        assert_eq!(goals::verdict(&record), record.verdict, "{format}");
        let measured = record.variants[1].measured().unwrap();
        let int8 = measured.classified().unwrap();
        assert_eq!((int8.correct, int8.accuracy.n), (788, 797), "{format}");
        assert_eq!(measured.memory.inference.map(|estimate| estimate.n), memory, "{format}");
        let report = report::render(&record, report::BUILT_IN).unwrap();
        assert!(report.starts_with("# digits: PASS") && report.contains("788 of 797"), "{format}: {report}");
    }
}

#[test]
fn a_record_of_a_later_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (format, told) in [("3.0", "has format 3.0"), ("zero", "has format zero"), ("0.9", "has format 0.9")] {
        let path = folder.path().join("record.json");
        files::write(&path, format!("{{\"format\": \"{format}\"}}").as_bytes()).unwrap();
        let error = store::read(&path).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn the_report_holds_every_section_in_order_and_no_nan() {
    let text = files::read_text(&folder().join("report.md")).unwrap();
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let wanted = [
        "System & Backends",
        "PTQ implementation details",
        "Executive summary",
        "Statistical results",
        "Matrices",
        "Layer analysis",
        "Quantization quality metrics",
        "Troubleshooting notes",
        "Diagnosis",
        "Conclusions",
        "Reproduce this run",
        "Provenance",
    ];
    assert_eq!(sections, wanted);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    assert!(
        !words.into_iter().any(|word| ["nan", "inf", "null", "none"].contains(&word.to_ascii_lowercase().as_str()))
    );
}

#[test]
fn a_template_cannot_reach_the_environment() {
    let record = store::read(&folder()).unwrap();
    let refused = report::render(&record, "{{ get_env(name=\"HOME\") }}").unwrap_err().to_string();
    assert!(refused.contains("no access to the environment"), "{refused}");
    assert!(report::render(&record, "{{ now() }}").is_err());
    assert_eq!(report::render(&record, "{{ record.settings.name }}").unwrap(), "digits");
}
