//! The files of a run against its record: whatever can be derived is derived again.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Verified, first_difference};
use crate::base::digest::Digest;
use crate::base::files;
use crate::diagnose::{self, goals};
use crate::manifest;
use crate::measure::summary::{self, Latency, Timing};
use crate::record::answers::{self, Answers};
use crate::record::format::{Comparison, FORMAT, SubsetFacts, VariantResult};
use crate::record::{Record, tables};
use crate::report;
use crate::stats::paired::PairedCounts;
use crate::stats::proportion;

pub(super) fn check(folder: &Path, record: &Record, found: &mut Verified) {
    let run = Run { folder, record };
    let own_words = record.format == FORMAT && record.requant == env!("CARGO_PKG_VERSION");
    if own_words {
        found.group("the record has the form that this requant gives it", |found| run.form(found));
        found.group("the verdict, the goals and the findings follow from the record", |found| run.judgement(found));
        run.report(found);
    } else {
        let by = format!("format {} of requant {}", record.format, record.requant);
        found.skipped.push(format!("the record's form, the findings and the report's wording: they are of {by}"));
    }
    found.group("the settings are those of the record", |found| run.settings(found));
    found.group("the subsets are those of the record", |found| run.subsets(found));
    found.group("accuracy and comparisons follow from predictions.csv", |found| run.predictions(found));
    if record.format == FORMAT {
        found.group("latency and speedups follow from latency.csv", |found| run.timings(found));
        found.group("metrics.csv and layers.csv follow from the record", |found| {
            run.same("metrics.csv", &tables::metrics(record), found);
            run.same("layers.csv", &tables::layers(record), found);
        });
    } else {
        found.skipped.push(format!("the tables: their columns are those of format {}", record.format));
    }
    found.group("the artefacts are those of the record", |found| run.artefacts(found));
}

struct Run<'a> {
    folder: &'a Path,
    record: &'a Record,
}

impl Run<'_> {
    /// The text of a file; one that cannot be read is a problem that the digests name.
    fn text(&self, name: &str) -> Option<String> {
        files::read_text(&self.folder.join(name)).ok()
    }

    fn same(&self, name: &str, should: &[u8], found: &mut Verified) {
        let should = String::from_utf8_lossy(should);
        if let Some(different) = self.text(name).and_then(|is| first_difference(&is, &should)) {
            found.problem(name, different);
        }
    }

    fn form(&self, found: &mut Verified) {
        match self.record.written() {
            Ok(should) => self.same("record.json", &should, found),
            Err(error) => found.problem("record.json", error.to_string()),
        }
    }

    fn judgement(&self, found: &mut Verified) {
        let record = self.record;
        let mut again = record.clone();
        again.goals = goals::judge(record);
        again.findings = diagnose::findings(record);
        again.verdict = goals::verdict(&again);
        for (should, is) in again.goals.iter().zip(&record.goals).filter(|(should, is)| should != is) {
            let what = format!("goal `{}` of `{}` should be: {}", is.goal, is.variant, should.because);
            found.problem("record.json", what);
        }
        for (should, is) in again.findings.iter().zip(&record.findings).filter(|(should, is)| should != is) {
            found.problem("record.json", format!("finding `{}` should be {}", is.code, should.verdict.word()));
        }
        if again.goals.len() != record.goals.len() || again.findings.len() != record.findings.len() {
            found.problem("record.json", "a goal or a finding was added or taken away");
        }
        if again.verdict != record.verdict {
            let (is, should) = (record.verdict.word(), again.verdict.word());
            found.problem("record.json", format!("the verdict is {is}, and should be {should}"));
        }
    }

    fn report(&self, found: &mut Verified) {
        let built_in = self.record.inputs.template == Some(Digest::of(report::BUILT_IN.as_bytes()));
        if !built_in {
            return found.skipped.push("report.md: it was made with another template".to_owned());
        }
        found.group("the report follows from the record, byte for byte", |found| {
            match report::render(self.record, report::BUILT_IN) {
                Ok(should) => self.same("report.md", should.as_bytes(), found),
                Err(error) => found.problem("report.md", error.to_string()),
            }
        });
    }

    fn settings(&self, found: &mut Verified) {
        let Some(text) = self.text("manifest.toml") else { return };
        if Digest::of(text.as_bytes()) != self.record.run.manifest {
            found.problem("manifest.toml", "it is not the manifest that the record has the digest of");
        }
        // A later requant may have settings that an old run does not name.
        if self.record.format != FORMAT {
            return;
        }
        let Some(text) = self.text("resolved.toml") else { return };
        match manifest::restore(&self.folder.join("resolved.toml"), text.into_bytes()) {
            Ok(resolved) => {
                if resolved.digest() != self.record.run.resolved {
                    found.problem("resolved.toml", "its values are not those that the record has the digest of");
                }
                if resolved.manifest != self.record.settings {
                    found.problem("record.json", "`settings` are not the values of resolved.toml");
                }
            }
            Err(failure) => found.problem("resolved.toml", failure.to_string()),
        }
    }

    fn subsets(&self, found: &mut Verified) {
        let Record { inputs, settings, .. } = self.record;
        let head = format!("batch_size {}\n", settings.calibration.batch_size);
        // Before 1.1 a calibration subset's digest did not cover its batch size.
        let head = if self.record.format == "1.0" { "" } else { head.as_str() };
        self.subset("calibration", head, &inputs.calibration, found);
        self.subset("evaluation", "", &inputs.evaluation, found);
    }

    fn subset(&self, name: &str, head: &str, facts: &SubsetFacts, found: &mut Verified) {
        let (listing, sums) = (format!("subsets/{name}.txt"), format!("subsets/{name}.sha256"));
        let Some(ids) = self.text(&listing) else { return };
        if ids.lines().count() != facts.samples {
            found.problem(&listing, format!("it has {} samples, the record {}", ids.lines().count(), facts.samples));
        }
        let Some(sums_text) = self.text(&sums) else { return };
        if Digest::of_parts([head.as_bytes(), sums_text.as_bytes()]) != facts.sha256 {
            found.problem(&sums, format!("it does not give the digest that the record has of the {name} subset"));
        }
        let named: String =
            sums_text.lines().filter_map(|line| line.split_once("  ")).flat_map(|(_, id)| [id, "\n"]).collect();
        if let Some(different) = first_difference(&ids, &named) {
            found.problem(&listing, different);
        }
    }

    fn predictions(&self, found: &mut Verified) {
        const FILE: &str = "predictions.csv";
        let answers = match answers::read(self.folder) {
            Ok(answers) => answers,
            Err(error) => return found.problem(FILE, error.to_string()),
        };
        if let Some(ids) = self.text("subsets/evaluation.txt") {
            let answered: String = answers.samples.iter().flat_map(|sample| [sample.id.as_str(), "\n"]).collect();
            if let Some(different) = first_difference(&answered, &ids) {
                found.problem(FILE, format!("its samples are not those of the evaluation subset: {different}"));
            }
        }
        let classes = &self.record.inputs.dataset.classes;
        let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
        answers.samples.iter().for_each(|sample| *labels.entry(&sample.label).or_default() += 1);
        let per_class: Vec<usize> = classes.iter().map(|c| labels.get(c.as_str()).copied().unwrap_or(0)).collect();
        if !answers.samples.is_empty() && per_class != self.record.inputs.evaluation.per_class {
            found.problem(FILE, "its labels are not as many of each class as the record has");
        }
        let baseline = self.record.baseline().map(|variant| variant.name.as_str());
        for variant in &self.record.variants {
            accuracy(variant, &answers, baseline, found);
        }
    }

    fn timings(&self, found: &mut Verified) {
        const FILE: &str = "latency.csv";
        let timings = match read_timings(&self.folder.join(FILE)) {
            Ok(timings) => timings,
            Err(reason) => return found.problem(FILE, reason),
        };
        let of = |name: &str| timings.get(name).map_or(&[][..], Vec::as_slice);
        let baseline = self.record.baseline();
        for variant in &self.record.variants {
            let Some(measured) = variant.measured() else { continue };
            let theirs = baseline.filter(|_| !variant.baseline).map(|baseline| of(&baseline.name));
            let latency = |&batch: &usize| summary::latency(of(&variant.name), theirs, batch, &variant.name);
            let should: Vec<Latency> = self.record.settings.benchmark.batch_sizes.iter().filter_map(latency).collect();
            if should != measured.latency {
                found.problem(FILE, format!("the latency of `{}` in the record does not follow from it", variant.name));
            }
        }
    }

    fn artefacts(&self, found: &mut Verified) {
        let sums = self.text("SHA256SUMS").unwrap_or_default();
        for measured in self.record.variants.iter().filter_map(VariantResult::measured) {
            let facts = &measured.artefact;
            if !sums.lines().any(|line| line == format!("{}  {}", facts.sha256, facts.path)) {
                found.problem("SHA256SUMS", format!("it has not the record's digest of `{}`", facts.path));
            }
            let Ok(bytes) = files::read(&self.folder.join(&facts.path)) else { continue };
            if bytes.len() as u64 != facts.bytes || Digest::of(&bytes) != facts.sha256 {
                found.problem(&facts.path, "it is not the artefact that the record has the digest of");
            }
        }
    }
}

/// One variant's figures against its answers.
fn accuracy(variant: &VariantResult, answers: &Answers, baseline: Option<&str>, found: &mut Verified) {
    let Some(measured) = variant.measured() else { return };
    let name = &variant.name;
    let Some(right) = answers.right(name) else {
        return found.problem("predictions.csv", format!("`{name}` answers nothing there"));
    };
    let correct = right.iter().filter(|right| **right).count();
    if correct != measured.correct || proportion::wilson(correct, right.len()) != Some(measured.accuracy) {
        let (of, says, says_of) = (right.len(), measured.correct, measured.accuracy.n);
        let what = format!("`{name}` has {correct} of {of} right there, and the record says {says} of {says_of}");
        found.problem("predictions.csv", format!("{what}, or another interval"));
    }
    let against = baseline.filter(|baseline| baseline != name).and_then(|base| compared(answers, base, name));
    if against != measured.against_baseline {
        let what = format!("`{name}` compares with the baseline otherwise than the record says");
        found.problem("predictions.csv", what);
    }
}

fn compared(answers: &Answers, baseline: &str, name: &str) -> Option<Comparison> {
    let mut counts = PairedCounts::default();
    let pairs = answers.right(baseline)?.into_iter().zip(answers.right(name)?);
    pairs.for_each(|(first, second)| counts.add(first, second));
    let pairs = answers.of(baseline)?.iter().zip(answers.of(name)?);
    let agreeing = pairs.filter(|(a, b)| a.class == b.class).count();
    Some(Comparison { difference: counts.difference()?, p_value: counts.mcnemar(), agreeing, counts })
}

type Row = (String, usize, usize, usize, u64, usize);

/// `latency.csv` by variant.
fn read_timings(path: &Path) -> Result<BTreeMap<String, Vec<Timing>>, String> {
    let bytes = files::read(path).map_err(|error| error.to_string())?;
    let mut timings: BTreeMap<String, Vec<Timing>> = BTreeMap::new();
    for row in csv::Reader::from_reader(bytes.as_slice()).deserialize::<Row>() {
        let (variant, round, batch, iteration, nanoseconds, process) = row.map_err(|error| error.to_string())?;
        timings.entry(variant).or_default().push(Timing { round, process, batch, iteration, nanoseconds });
    }
    Ok(timings)
}
