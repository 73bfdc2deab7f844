use std::path::PathBuf;

use requant::base::digest::Digest;
use requant::base::files;
use requant::record::store;
use requant::report;

use crate::lab;

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
