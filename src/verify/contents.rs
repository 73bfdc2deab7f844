//! The files of a run against its record: whatever can be derived is derived again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Verified, first_difference};
use crate::base::digest::Digest;
use crate::base::files;
use crate::base::finding::Finding;
use crate::diagnose::{self, goals};
use crate::manifest::{self, Task};
use crate::measure::summary::{self, Latency, Timing};
use crate::record::answers::{self, Answers};
use crate::record::format::{Comparison, FORMAT, Fidelity, Measured, Outcome, SubsetFacts, VariantResult};
use crate::record::{Record, outputs, tables};
use crate::report;
use crate::task::classification;
use crate::task::fidelity::Closeness;

/// What every run leaves beside its record. (Older runs may lack what their format did not know.)
const REQUIRED: [&str; 8] = [
    "report.md",
    "manifest.toml",
    "resolved.toml",
    "metrics.csv",
    "layers.csv",
    "latency.csv",
    "subsets/calibration.txt",
    "subsets/evaluation.txt",
];

/// And what it leaves by its task.
const fn of_task(task: Task) -> &'static [&'static str] {
    match task {
        Task::Classification => &["predictions.csv"],
        Task::Fidelity => &["outputs.csv", "fidelity.csv"],
    }
}

/// How the built-in report introduces the digest of its record.
const STATED: &str = "`record.json` has SHA-256";

/// Files that the record has no digests of.
const UNDIGESTED: [&str; 3] = ["record.json", "report.md", "SHA256SUMS"];

pub(super) fn check(folder: &Path, record: &Record, found: &mut Verified) {
    let run = Run { folder, record };
    run.presence(found);
    run.seal(found);
    if knows_files(&record.format) {
        found.group("every file is the one that the record has the digest of", |found| run.files(found));
    } else if !record.files.is_empty() {
        found.problem("record.json", format!("format {} has no `files`: the format was changed", record.format));
    }
    // What a format derives from figures, every requant of that format derives alike; so the version that a record names
    // switches nothing off.
    if record.is_derived() {
        found.group("the record has the form that this requant gives it", |found| run.form(found));
        found.group("the verdict, the goals and the findings follow from the record", |found| run.judgement(found));
        run.report(found);
    } else {
        let by = format!("format {}", record.format);
        found.skipped.push(format!("the record's form, the findings and the report's wording: they are of {by}"));
        found.group("the record's format is what its fields are of", |found| run.age(found));
        found.group("the verdicts of the goals and of the run follow from the record", |found| run.verdicts(found));
    }
    found.group("the settings are those of the record", |found| run.settings(found));
    found.group("the subsets are those of the record", |found| run.subsets(found));
    match record.settings.task {
        Task::Classification => {
            found.group("accuracy and comparisons follow from predictions.csv", |found| run.predictions(found));
        }
        Task::Fidelity => {
            found.group("the closeness of every output follows from outputs.csv", |found| run.outputs(found));
            found.group("fidelity.csv follows from the record", |found| {
                run.same("fidelity.csv", &tables::fidelity(record), found);
            });
        }
    }
    if record.is_derived() {
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

/// Since format 2.2 the record has the digests of the files beside it, and the report that of the record.
fn knows_files(format: &str) -> bool {
    version(format) >= (2, 2)
}

/// Major and minor version of a format.
fn version(format: &str) -> (u32, u32) {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut parts = format.split('.');
    (number(parts.next()), number(parts.next()))
}

struct Run<'a> {
    folder: &'a Path,
    record: &'a Record,
}

impl Run<'_> {
    /// The text of a file; a missing one has been named already, one that is no text is a problem here.
    fn text(&self, name: &str, found: &mut Verified) -> Option<String> {
        let bytes = files::read(&self.folder.join(name)).ok()?;
        let text = String::from_utf8(bytes);
        text.map_err(|_| found.problem(name, "it is not text in UTF-8")).ok()
    }

    fn presence(&self, found: &mut Verified) {
        let required = REQUIRED.iter().chain(of_task(self.record.settings.task));
        for name in required.filter(|name| !self.folder.join(name).is_file()) {
            found.problem(name, "it is missing, and every run has it");
        }
    }

    /// The files beside the record, by the digests that the record has.
    fn files(&self, found: &mut Verified) {
        for (name, digest) in &self.record.files {
            if !super::sums::stays_inside(name) {
                found.problem("record.json", format!("`files` names `{name}`, which is not in the run's folder"));
                continue;
            }
            match files::read(&self.folder.join(name)).map(|bytes| Digest::of(&bytes)) {
                Ok(is) if is == *digest => {}
                Ok(_) => found.problem(name, "it is not the file that the record has the digest of"),
                Err(_) if REQUIRED.iter().chain(of_task(self.record.settings.task)).any(|own| own == name) => {}
                Err(_) => found.problem(name, "it is missing, and the record has its digest"),
            }
        }
        let known = |name: &String| {
            self.record.files.contains_key(name)
                || UNDIGESTED.contains(&name.as_str())
                || self.record.artefacts().any(|facts| facts.path == *name)
        };
        for name in files::walk(self.folder).unwrap_or_default().iter().filter(|name| !known(name)) {
            found.problem(name, "the record does not know it");
        }
    }

    /// A report states the digest of the record that it was made from. Before 2.2 only the built-in one did,
    /// and not always: where it does, it must be this one's.
    fn seal(&self, found: &mut Verified) {
        let Some(report) = self.text("report.md", found) else { return };
        if !knows_files(&self.record.format) && !report.contains(STATED) {
            return found.skipped.push("the record's digest: the report does not state it".to_owned());
        }
        found.group("the report states the digest of this record", |found| {
            let record = files::read(&self.folder.join("record.json")).unwrap_or_default();
            if !report.contains(&Digest::of(&record).to_string()) {
                found.problem("record.json", "report.md was made from another record: it states another digest");
            }
        });
    }

    /// A record that names an older format has nothing that came later, and nobody here knows what a later one has.
    fn age(&self, found: &mut Verified) {
        let format = &self.record.format;
        if version(format) > version(FORMAT) {
            let what =
                format!("format {format} is later than {FORMAT}: only a newer requant can say what follows from it");
            return found.problem("record.json", what);
        }
        let changed = |what: &str| format!("{what} since format 2.3: the record's format, {format}, was changed");
        let head = |name: &str| self.text(name, &mut Verified::default())?.lines().next().map(str::to_owned);
        if head("latency.csv").is_some_and(|own| own.split(',').eq(tables::LATENCY)) {
            found.problem("latency.csv", changed("its columns are as they are"));
        }
        if self.text("record.json", &mut Verified::default()).is_some_and(|text| text.contains("\"disturbed_turns\"")) {
            found.problem("record.json", changed("a latency has `disturbed_turns`"));
        }
    }

    /// What every format derives alike: whether a goal is met by the figures, and the run by its goals and findings.
    fn verdicts(&self, found: &mut Verified) {
        let record = self.record;
        for (should, is) in goals::judge(record).iter().zip(&record.goals).filter(|(a, b)| a.verdict != b.verdict) {
            let what = format!("goal `{}` of `{}` should be {}", is.goal, is.variant, should.verdict.word());
            found.problem("record.json", what);
        }
        let should = goals::verdict(record);
        if should != record.verdict {
            let what = format!("the verdict is {}, and should be {}", record.verdict.word(), should.word());
            found.problem("record.json", what);
        }
    }

    fn same(&self, name: &str, should: &[u8], found: &mut Verified) {
        let should = String::from_utf8_lossy(should);
        if let Some(different) = self.text(name, found).and_then(|is| first_difference(&is, &should)) {
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
        if again.goals.len() != record.goals.len() {
            found.problem("record.json", "a goal was added or taken away");
        }
        findings(&again.findings, &record.findings, found);
        if again.verdict != record.verdict {
            let (is, should) = (record.verdict.word(), again.verdict.word());
            found.problem("record.json", format!("the verdict is {is}, and should be {should}"));
        }
    }

    fn report(&self, found: &mut Verified) {
        let built_in = self.record.inputs.template == Some(Digest::of(report::BUILT_IN.as_bytes()));
        if !built_in {
            let whose = match self.record.settings.report.template {
                Some(_) => "a custom template",
                None => "another requant's template",
            };
            return found.skipped.push(format!("report.md word by word: it was made with {whose}"));
        }
        found.group("the report follows from the record, byte for byte", |found| {
            match report::render(self.record, report::BUILT_IN) {
                Ok(should) => self.same("report.md", should.as_bytes(), found),
                Err(error) => found.problem("report.md", error.to_string()),
            }
        });
    }

    fn settings(&self, found: &mut Verified) {
        let Some(text) = self.text("manifest.toml", found) else { return };
        if Digest::of(text.as_bytes()) != self.record.run.manifest {
            found.problem("manifest.toml", "it is not the manifest that the record has the digest of");
        }
        // A later requant may have settings that an old run does not name.
        if !self.record.is_derived() {
            return;
        }
        let Some(text) = self.text("resolved.toml", found) else { return };
        let path = self.folder.join("resolved.toml");
        match manifest::restore(&path, &path, text.into_bytes()) {
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
        let Some(ids) = self.text(&listing, found) else { return };
        if ids.lines().count() != facts.samples {
            found.problem(&listing, format!("it has {} samples, the record {}", ids.lines().count(), facts.samples));
        }
        let Some(sums_text) = self.text(&sums, found) else { return };
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
        if let Some(ids) = self.text("subsets/evaluation.txt", found) {
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
        let baseline = self.record.baseline().filter(|variant| variant.measured().is_some());
        let baseline = baseline.map(|variant| variant.name.as_str());
        for answered in &answers.variants {
            let name = &answered.name;
            // A variant that failed may have answered before: it can fail while it is timed.
            let ran = |variant: &VariantResult| !matches!(variant.outcome, Outcome::Missing { .. });
            if !self.record.variants.iter().any(|variant| variant.name == *name && ran(variant)) {
                found.problem(FILE, format!("it has answers of `{name}`, which did not run"));
            }
            if answered.answers.iter().any(|answer| !answer.margin.is_finite() || answer.margin < 0.0) {
                found.problem(FILE, format!("a margin of `{name}` is no margin"));
            }
        }
        for variant in &self.record.variants {
            accuracy(variant, &answers, baseline, found);
        }
    }

    fn outputs(&self, found: &mut Verified) {
        const FILE: &str = "outputs.csv";
        let outputs = match outputs::read(self.folder) {
            Ok(outputs) => outputs,
            Err(error) => return found.problem(FILE, error.to_string()),
        };
        if let Some(ids) = self.text("subsets/evaluation.txt", found).filter(|_| !outputs.samples.is_empty()) {
            let named: String = outputs.samples.iter().flat_map(|id| [id.as_str(), "\n"]).collect();
            if let Some(different) = first_difference(&named, &ids) {
                found.problem(FILE, format!("its samples are not those of the evaluation subset: {different}"));
            }
        }
        let ids: Vec<&str> = outputs.samples.iter().map(String::as_str).collect();
        for variant in &self.record.variants {
            let Some(fidelity) = variant.measured().and_then(Measured::fidelity) else { continue };
            if fidelity.outputs.is_empty() {
                continue;
            }
            let name = &variant.name;
            let Some(own) = outputs.of(name) else {
                found.problem(FILE, format!("`{name}` answers nothing there"));
                continue;
            };
            let (names, closeness): (Vec<String>, Vec<Vec<Closeness>>) = own.iter().cloned().unzip();
            if Fidelity::of(&names, &ids, &closeness) != *fidelity {
                found.problem(FILE, format!("the closeness of `{name}` in the record does not follow from it"));
            }
        }
    }

    fn timings(&self, found: &mut Verified) {
        const FILE: &str = "latency.csv";
        let timings = match read_timings(&self.folder.join(FILE)) {
            Ok(timings) => timings,
            Err(reason) => return found.problem(FILE, reason),
        };
        for name in timings.keys() {
            if !self.record.variants.iter().any(|variant| variant.name == *name) {
                found.problem(FILE, format!("it has times of `{name}`, which is no variant"));
            }
        }
        let of = |name: &str| timings.get(name).map_or(&[][..], Vec::as_slice);
        let baseline = self.record.baseline().filter(|variant| variant.measured().is_some());
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
        let sums = self.text("SHA256SUMS", found).unwrap_or_default();
        let known = || self.record.artefacts();
        for (_, name) in sums.lines().filter_map(|line| line.split_once("  ")) {
            if name.starts_with("artefacts/") && !known().any(|facts| facts.path == name) {
                found.problem("SHA256SUMS", format!("it names `{name}`, which the record does not know"));
            }
        }
        for facts in known() {
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

/// Every finding is the one of its check, and none is missing or too many.
fn findings(should: &[Finding], are: &[Finding], found: &mut Verified) {
    for one in should {
        match are.iter().find(|is| is.code == one.code) {
            Some(is) if is == one => {}
            Some(is) => {
                let words = if is.verdict == one.verdict { ", in other words" } else { "" };
                found.problem("record.json", format!("finding `{}` should be {}{words}", is.code, one.verdict.word()));
            }
            None => found.problem("record.json", format!("finding `{}` is missing", one.code)),
        }
    }
    for is in are.iter().filter(|is| !should.iter().any(|one| one.code == is.code)) {
        found.problem("record.json", format!("finding `{}` is of no check of this format", is.code));
    }
    let codes = |all: &[Finding]| all.iter().map(|one| one.code.clone()).collect::<Vec<_>>();
    let same_set = codes(should).iter().collect::<BTreeSet<_>>() == codes(are).iter().collect();
    if same_set && codes(should) != codes(are) {
        found.problem("record.json", "its findings are in another order, or one is there twice");
    }
}

/// One variant's figures against its answers.
fn accuracy(variant: &VariantResult, answers: &Answers, baseline: Option<&str>, found: &mut Verified) {
    let Some(measured) = variant.measured() else { return };
    let name = &variant.name;
    let Some(measured) = measured.classified() else {
        return found.problem("record.json", format!("`{name}` was judged by another task than the run's"));
    };
    let Some(right) = answers.right(name) else {
        return found.problem("predictions.csv", format!("`{name}` answers nothing there"));
    };
    let correct = right.iter().filter(|right| **right).count();
    if correct != measured.correct || classification::accuracy(&right) != Some(measured.accuracy) {
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
    let right = answers.right(baseline)?.into_iter().zip(answers.right(name)?);
    let same = answers.of(baseline)?.iter().zip(answers.of(name)?).map(|(a, b)| a.class == b.class);
    Comparison::of(right.zip(same).map(|((first, second), same)| (first, second, same)))
}

/// [`tables::LATENCY`].
type Row = (String, usize, usize, usize, u64, usize, usize, usize, Option<u64>, u8);

/// `latency.csv` by variant.
fn read_timings(path: &Path) -> Result<BTreeMap<String, Vec<Timing>>, String> {
    let bytes = files::read(path).map_err(|error| error.to_string())?;
    let mut timings: BTreeMap<String, Vec<Timing>> = BTreeMap::new();
    for row in csv::Reader::from_reader(bytes.as_slice()).deserialize::<Row>() {
        let row = row.map_err(|error| error.to_string())?;
        let (variant, round, batch, iteration, nanoseconds, process, take, input, waited, disturbed) = row;
        let disturbed = disturbed != 0;
        let timing = Timing { round, process, batch, iteration, nanoseconds, take, input, waited, disturbed };
        timings.entry(variant).or_default().push(timing);
    }
    Ok(timings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(change: impl Fn(&mut Vec<Finding>)) -> Vec<String> {
        let record: Record = serde_json::from_str(include_str!("../../results/digits/reference/record.json")).unwrap();
        let mut changed = record.findings.clone();
        change(&mut changed);
        let mut found = Verified::default();
        findings(&record.findings, &changed, &mut found);
        found.problems.into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn a_finding_that_is_missing_unknown_moved_or_doubled_is_told() {
        assert_eq!(told(|_| {}), Vec::<String>::new());
        let without = told(|all| all.retain(|finding| finding.code != "likeness"));
        assert_eq!(without, ["finding `likeness` is missing"]);
        assert_eq!(told(|all| all[0].code = "new".into()).len(), 2);
        let order = "its findings are in another order, or one is there twice";
        assert_eq!(told(|all| all.swap(1, 5)), [order]);
        assert_eq!(told(|all| all.push(all[2].clone())), [order]);
        assert_eq!(told(|all| all[0].remedy.push('x')), ["finding `baseline` should be PASS, in other words"]);
    }
}
