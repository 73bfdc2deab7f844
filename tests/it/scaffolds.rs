use lab::{Bench, picture};
use requant::base::files;

fn digits_model(bench: &Bench) {
    let model = lab::root().join("experiments/models/digits-mobilenet_v3_small.onnx");
    bench.put("downloads/net.onnx", &files::read(&model).unwrap());
}

fn new(bench: &Bench, name: &str, data: &str) -> lab::Ended {
    bench.run(&["new", name, "--model", "downloads/net.onnx", "--data", data])
}

/// `check` in either build: without libtorch the variants are what is missing.
fn checks(bench: &Bench, manifest: &str) {
    let ended = bench.run(&["check", manifest]);
    assert!(ended.code == Some(0) || ended.code == Some(4) && !lab::has_libtorch(), "{ended:?}");
    assert!(!ended.stderr.contains("not pinned"), "{ended:?}");
}

#[test]
fn a_model_and_a_folder_never_seen_become_a_manifest_that_runs() {
    let bench = Bench::new();
    digits_model(&bench);
    bench.pictures("downloads/pictures");
    files::create_dir_all(&bench.path("experiments")).unwrap();
    let ended = new(&bench, "mine", "downloads/pictures");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("wrote experiments/mine.toml\n"), "{ended:?}");
    assert!(ended.stdout.contains("must be what the model was trained with"), "{ended:?}");
    let text = files::read_text(&bench.path("experiments/mine.toml")).unwrap();
    for line in [
        "path = \"../downloads/net.onnx\"",
        "path = \"../downloads/pictures\"",
        "# 20 samples in test, 20 samples in train",
        "resize = [32, 32]             # or resize_shorter_side and center_crop",
        "splits = [\"train\"]\nstrategy = \"stratified\"\nsamples = 20",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    checks(&bench, "experiments/mine.toml");
    assert!(bench.run(&["pin", "--check", "experiments/mine.toml"]).stdout.contains("4 pins hold"));
    if lab::has_libtorch() {
        let quick = ["benchmark.rounds=2", "benchmark.iterations=1", "benchmark.batch_sizes=[1]", "compute.threads=1"];
        let sets = quick.iter().flat_map(|setting| ["--set", setting]);
        let ended = bench.run(&["run", "experiments/mine.toml"].into_iter().chain(sets).collect::<Vec<_>>());
        assert!([Some(0), Some(1), Some(3)].contains(&ended.code), "{ended:?}");
        let report = files::read_text(&bench.only_run("mine").join("report.md")).unwrap();
        assert!(report.contains("**Not by the manifest alone.**"), "{report}");
        let wanted = "- `compute.threads` is `1` instead of `2` (command line, --set compute.threads)";
        assert!(report.contains(wanted), "{report}");
    }
    let again = new(&bench, "mine", "downloads/pictures");
    assert!(again.code == Some(2) && again.stderr.contains("`experiments/mine.toml` exists"), "{again:?}");
}

#[test]
fn one_split_is_divided_by_lists_of_other_content() {
    let bench = Bench::new();
    digits_model(&bench);
    for number in 0..50 {
        bench.put(&format!("flat/c{}/{number}.png", number % 10), &picture(number));
    }
    // A copy must not end up on the other side of its original.
    bench.put("flat/c0/copy.png", &picture(0));
    let ended = new(&bench, "mine", "flat");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.lines().filter(|line| line.starts_with("wrote ")).count(), 3, "{ended:?}");
    let lines =
        |name: &str| files::read_text(&bench.path(name)).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let (calibration, evaluation) = (lines("mine.calibration.txt"), lines("mine.evaluation.txt"));
    assert_eq!(calibration.len(), 17);
    assert!(calibration.len() + evaluation.len() >= 50 && !evaluation.iter().any(|id| calibration.contains(id)));
    checks(&bench, "mine.toml");
}

#[test]
fn rows_are_halved_and_binaries_recognized() {
    let bench = Bench::new();
    digits_model(&bench);
    let row = |n: usize| {
        format!("{},{}\n", n % 10, (0..64).map(|p| ((n * p) % 256).to_string()).collect::<Vec<_>>().join(","))
    };
    let header: String = std::iter::once("label".to_owned()).chain((0..64).map(|p| format!(",p{p}"))).collect();
    bench.put("rows.csv", format!("{header}\n{}", (0..40).map(row).collect::<String>()).as_bytes());
    let ended = new(&bench, "rows", "rows.csv");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = files::read_text(&bench.path("rows.toml")).unwrap();
    assert!(
        text.contains("format = \"csv\"") && text.contains("splits = { train = \"0..20\", test = \"20..40\" }"),
        "{text}"
    );
    checks(&bench, "rows.toml");

    let record = |n: usize| std::iter::once(lab::byte(n % 10)).chain((0..3072).map(move |i| lab::byte(i * 7 + n * 31)));
    bench.put("cifar/data_batch_1.bin", &(0..20).flat_map(record).collect::<Vec<u8>>());
    bench.put("cifar/test_batch.bin", &(20..40).flat_map(record).collect::<Vec<u8>>());
    let ended = new(&bench, "binary", "cifar");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = files::read_text(&bench.path("binary.toml")).unwrap();
    assert!(
        text.contains("format = \"cifar10\"") && !text.contains("resize = ["),
        "they have the model's size: {text}"
    );
    checks(&bench, "binary.toml");
}

#[test]
fn what_cannot_become_a_manifest_leaves_nothing() {
    let bench = Bench::new();
    digits_model(&bench);
    bench.put("two/a/1.png", &picture(1));
    bench.put("two/b/2.png", &picture(2));
    bench.put("empty/readme.txt", b"");
    let cases = [
        ("mine", "two", 2, "too few to divide"),
        ("mine", "empty", 2, "holds no `<split>/<class>/<image>`"),
        ("mine", "nowhere", 2, "cannot open `nowhere`"),
        ("../up", "two", 2, "cannot name a file"),
    ];
    for (name, data, code, what) in cases {
        let ended = new(&bench, name, data);
        assert!(ended.code == Some(code) && ended.stderr.contains(what), "{ended:?}");
    }
    for number in 0..30 {
        bench.put(&format!("three/c{}/{number}.png", number % 3), &picture(number));
    }
    let ended = new(&bench, "mine", "three");
    assert!(
        ended.code == Some(2) && ended.stderr.contains("the model gives 10 scores, and the data has 3 classes"),
        "{ended:?}"
    );
    let recipe = bench.run(&["new", "mine", "--model", "downloads/net.onnx", "--data", "three", "--recipe", "minmx"]);
    assert!(recipe.code == Some(2) && recipe.stderr.contains("did you mean `minmax`?"), "{recipe:?}");
    assert_eq!(files::list(&bench.path("")).unwrap(), ["downloads", "empty", "three", "two"]);
}
