//! Models and images of the kinds that people have: what `requant new` writes for each must answer, image by image, as
//! ONNX Runtime does with the right preprocessing (`tests/fixtures/cases.py`).

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use lab::{Bench, Ended};
use requant::base::explain::{Cause, Explain as _};
use requant::base::files;
use requant::record::{Record, store};
use serde::Deserialize;
use zip::ZipArchive;

/// What ONNX Runtime answers.
#[derive(Deserialize)]
struct Answer {
    right: usize,
    /// The output of every test image, in the order of their names.
    classes: Vec<usize>,
}

/// The shortest benchmark there is.
const QUICK: [&str; 12] = [
    "--set",
    "benchmark.rounds=1",
    "--set",
    "benchmark.processes=1",
    "--set",
    "benchmark.batch_sizes=[1]",
    "--set",
    "benchmark.min_seconds=0",
    "--set",
    "record.evidence=false",
    "--set",
    "compute.threads=1",
];

/// A folder with every model, the images, and what is right for them.
fn unpacked() -> (Bench, BTreeMap<String, Answer>) {
    let bench = Bench::new();
    let bytes = files::read(&lab::root().join("tests/fixtures/cases.zip")).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    for place in 0..archive.len() {
        let mut member = archive.by_index(place).unwrap();
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        bench.put(member.name(), &content);
    }
    let answers = serde_json::from_slice(&files::read(&bench.path("answers.json")).unwrap()).unwrap();
    (bench, answers)
}

fn new(bench: &Bench, name: &str, model: &str, more: &[&str]) -> Ended {
    let manifest = format!("{name}.toml");
    let own = ["new", name, "--model", model, "--data", "images", "--output", &manifest];
    bench.run(&[&own[..], more].concat())
}

/// Runs a manifest that `new` wrote.
fn run(bench: &Bench, name: &str, sets: &[&str]) -> Record {
    let manifest = format!("{name}.toml");
    let ended = bench.run(&[&["run", &manifest][..], &QUICK, sets].concat());
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{name}: {ended:?}");
    store::read(&bench.only_run(name)).unwrap()
}

/// The output that every test image is given by the float network.
fn classes(bench: &Bench, name: &str, record: &Record) -> Vec<usize> {
    let table = files::read(&bench.only_run(name).join("predictions.csv")).unwrap();
    let mut rows: Vec<(String, String)> = csv::Reader::from_reader(table.as_slice())
        .deserialize::<(String, String, String, String, f32)>()
        .map(Result::unwrap)
        .filter(|(_, _, variant, ..)| variant == "fp32_cpu")
        .map(|(sample, _, _, predicted, _)| (sample, predicted))
        .collect();
    rows.sort();
    let names = &record.inputs.dataset.classes;
    rows.into_iter().map(|(_, predicted)| names.iter().position(|name| *name == predicted).unwrap()).collect()
}

#[test]
fn what_new_writes_answers_as_onnx_runtime_does() {
    let (bench, answers) = unpacked();
    let half = ["--set", "dataset.preprocess.mean=[0.5,0.5,0.5]", "--set", "dataset.preprocess.std=[0.5,0.5,0.5]"];
    // Model, what `new` is told, what it must say, and whether it normalizes.
    let cases: [(&str, &[&str], &str, bool); 11] = [
        ("plain", &[], "`mean`, `std` and the resizing must be", true),
        ("channels_last", &[], "images with their channels last", true),
        ("normalizing", &[], "it normalizes its input itself, in 3 nodes (`div`, `sub`, `div_2`)", false),
        ("bytes", &[], "bytes from 0 to 255", false),
        ("bytes_last", &[], "images with their channels last", false),
        ("half", &[], "it computes in float16", true),
        ("half_inside", &[], "it computes in float16", true),
        ("half_weights", &[], "label order", true),
        ("beside", &[], "`beside.onnx.data` beside it", true),
        ("map", &[], "label order", true),
        ("two", &["--scores", "logits"], "its scores are the tensor `logits`", true),
    ];
    for (name, more, said, normalizes) in cases {
        let model = format!("{name}.onnx");
        let ended = new(&bench, name, &model, more);
        assert!(ended.code == Some(0) && ended.stdout.contains(said), "{name}: {ended:?}");
        let record = run(&bench, name, if normalizes { &half } else { &[] });
        let (answer, float) = (&answers[&model], record.variants[0].measured().unwrap().classified().unwrap());
        assert_eq!((float.correct, classes(&bench, name, &record)), (answer.right, answer.classes.clone()), "{name}");
    }
}

#[test]
fn one_score_is_held_to_its_threshold() {
    let (bench, answers) = unpacked();
    for entry in files::walk(&bench.path("images")).unwrap() {
        let (split, class, file) =
            (entry.split('/').next().unwrap(), entry.split('/').nth(1).unwrap(), entry.rsplit('/').next().unwrap());
        let digit: usize = class[1..].parse().unwrap();
        let side = if digit.is_multiple_of(2) { "even" } else { "odd" };
        bench.put(
            &format!("sides/{split}/{side}/{class}-{file}"),
            &files::read(&bench.path("images").join(&entry)).unwrap(),
        );
    }
    let ended = bench.run(&["new", "sides", "--model", "one_score.onnx", "--data", "sides", "--output", "sides.toml"]);
    assert!(ended.code == Some(0) && ended.stdout.contains("above 0.5 it is the second"), "{ended:?}");
    let half = ["--set", "dataset.preprocess.mean=[0.5,0.5,0.5]", "--set", "dataset.preprocess.std=[0.5,0.5,0.5]"];
    let record = run(&bench, "sides", &half);
    assert_eq!(record.variants[0].measured().unwrap().classified().unwrap().correct, answers["one_score.onnx"].right);
    assert!(
        files::read_text(&bench.only_run("sides").join("report.md")).unwrap().contains("one score for two classes")
    );
}

#[test]
fn more_scores_than_classes_need_their_names() {
    let (bench, answers) = unpacked();
    let ended = new(&bench, "many", "many.onnx", &[]);
    assert!(
        ended.code == Some(2) && ended.stderr.contains("90 scores") && ended.stderr.contains("--classes FILE"),
        "{ended:?}"
    );
    let ended = new(&bench, "many", "many.onnx", &["--classes", "classes.json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let half = ["--set", "dataset.preprocess.mean=[0.5,0.5,0.5]", "--set", "dataset.preprocess.std=[0.5,0.5,0.5]"];
    let record = run(&bench, "many", &half);
    let answer = &answers["many.onnx"];
    assert_eq!(record.variants[0].measured().unwrap().classified().unwrap().correct, answer.right);
    assert_eq!(classes(&bench, "many", &record), answer.classes);
    // The same said folder by folder.
    let manifest = files::read_text(&bench.path("many.toml")).unwrap();
    let index: Vec<String> = (0..10).map(|digit| format!("d{digit} = {}", digit * 7 + 3)).collect();
    let line = manifest.lines().find(|line| line.starts_with("classes_file")).unwrap();
    let pin = manifest.lines().find(|line| line.starts_with("classes_sha256")).unwrap();
    let by_index = manifest
        .replace(line, &format!("class_index = {{ {} }}", index.join(", ")))
        .replace(pin, "")
        .replace("name = \"many\"", "name = \"index\"");
    bench.put("index.toml", by_index.as_bytes());
    assert_eq!(run(&bench, "index", &half).variants[0].measured().unwrap().classified().unwrap().correct, answer.right);
}

#[test]
fn what_cannot_be_run_is_told_what_helps() {
    let (bench, _) = unpacked();
    for (model, words) in [
        ("two.onnx", ["it gives 2 outputs (`logits`, `other`)", "`--scores TENSOR`"]),
        ("argmax.onnx", ["uses operator `ArgMax`", "name the tensor before it with `--scores TENSOR`"]),
    ] {
        let ended = new(&bench, "m", model, &[]);
        assert!(ended.code == Some(2) && words.iter().all(|word| ended.stderr.contains(word)), "{ended:?}");
    }
    // With the tensor before it named, the same file runs.
    assert_eq!(new(&bench, "m", "argmax.onnx", &["--scores", "logits"]).code, Some(0));
    let two = files::read(&bench.path("two.onnx")).unwrap();
    bench.put("argmax.onnx", &two);
    let ended = bench.run(&["check", "m.toml"]);
    assert!(ended.code == Some(5), "{ended:?}");
    // A folder of what is not read, laid out as it should be.
    bench.put("gifs/train/a/1.gif", b"GIF89a");
    let ended = bench.run(&["new", "g", "--model", "plain.onnx", "--data", "gifs"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("1 .gif file") && ended.stderr.contains("PNG"), "{ended:?}");
    // Weights that are another model's, and weights elsewhere.
    let weights = files::read(&bench.path("beside.onnx.data")).unwrap();
    bench.put("beside.onnx.data", &weights[..weights.len() / 2]);
    let ended = new(&bench, "b", "beside.onnx", &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("the tensor ends beyond them"), "{ended:?}");
    let mut climbing = files::read(&bench.path("beside.onnx")).unwrap();
    let name = b"beside.onnx.data";
    while let Some(at) = climbing.windows(name.len()).position(|window| window == name) {
        climbing[at..at + name.len()].copy_from_slice(b"../elsewhere.dat");
    }
    bench.put("climbing.onnx", &climbing);
    let ended = new(&bench, "c", "climbing.onnx", &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("which is not a file of the model's folder"), "{ended:?}");
}

#[test]
fn weights_beside_a_model_are_inputs_of_a_run() {
    let (bench, _) = unpacked();
    assert_eq!(new(&bench, "beside", "beside.onnx", &[]).code, Some(0));
    run(&bench, "beside", &[]);
    let verify = || bench.run(&["verify", "beside"]);
    assert_eq!(verify().code, Some(0), "{:?}", verify());
    let mut weights = files::read(&bench.path("beside.onnx.data")).unwrap();
    let last = weights.len() - 1;
    weights[last] ^= 1;
    bench.put("beside.onnx.data", &weights);
    let ended = verify();
    let words = ["model.data_sha256: the model's weights beside it has", "bring back what the run was made of"];
    assert!(ended.code == Some(5) && words.iter().all(|word| ended.stderr.contains(word)), "{ended:?}");
    std::fs::remove_file(bench.path("beside.onnx.data")).unwrap();
    let ended = verify();
    assert!(ended.code == Some(5) && ended.stderr.contains("the model cannot be read today"), "{ended:?}");
}

#[test]
fn a_folder_without_a_label_is_told_by_the_key_that_gives_labels() {
    let (bench, _) = unpacked();
    assert_eq!(new(&bench, "many", "many.onnx", &["--classes", "classes.json"]).code, Some(0));
    bench.put("images/train/extra/1.png", &files::read(&bench.path("images/train/d0/0000.png")).unwrap());
    let told = |key: &str, next: &str| {
        let ended = bench.run(&["check", "many.toml"]);
        let words = [format!("which `dataset.{key}` does not list"), next.to_owned()];
        assert!(ended.code == Some(2) && words.iter().all(|word| ended.stderr.contains(word)), "{ended:?}");
    };
    told("classes_file", "add it to `dataset.classes_file`");
    let manifest = files::read_text(&bench.path("many.toml")).unwrap();
    let index: Vec<String> = (0..10).map(|digit| format!("d{digit} = {}", digit * 7 + 3)).collect();
    let lines = manifest.lines().filter(|line| !line.starts_with("classes_sha256"));
    let lines = lines.map(|line| match line.split_once(" = ") {
        Some(("classes_file", _)) => format!("class_index = {{ {} }}", index.join(", ")),
        _ => line.to_owned(),
    });
    bench.put("many.toml", lines.collect::<Vec<_>>().join("\n").as_bytes());
    told("class_index", "give it the number of its output in `dataset.class_index`");
}

#[test]
fn nothing_among_the_images_is_dropped_in_silence() {
    let (bench, _) = unpacked();
    bench.put("images/test/d0/extra.gif", b"GIF89a");
    bench.put("images/test/d0/notes.JPG.txt", b"x");
    let ended = new(&bench, "plain", "plain.onnx", &[]);
    assert!(
        ended.code == Some(0) && ended.stdout.contains("not read among the images: 1 .gif, 1 .txt files"),
        "{ended:?}"
    );
    let ended = bench.run(&["check", "plain.toml"]);
    assert!(ended.stderr.contains("not read among the images: 1 .gif, 1 .txt files"), "{ended:?}");
    let record = run(&bench, "plain", &[]);
    assert_eq!(record.inputs.dataset.passed_over.len(), 2);
    // All that cannot be decoded is named at once.
    bench.put("images/test/d0/cut.png", b"\x89PNG\r\n\x1a\n");
    bench.put("images/train/d1/page.jpg", b"<html>");
    bench.put("images/train/d1/really.png", b"GIF89a\x01\0\x01\0\0\0\0");
    let ended = new(&bench, "again", "plain.onnx", &[]);
    let words = ["3 images cannot be decoded", "cut.png", "page.jpg` (it is no image", "really.png` (it is a GIF file"];
    assert!(ended.code == Some(2) && words.iter().all(|word| ended.stderr.contains(word)), "{ended:?}");
}

#[test]
fn a_sample_that_changes_during_a_run_ends_it() {
    let (bench, _) = unpacked();
    assert_eq!(new(&bench, "plain", "plain.onnx", &[]).code, Some(0));
    let source = {
        let text = files::read_text(&bench.path("plain.toml")).unwrap();
        let resolved = requant::manifest::load_bytes(
            &bench.path("plain.toml"),
            text.into_bytes(),
            &requant::manifest::Overrides::default(),
        )
        .unwrap();
        let settings = resolved.manifest.dataset.clone();
        requant::dataset::open(&settings, Some(&bench.path("images")), &requant::dataset::Labels::Found).unwrap()
    };
    let entry = source.split("test").unwrap().remove(0);
    let digest = requant::base::digest::Digest::of(&source.bytes(&entry).unwrap());
    assert!(requant::dataset::held(&*source, &entry, digest).is_ok());
    let path = bench.path("images").join(&entry.id);
    let mut other = files::read(&path).unwrap();
    other.push(0);
    files::write(&path, &other).unwrap();
    let error = requant::dataset::held(&*source, &entry, digest).unwrap_err();
    assert!(error.to_string().contains("has changed since it was chosen"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = requant::dataset::held(&*source, &entry, digest).unwrap_err();
    assert!(error.to_string().contains("was there when it was chosen"), "{error}");
    assert_eq!(error.class(), Cause::Integrity);
}
