use requant::base::explain::{Cause, Failure};
use requant::base::files;
use requant::manifest;

use crate::lab;

/// What loading the demo's manifest says after an edit.
fn told(from: &str, to: &str) -> Failure {
    let text = files::read_text(&lab::root().join("experiments/digits.toml")).unwrap();
    assert!(text.contains(from), "the manifest has no `{from}`");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    files::write(&path, text.replacen(from, to, 1).as_bytes()).unwrap();
    Failure::from(manifest::load(&path).unwrap_err())
}

#[test]
fn each_mistake_is_named_with_the_next_step() {
    let cases = [
        ("recipe = ", "recepie = ", "unknown key `recepie`", "did you mean `recipe`?"),
        ("engine = \"fbgemm\"", "engine = \"fbgem\"", "unknown value `fbgem`", "did you mean `fbgemm`?"),
        ("samples = 512", "samples = \"many\"", "found `\"many\"`", ""),
        ("samples = 512", "samples = 0", "`calibration.samples` must be at least 1", "say how many"),
        ("schema = 1", "schema = 9", "is 9, and this requant reads schema 1", "use a newer requant"),
        ("name = \"digits\"", "name = \"../up\"", "cannot name a folder", "use letters"),
        ("sha256 = \"3463", "sha256 = \"zz63", "is not a SHA-256 digest", ""),
        ("name = \"int8_fbgemm_cpu\"", "name = \"fp32_cpu\"", "appears twice", "its own name"),
        ("threads = 2", "threads = 0", "`compute.threads` must be between 1 and 1024", "physical cores"),
        ("max_accuracy_drop = 1.0", "max_accuracy_drop = -1.0", "between 0 and 100", "max_accuracy_drop = 1.0"),
        ("std = [0.5, 0.5, 0.5]", "std = [0.5, 0.0, 0.5]", "must be positive", "trained with"),
        ("strategy = \"all\"", "strategy = \"all\"\nsamples = 5", "does not apply", "remove it"),
        ("precision = \"fp32\"", "precision = \"fp32\"\nengine = \"x86\"", "only applies to INT8", "remove it"),
        ("splits = [\"test\"]", "splits = [\"test\", \"test\"]", "names a split twice", "count once"),
        ("samples = 512", "samples = 512\nbatch_size = 99999999", "between 1 and 65536", "batch_size = 32"),
        ("[[variant]]", "[[variant", "", ""),
    ];
    for (from, to, what, next) in cases {
        let failure = told(from, to);
        assert_eq!(failure.cause, Cause::Input);
        assert!(failure.message.contains("m.toml") && failure.message.contains(what), "{to}: {}", failure.message);
        assert!(failure.next_step.clone().unwrap_or_default().contains(next), "{to}: {failure:?}");
    }
}

#[test]
fn every_committed_experiment_resolves_and_writes_every_value_out() {
    let folder = lab::root().join("experiments");
    let names: Vec<_> = files::list(&folder).unwrap().into_iter().filter(|name| name.ends_with(".toml")).collect();
    assert!(names.len() >= 3);
    for name in names {
        let resolved = manifest::load(&folder.join(&name)).unwrap();
        let written = &resolved.written_out;
        assert!(written.contains("schema = 1  # manifest"), "{name}: {written}");
        assert!(written.contains("warmup = 3  # default"), "{name}: {written}");
        assert!(written.contains("engine = \"fbgemm\"  # manifest"), "{name}: {written}");
        assert!(written.contains("baseline = false  # default"), "{name}: {written}");
        let digest = resolved.digest();
        assert_eq!(digest, manifest::load(&folder.join(&name)).unwrap().digest());
        // What was written out is itself a manifest of the same settings.
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("resolved.toml");
        files::write(&path, written.as_bytes()).unwrap();
        let again = manifest::load(&path).unwrap();
        assert_eq!((again.digest(), again.manifest), (digest, resolved.manifest), "{name}");
    }
}
