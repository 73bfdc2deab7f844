use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use lab::{Bench, DIGITS_MODEL};
use requant::base::files;

/// A run of the bench's manifest ends with this code and message, a next step, and no trace.
fn refused(bench: &Bench, code: i32, what: &str, next: &str) {
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one message: {ended:?}");
    assert!(errors[0].contains(what), "{ended:?}");
    let step = ended.stderr.lines().find(|line| line.contains("= next: "));
    assert!(step.is_some_and(|step| step.contains(next)), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    assert_eq!(bench.leftovers(), Vec::<String>::new());
}

fn digits_model() -> Vec<u8> {
    files::read(&lab::root().join("experiments/models/digits-mobilenet_v3_small.onnx")).unwrap()
}

#[test]
fn a_wrong_model_hash_is_an_integrity_failure() {
    let bench = Bench::new();
    bench.digits(&[(DIGITS_MODEL, &"0".repeat(64))]);
    refused(&bench, 5, "`model.sha256` is pinned to 0000", &format!("model.sha256 = \"{DIGITS_MODEL}\""));
}

#[test]
fn a_changed_dataset_or_subset_is_an_integrity_failure() {
    let bench = Bench::new();
    bench.digits(&[("sha256 = \"c277", "sha256 = \"d277")]);
    refused(&bench, 5, "`dataset.sha256` is pinned", "restore it");
    let bench = Bench::new();
    bench.digits(&[("sha256 = \"4f8c", "sha256 = \"5f8c")]);
    refused(&bench, 5, "`calibration.sha256` is pinned", "calibration.sha256 = ");
}

#[test]
fn a_truncated_model_is_wrong_input() {
    let bench = Bench::new();
    let model = digits_model();
    bench.digits_with_model(&model[..model.len() / 2]);
    refused(&bench, 2, "not a readable ONNX file", "compare its SHA-256");
}

#[test]
fn an_unsupported_operator_is_named() {
    let bench = Bench::new();
    let mut model = digits_model();
    let at = (1..model.len() - 9).find(|&i| &model[i..i + 9] == b"HardSwish" && model[i - 1] == 9).unwrap();
    model[at..at + 9].copy_from_slice(b"HardTwist");
    bench.digits_with_model(&model);
    refused(&bench, 2, "uses operator `HardTwist` (opset 17)", "use another operation");
}

#[test]
fn an_unknown_recipe_is_corrected() {
    let bench = Bench::new();
    bench.digits(&[("recipe = \"fx-default\"", "recipe = \"fx-defalt\"")]);
    refused(&bench, 2, "`quantize.recipe` has the unknown value `fx-defalt`", "did you mean `fx-default`?");
}

#[test]
fn a_pattern_that_matches_nothing_is_refused() {
    let bench = Bench::new();
    let layer = "recipe = \"fx-default\"\n[[quantize.layer]]\nmatch = \"nowhere.*\"\nprecision = \"fp32\"";
    bench.digits(&[("recipe = \"fx-default\"", layer)]);
    refused(&bench, 2, "pattern `nowhere.*` matches no layer", "use layer names such as `");
}

#[test]
fn a_missing_required_backend_stops_the_run() {
    let bench = Bench::new();
    bench.digits(&[("required = false", "required = true")]);
    refused(&bench, 4, "variant `int8_tensorrt` needs tensorrt, which is missing", "required = false");
}

#[test]
fn a_missing_manifest_or_model_is_named() {
    let bench = Bench::new();
    refused(&bench, 2, "cannot open `digits.toml`", "check the path");
    bench.digits(&[("digits-mobilenet_v3_small.onnx", "elsewhere.onnx")]);
    refused(&bench, 2, "models/elsewhere.onnx", "relative to the manifest");
}

#[test]
fn a_results_folder_that_cannot_be_written_is_named() {
    let bench = Bench::new();
    bench.digits(&[]);
    bench.put("occupied", b"a file");
    let ended = bench.run(&["run", "digits.toml", "--results", "occupied/results"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("cannot create `occupied/results/digits`"), "{ended:?}");
}

#[test]
fn a_wrong_image_size_is_found_before_the_work() {
    let bench = Bench::new();
    bench.digits(&[("resize = [32, 32]", "resize = [24, 24]")]);
    refused(&bench, 2, "takes 3 × 32 × 32 images, but `0` becomes 3 × 24 × 24", "set `resize` or `center_crop`");
}

/// Some mistakes show only with the values: what was measured is not lost for them.
#[test]
fn a_template_that_fails_at_the_end_costs_no_results() {
    let bench = Bench::new();
    bench.digits(&[("[goals]", "[report]\ntemplate = \"mine.tera\"\n\n[goals]")]);
    bench.put("mine.tera", b"{% include \"elsewhere\" %}");
    let ended = bench.run(&["run", "digits.toml"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("the report template cannot be rendered") && ended.stderr.contains("is kept, with"));
    let run = bench.only_run("digits");
    assert!(files::read_text(&run.join("report.md")).unwrap().starts_with("# "), "the built-in report");
}

/// The process that fills such a template dies, and no other.
#[test]
fn a_template_without_end_is_refused() {
    let bench = Bench::new();
    let run = lab::root().join("results/digits/reference").display().to_string();
    let deep = ["{% if true %}".repeat(100_000), "{% endif %}".repeat(100_000)].concat();
    for template in [
        "{% macro m(n) %}{{ self::m(n=n) }}{% endmacro m %}{{ self::m(n=1) }}",
        "{% for i in range(end=10, step_by=0) %}x{% endfor %}",
        "{% set_global s = \"x\" %}{% for i in range(end=60) %}{% set_global s = s ~ s %}{% endfor %}{{ s }}",
        &deep,
    ] {
        bench.put("mine.tera", template.as_bytes());
        let ended = bench.run(&["report", &run, "--template", "mine.tera"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.stderr.contains("the report template cannot be rendered"), "{ended:?}");
        assert!(ended.stderr.contains("loop over what is finite"), "{ended:?}");
    }
}

#[test]
fn a_broken_template_is_found_before_the_work() {
    let bench = Bench::new();
    bench.digits(&[("[goals]", "[report]\ntemplate = \"mine.tera\"\n\n[goals]")]);
    bench.put("mine.tera", b"# {{ record.settings.name ");
    refused(&bench, 2, "the report template cannot be rendered", "templates/report.md.tera");
}

/// A small CIFAR-10 image folder with the CIFAR-10 model.
fn cifar(bench: &Bench, data: &str) {
    let experiments = lab::root().join("experiments");
    let model = "models/cifar10-mobilenet_v3_small.onnx";
    bench.put(model, &files::read(&experiments.join(model)).unwrap());
    let text = files::read_text(&experiments.join("cifar10-mobilenet_v3_small.toml")).unwrap();
    // Other data and fewer samples: only the model's pin still holds.
    let pinned = |line: &&str| line.starts_with("sha256") && !line.contains("246c4310");
    let text: String = text.lines().filter(|line| !pinned(line)).flat_map(|line| [line, "\n"]).collect();
    let text = text.replace("../data/cifar10.tar", data);
    bench.put(
        "digits.toml",
        text.replace("samples = 512", "samples = 20").replace("samples = 2000", "samples = 20").as_bytes(),
    );
}

#[test]
fn a_truncated_tar_is_wrong_input() {
    let Some(tar) = lab::shared("datasets/cifar10.tar") else { return };
    let bench = Bench::new();
    let whole = files::read(&tar).unwrap();
    for part in [whole.len() / 3, whole.len() / 3 + 700] {
        bench.put("cut.tar", &whole[..part]);
        cifar(&bench, "cut.tar");
        refused(&bench, 2, "cut.tar` is not a readable archive", "compare its SHA-256");
    }
}

#[test]
fn a_missing_class_folder_is_named_before_labels_shift() {
    let Some(tar) = lab::shared("datasets/cifar10.tar") else { return };
    let bench = Bench::new();
    lab::unpack_some_cifar(&tar, &bench.path("data"), 2);
    std::fs::remove_dir_all(bench.path("data/test/cat")).unwrap();
    cifar(&bench, "data");
    refused(&bench, 2, "split `test` of `data` lacks the class `cat`", "list every class in `dataset.classes`");
}

#[test]
fn an_undecodable_image_is_named() {
    let Some(tar) = lab::shared("datasets/cifar10.tar") else { return };
    let bench = Bench::new();
    lab::unpack_some_cifar(&tar, &bench.path("data"), 2);
    bench.put("data/train/cat/0001.jpg", b"not an image");
    cifar(&bench, "data");
    refused(&bench, 2, "image `train/cat/0001.jpg` cannot be decoded", "replace the file");
}

#[test]
fn stray_files_are_passed_over_and_deep_ones_named() {
    let Some(tar) = lab::shared("datasets/cifar10.tar") else { return };
    let bench = Bench::new();
    lab::unpack_some_cifar(&tar, &bench.path("data"), 2);
    bench.put("data/train/.DS_Store", b"left by a file manager");
    bench.put("data/README.txt", b"what this is");
    bench.put("data/train/cat/0001.jpg", b"not an image");
    cifar(&bench, "data");
    refused(&bench, 2, "image `train/cat/0001.jpg` cannot be decoded", "replace the file");
    bench.put("data/train/cat/more/0003.jpg", b"deeper");
    refused(&bench, 2, "`train/cat/more/0003.jpg`, deeper than", "move it up");
    bench.put("nothing/here.txt", b"");
    cifar(&bench, "nothing");
    refused(&bench, 2, "`nothing` holds no `<split>/<class>/<image>`", "lay the images out");
}

#[test]
fn the_front_door_links_no_engine_and_says_when_it_is_gone() {
    let bench = Bench::new();
    let loaded = bench.command(&["--version"]).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    let loaded = String::from_utf8(loaded.stdout).unwrap();
    assert!(loaded.contains("libc.so") && !loaded.contains("torch"), "{loaded}");

    bench.digits(&[]);
    let alone = bench.path("bin/requant");
    bench.put("bin/requant", &files::read(&lab::program("requant")).unwrap());
    std::fs::set_permissions(&alone, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = || Command::new(&alone).args(["run", "digits.toml"]).current_dir(bench.path("")).output().unwrap();
    let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let absent = run();
    assert!(absent.status.code() == Some(4) && told(&absent).contains("`requant-torch` is not beside"), "{absent:?}");
    // The program whose library has gone: its name is no longer that of any file.
    let torch = Path::new(env!("CARGO_BIN_EXE_requant-torch"));
    let mut program = files::read(torch).unwrap();
    let (there, gone) = (b"libtorch_cpu.so\0", b"libtorch_cp_.so\0");
    let at = program.windows(there.len()).position(|window| window == there).unwrap();
    program[at..at + gone.len()].copy_from_slice(gone);
    bench.put("bin/requant-torch", &program);
    std::fs::set_permissions(bench.path("bin/requant-torch"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let broken = run();
    assert!(
        broken.status.code() == Some(4) && told(&broken).contains("does not start: libtorch_cp_.so => not found"),
        "{broken:?}"
    );
}

#[test]
fn wrong_usage_and_help_have_their_codes() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["fly"]).code, Some(2));
    assert_eq!(bench.run(&["--version"]).code, Some(0));
    let doctor = bench.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0));
    assert!(
        doctor.stdout.contains("torch int8 cpu fbgemm") && doctor.stdout.contains("ready    libtorch 2.11.0"),
        "{doctor:?}"
    );
}
