use std::path::Path;

use requant::base::explain::{Cause, Failure};
use requant::base::files;
use requant::manifest::{self, Overrides, Resolved};
use requant::terminal::complaint::text as diagnostic_text;

/// Everything that is said of a failure, as a person without colours reads it; `folder` is cut off.
pub(crate) fn told(failure: &Failure, folder: &Path) -> String {
    let texts = failure.diagnostics.iter().map(|diagnostic| diagnostic_text(diagnostic, false) + "\n");
    texts.collect::<String>().replace(&format!("{}/", folder.display()), "")
}

/// Every malformed manifest of `tests/diagnostics` says what the file beside it holds.
/// `UPDATE_GOLDEN=1` writes those files anew.
#[test]
fn every_malformed_manifest_is_told_its_line() {
    let folder = lab::root().join("tests/diagnostics");
    let names: Vec<String> = files::list(&folder).unwrap().into_iter().filter(|name| name.ends_with(".toml")).collect();
    assert!(names.len() >= 60, "{}", names.len());
    let mut wrong = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let failure = manifest::load(&path, &Overrides::default()).expect_err(&name);
        assert_eq!(failure.cause(), Cause::Input, "{name}");
        let text = told(&failure, &folder);
        for diagnostic in &failure.diagnostics {
            assert!(diagnostic.place.is_some() && diagnostic.next_step.is_some(), "{name}: {text}");
        }
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            files::write(&golden, text.as_bytes()).unwrap();
        }
        if files::read_text(&golden).unwrap_or_default() != text {
            wrong.push(format!("{name}:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The demo's manifest with edits, in a folder of its own, under these overrides.
fn load(edits: &[(&str, &str)], project: &str, overrides: &Overrides) -> Result<Resolved, String> {
    let mut text = files::read_text(&lab::root().join("experiments/digits.toml")).unwrap();
    for (from, to) in edits {
        assert!(text.contains(from), "the manifest has no `{from}`");
        text = text.replacen(from, to, 1);
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("experiments");
    files::create_dir_all(&home).unwrap();
    files::write(&folder.path().join("requant.toml"), project.as_bytes()).unwrap();
    files::write(&home.join("m.toml"), text.as_bytes()).unwrap();
    manifest::load(&home.join("m.toml"), overrides).map_err(|failure| told(&failure, folder.path()))
}

fn set(lines: &[&str]) -> Overrides {
    Overrides { set: lines.iter().map(|line| (*line).to_owned()).collect(), ..Overrides::default() }
}

#[test]
fn later_layers_win_and_every_value_names_its_own() {
    let project = "[compute]\nthreads = 3\n\n[benchmark]\nrounds = 4\niterations = 6\n";
    let environment = [("REQUANT_BENCHMARK__ROUNDS", "5"), ("REQUANT_BENCHMARK__WARMUP", "7"), ("HOME", "x")];
    let overrides = Overrides {
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..set(&["benchmark.warmup=8", "description=a word"])
    };
    let resolved = load(&[], project, &overrides).unwrap();
    let manifest = &resolved.manifest;
    assert_eq!((manifest.compute.threads, manifest.benchmark.rounds), (2, 5), "the manifest wins over the project");
    assert_eq!((manifest.benchmark.iterations, manifest.benchmark.warmup), (6, 8));
    assert_eq!(manifest.description, "a word", "what is not TOML is a string");
    for line in [
        "threads = 2  # manifest, m.toml:48",
        "rounds = 5  # environment, REQUANT_BENCHMARK__ROUNDS",
        "iterations = 6  # project, ../requant.toml:6",
        "warmup = 8  # command line, --set benchmark.warmup",
        "batch_sizes = [1, 32]  # default",
        "engine = \"fbgemm\"  # manifest, m.toml:38",
    ] {
        assert!(resolved.written_out.contains(line), "{line}: {}", resolved.written_out);
    }
    let outside: Vec<_> =
        resolved.overrides.iter().map(|o| (o.key.as_str(), o.value.as_str(), o.instead_of.as_deref())).collect();
    let wanted = [
        ("benchmark.iterations", "6", Some("5")),
        ("benchmark.rounds", "5", Some("20")),
        ("benchmark.warmup", "8", Some("1")),
    ];
    assert_eq!(outside, wanted, "a description is no science");
    let taken_away = load(&[], "", &set(&["variant=[{name=\"a\", backend=\"torch\", precision=\"fp32\"}]"])).unwrap();
    let gone = taken_away.overrides.iter().find(|change| change.key == "variant.1.engine").unwrap();
    assert_eq!((gone.value.as_str(), gone.instead_of.as_deref()), ("not set", Some("\"fbgemm\"")));
    assert_eq!(gone.origin, "command line, --set variant");
    assert!(load(&[], "", &Overrides::default()).unwrap().overrides.is_empty());
    assert!(load(&[], "", &set(&["compute.threads=2"])).unwrap().overrides.is_empty(), "nothing else than before");
}

#[test]
fn mistakes_outside_the_manifest_are_shown_where_they_are() {
    let project = load(&[], "[compute]\nthreds = 3\n", &Overrides::default()).unwrap_err();
    assert!(
        project.contains("experiments/../requant.toml:2:1") && project.contains("did you mean `threads`?"),
        "{project}"
    );
    let command =
        load(&[], "", &set(&["compute.threads=0", "fly", "compute.isa.x=1", "compute.isa=avx2", "variant.0.name=x"]))
            .unwrap_err();
    for wanted in [
        "--> command line:1:17",
        "1 | compute.threads=0",
        "is not an assignment",
        "sets both a table and a key in it",
        "`variant` is a table, not an array",
    ] {
        assert!(command.contains(wanted), "{wanted}: {command}");
    }
    let named = ("REQUANT_COMPUTE__THREDS".to_owned(), "4".to_owned());
    let environment = Overrides { environment: vec![named], ..Overrides::default() };
    let environment = load(&[], "", &environment).unwrap_err();
    assert!(
        environment.contains("--> environment:1:1") && environment.contains("did you mean `threads`?"),
        "{environment}"
    );
}

#[test]
fn paths_are_relative_to_the_layer_that_names_them() {
    let resolved = load(&[], "[report]\ntemplate = \"mine.tera\"\n", &set(&["dataset.path=digits.csv"])).unwrap();
    let template = resolved.manifest.report.template.as_deref().unwrap();
    assert!(resolved.locate("report.template", template).ends_with("experiments/../mine.tera"));
    assert_eq!(resolved.locate("dataset.path", Path::new("digits.csv")), Path::new("digits.csv"));
    assert!(
        resolved
            .locate("model.path", &resolved.manifest.model.path)
            .ends_with("experiments/models/digits-mobilenet_v3_small.onnx")
    );
}

#[test]
fn every_committed_experiment_resolves_and_writes_every_value_out() {
    let folder = lab::root().join("experiments");
    let names: Vec<_> = files::list(&folder).unwrap().into_iter().filter(|name| name.ends_with(".toml")).collect();
    assert!(names.len() >= 3);
    let is_sweep = |name: &String| requant::grid::Sweep::is_one(&files::read_text(&folder.join(name)).unwrap());
    for name in names.into_iter().filter(|name| !is_sweep(name)) {
        let load = |path: &Path| manifest::load(path, &Overrides::default()).unwrap();
        let resolved = load(&folder.join(&name));
        let written = &resolved.written_out;
        assert!(written.contains(&format!("schema = 1  # manifest, {name}:1")), "{name}: {written}");
        assert!(written.contains("warmup = 1  # default"), "{name}: {written}");
        assert!(written.contains("recipe = "), "{name}: {written}");
        assert!(written.contains("baseline = false  # default"), "{name}: {written}");
        assert_eq!(resolved.digest(), load(&folder.join(&name)).digest());
        // What was written out is itself a manifest of the same settings.
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("resolved.toml");
        files::write(&path, written.as_bytes()).unwrap();
        let again = load(&path);
        assert_eq!((again.digest(), again.manifest), (resolved.digest(), resolved.manifest), "{name}");
    }
}

#[test]
fn the_page_on_engines_has_the_table_of_combinations() {
    let path = lab::root().join("docs/engines.md");
    let page = files::read_text(&path).unwrap();
    let (before, rest) = page.split_once("| backend | precision |").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let whole = format!("{before}{}\n{after}", manifest::engines_table());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        files::write(&path, whole.as_bytes()).unwrap();
    }
    assert!(
        files::read_text(&path).unwrap() == whole,
        "run `UPDATE_GOLDEN=1 cargo test --release --test it -- manifests`"
    );
}

#[test]
fn the_reference_page_is_the_one_that_the_schema_gives() {
    let path = lab::root().join("docs/manifest.md");
    let page = manifest::reference_page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        files::write(&path, page.as_bytes()).unwrap();
    }
    assert!(files::read_text(&path).unwrap_or_default() == page, "run `requant schema --markdown > docs/manifest.md`");
}
