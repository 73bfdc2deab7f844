use lab::Bench;
use requant::base::files;
use requant::base::rng::Stream;

/// The checks that need no engine say so with this in either build.
fn without_engine_lines(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("variant ")).flat_map(|line| [line, "\n"]).collect()
}

fn optional(edits: &[(&str, &str)], bench: &Bench) {
    let mut all = vec![
        ("backend = \"torch\"\nprecision = \"fp32\"", "backend = \"torch\"\nrequired = false\nprecision = \"fp32\""),
        ("backend = \"torch\"\nprecision = \"int8\"", "backend = \"torch\"\nrequired = false\nprecision = \"int8\""),
    ];
    all.extend_from_slice(edits);
    bench.on_pictures(&all);
}

#[test]
fn a_sound_manifest_is_summed_up_and_unpinned_contents_are_named() {
    let bench = Bench::new();
    bench.pictures("data");
    optional(&[], &bench);
    let ended = bench.run(&["check", "m.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = without_engine_lines(&ended.stdout);
    let wanted = "  model        3 × 32 × 32 → 10 classes, 109 operators, pinned\n  dataset      image-folder, 10 classes, not pinned\n  calibration  20 samples of train, 2 per class, not pinned\n  evaluation   20 samples of test, 2 per class, not pinned\n  pixels       not decoded; with `--deep` every chosen sample is\n";
    assert!(said.starts_with("m.toml: ok, with ") && said.ends_with(wanted), "{said}");
    assert!(ended.stderr.contains("warning: `calibration` is not pinned"), "{ended:?}");

    let pinned = bench.run(&["pin", "m.toml"]);
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    let again = bench.run(&["check", "m.toml"]);
    assert!(!again.stderr.contains("not pinned") && again.stdout.contains("2 per class, pinned"), "{again:?}");
}

/// A picture of clouds that no other number resembles.
fn clouds(number: u64, side: u32) -> image::RgbImage {
    let mut stream = Stream::named(number, "clouds");
    let colors = image::RgbImage::from_fn(6, 6, |_, _| image::Rgb([0; 3].map(|_| lab::byte(stream.below(256)))));
    image::imageops::resize(&colors, side, side, image::imageops::FilterType::Triangle)
}

fn stored(picture: &image::RgbImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Pictures that resemble no other, and two of `train` again in `test`: as another format, and smaller and compressed.
fn with_copies(bench: &Bench) {
    for (name, number) in lab::picture_names().into_iter().zip(0..) {
        bench.put(&format!("data/{name}"), &stored(&clouds(number, 32), image::ImageFormat::Png));
    }
    let names = lab::picture_names();
    let of = |name: &str| names.iter().position(|own| own == name).unwrap() as u64;
    let same = clouds(of("train/c3/1.png"), 32);
    bench.put("data/test/c3/copy.bmp", &stored(&same, image::ImageFormat::Bmp));
    let smaller = clouds(of("train/c4/0.png"), 24);
    bench.put("data/test/c4/copy.jpg", &lab::jpeg(&smaller));
}

#[test]
fn a_deep_look_finds_pictures_on_both_sides_and_pixels_that_are_none() {
    let bench = Bench::new();
    with_copies(&bench);
    optional(&[], &bench);
    let shallow = bench.run(&["check", "m.toml"]);
    assert!(shallow.code == Some(0) && shallow.stdout.contains("pixels       not decoded"), "{shallow:?}");
    let ended = bench.run(&["check", "--deep", "m.toml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for told in [
        "1 of 22 evaluation samples show the same pixels as a calibration sample, in another file: `test/c3/copy.bmp` and `train/c3/1.png`",
        "1 of 22 evaluation samples look like a calibration sample: `test/c4/copy.jpg` and `train/c4/0.png`",
    ] {
        assert!(ended.stderr.contains(told), "{ended:?}");
    }
    assert!(!ended.stdout.contains("not decoded"), "{ended:?}");
    // Pixels that do not unpack, behind a checksum that is right.
    let mut broken = stored(&clouds(99, 32), image::ImageFormat::Png);
    let kind = broken.windows(4).position(|window| window == b"IDAT").unwrap();
    let length = u32::from_be_bytes(broken[kind - 4..kind].try_into().unwrap()) as usize;
    let end = kind + 4 + length;
    broken[kind + 20..end].fill(0xff);
    let mut sum = flate2::Crc::new();
    sum.update(&broken[kind..end]);
    broken[end..end + 4].copy_from_slice(&sum.sum().to_be_bytes());
    bench.put("data/test/c5/broken.png", &broken);
    let ended = bench.run(&["check", "m.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = bench.run(&["check", "--deep", "m.toml"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("`test/c5/broken.png`"), "{ended:?}");
}

#[test]
fn a_run_counts_pictures_on_both_sides() {
    if !lab::has_libtorch() {
        return;
    }
    let bench = Bench::new();
    with_copies(&bench);
    bench.on_pictures(&[]);
    bench.run(&["run", "m.toml"]);
    let record = requant::record::store::read(&bench.only_run("pictures")).unwrap();
    let inputs = &record.inputs;
    assert_eq!((inputs.shared_samples, inputs.shared_pictures, inputs.look_alikes), (0, 1, 1));
    let finding = record.findings.iter().find(|finding| finding.code == "calibration").unwrap();
    assert_eq!(finding.verdict, requant::base::finding::Verdict::Fail, "{finding:?}");
}

#[test]
fn a_class_without_samples_is_a_warning_and_a_leak_an_error() {
    let bench = Bench::new();
    bench.pictures("data");
    optional(
        &[(
            "splits = [\"train\"]\nstrategy = \"all\"",
            "splits = [\"train\", \"test\"]\nstrategy = \"first\"\nsamples = 21",
        )],
        &bench,
    );
    let ended = bench.run(&["check", "m.toml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("1 of 20 evaluation samples are also calibration samples, by content: `test/c0/0.png`"),
        "{ended:?}"
    );
    optional(
        &[("splits = [\"train\"]\nstrategy = \"all\"", "splits = [\"train\"]\nstrategy = \"first\"\nsamples = 17")],
        &bench,
    );
    let ended = bench.run(&["check", "m.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("the calibration subset has no sample of 1 of 10 classes: `c9`"), "{ended:?}");
}

#[test]
fn every_manifest_of_the_folder_is_checked_and_the_gravest_decides() {
    let bench = Bench::new();
    bench.pictures("experiments/data");
    optional(&[], &bench);
    let text = files::read_text(&bench.path("m.toml")).unwrap();
    files::rename(&bench.path("models"), &bench.path("experiments/models")).unwrap();
    bench.put("experiments/a.toml", text.as_bytes());
    bench.put("experiments/b.toml", text.replace("sha256 = \"34", "sha256 = \"43").as_bytes());
    bench.put("experiments/c.toml", text.replace("resize = [32, 32]", "resize = [24, 32]").as_bytes());
    let ended = bench.run(&["check"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let headlines: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("experiments/")).collect();
    assert_eq!(headlines.len(), 3, "{headlines:?}");
    assert!(
        headlines[0].contains("a.toml: ok") && headlines[1].contains("1 error") && headlines[2].contains("1 error")
    );
    let only = bench.run(&["check", "experiments/b.toml"]);
    assert_eq!(only.code, Some(5), "{only:?}");

    let json = bench.run(&["check", "--format", "json", "experiments/b.toml", "experiments/c.toml"]);
    assert!(json.code == Some(2) && json.stderr.is_empty(), "{json:?}");
    let answer: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let problem = &answer["manifests"][0]["diagnostics"][0];
    assert_eq!((&answer["format"], &answer["manifests"][0]["exit_code"]), (&1.into(), &5.into()));
    assert_eq!((&problem["severity"], &problem["cause"]), (&"error".into(), &"integrity".into()));
    let place =
        serde_json::json!({"file": "experiments/b.toml", "line": 6, "column": 10, "end_line": 6, "end_column": 76});
    assert_eq!(problem["place"], place);
    assert_eq!(bench.run(&["check", "nowhere.toml"]).code, Some(2));
}

#[test]
fn settings_from_outside_are_named_by_check() {
    let bench = Bench::new();
    bench.pictures("data");
    optional(&[], &bench);
    let ended = bench.run(&["check", "m.toml", "--set", "compute.threads=2"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("`compute.threads` is 2 instead of 1, by command line, --set compute.threads"),
        "{ended:?}"
    );
    let mut command = bench.command(&["check", "m.toml"]);
    let ended = command.env("REQUANT_EVALUATION__BATCH_SIZE", "0").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(2) && said.contains("--> environment:1:32"), "{said}");
}

/// The same image planted on both sides of fifteen thousand under different names.
#[test]
fn one_planted_image_is_found_among_all_of_cifar() {
    let Some(tar) = lab::shared("datasets/cifar10.tar") else { return };
    let bench = Bench::new();
    let planted = files::read(&bench.put("planted.jpg", &first_image(&tar, "cifar10/train/frog/0100.jpg"))).unwrap();
    let mut bytes = files::read(&tar).unwrap();
    bytes.truncate(end_of_entries(&tar));
    let mut builder = tar::Builder::new(bytes);
    // A builder appends to what it is given only at the end.
    let mut header = tar::Header::new_ustar();
    header.set_size(planted.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "cifar10/test/cat/zz.jpg", planted.as_slice()).unwrap();
    bench.put("cifar.tar", &builder.into_inner().unwrap());
    let model = "models/cifar10-mobilenet_v3_small.onnx";
    bench.put(model, &files::read(&lab::root().join("experiments").join(model)).unwrap());
    let text = files::read_text(&lab::root().join("experiments/cifar10-mobilenet_v3_small.toml")).unwrap();
    let pinned = |line: &&str| line.starts_with("sha256") && !line.contains("246c4310");
    let text: String = text.lines().filter(|line| !pinned(line)).flat_map(|line| [line, "\n"]).collect();
    let everything = text
        .replace("../data/cifar10.tar", "cifar.tar")
        .replace("samples = 512", "")
        .replace("samples = 2000", "")
        .replace("strategy = \"stratified\"", "strategy = \"all\"")
        .replacen("precision = \"fp32\"", "precision = \"fp32\"\nrequired = false", 1)
        .replacen("engine = \"fbgemm\"", "engine = \"fbgemm\"\nrequired = false", 1);
    bench.put("m.toml", everything.as_bytes());
    let ended = bench.run(&["check", "m.toml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let wanted = "1 of 10001 evaluation samples are also calibration samples, by content: `test/cat/zz.jpg` is `train/frog/0100.jpg`";
    assert!(ended.stderr.contains(wanted), "{ended:?}");
}

fn first_image(tar: &std::path::Path, name: &str) -> Vec<u8> {
    let mut archive = tar::Archive::new(files::open(tar).unwrap());
    let mut bytes = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes() == name.as_bytes() {
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        }
    }
    assert!(!bytes.is_empty(), "`{name}` is not in the tar");
    bytes
}

/// Where the last entry's data ends, rounded up to the tar's blocks.
fn end_of_entries(tar: &std::path::Path) -> usize {
    let mut archive = tar::Archive::new(files::open(tar).unwrap());
    let ends = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.raw_file_position() + entry.size()).next_multiple_of(512)
    });
    usize::try_from(ends.max().unwrap()).unwrap()
}

#[test]
fn a_working_folder_that_is_not_utf_8_is_refused_at_the_start() {
    use std::os::unix::ffi::OsStrExt as _;
    let bench = Bench::new();
    let folder = bench.path("").join(std::ffi::OsStr::from_bytes(b"n\xff"));
    std::fs::create_dir(&folder).unwrap();
    let ended = bench.command(&["list"]).current_dir(&folder).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(2) && told.contains("is not UTF-8") && told.contains("= next: "), "{told}");
}
