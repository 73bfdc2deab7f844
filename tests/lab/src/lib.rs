//! What several tests need: where things lie, honest skips, a bench to run the program on.

#![expect(clippy::must_use_candidate, clippy::new_without_default, reason = "only tests call this")]

use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};
use requant::backend::{self, Work};
use requant::base::digest::Digest;
use requant::base::files;
use requant::manifest::{Backend, Compute, Isa, Preprocess};
use requant::picture::{Image, Threads, decode};
use requant::tensor::Tensor;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tempfile::TempDir;
use zip::ZipArchive;

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A file of the shared test material, which lies beside the checkout. Without it a test says
/// so and ends; where `CI` is set its absence is a failure.
pub fn shared(relative: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(relative);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "`../shared/{relative}` is missing, and CI must not skip");
    skip(&format!("`../shared/{relative}` is not here"));
    None
}

/// Networks of torchvision's families: small ones that are committed, and larger ones where the shared test material is here.
pub fn zoo() -> Vec<PathBuf> {
    let mut folders = vec![root().join("tests/fixtures/zoo")];
    folders.extend(shared("models/zoo"));
    let models = folders.iter().flat_map(|folder| {
        let names = files::list(folder).unwrap().into_iter();
        names.filter(|name| name.ends_with(".onnx")).map(|name| folder.join(name)).collect::<Vec<_>>()
    });
    models.collect()
}

/// Images, and what PyTorch answers to them with a network of the zoo; both exporters' files of a network share one.
pub fn answers_of(model: &Path) -> [Tensor; 2] {
    let own = model.with_extension("safetensors");
    let name = model.file_stem().unwrap().to_string_lossy().into_owned();
    let common =
        model.with_file_name(format!("{}.safetensors", name.trim_end_matches("-ts").trim_end_matches("-dynamo")));
    let stored = files::read(if own.exists() { &own } else { &common }).unwrap();
    let fixture = SafeTensors::deserialize(&stored).unwrap();
    ["input", "logits"].map(|name| floats(&fixture, name))
}

/// Says why a test did not run, and notes it where `cargo xtask test` counts.
#[expect(clippy::print_stderr, reason = "this is how a test speaks")]
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    if let Some(log) = std::env::var_os("SKIPPED_TESTS_LOG") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
        let _ = file.and_then(|mut file| writeln!(file, "{why}"));
    }
}

/// A program of this workspace, where cargo put it: above the folder of the test that runs. A test is not run on an older one,
/// which stays where it lies when cargo builds one package alone.
pub fn program(name: &str) -> PathBuf {
    let path = placed(name);
    assert!(is_current(&path), "`{}` is not of this source; plain `cargo test` builds both programs", path.display());
    path
}

/// Whether `requant-torch` was built of this source. A build with `--no-default-features` leaves it out.
pub fn has_libtorch() -> bool {
    let is_built = is_current(&placed("requant-torch"));
    if !is_built {
        skip("there is no `requant-torch` of this source");
    }
    is_built
}

fn placed(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join(name)
}

/// Whether a program is younger than every file of the library that is in both.
fn is_current(program: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|about| about.modified()).ok();
    let source = root().join("src");
    let files = files::walk(&source).unwrap().into_iter().filter(|file| file.ends_with(".rs"));
    changed(program) >= files.filter_map(|file| changed(&source.join(file))).max()
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A folder of its own in which the program runs.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        files::create_dir_all(path.parent().unwrap()).unwrap();
        files::write(&path, content).unwrap();
        path
    }

    /// Small pictures of ten classes, two of each in `train` and in `test`, no two alike.
    pub fn pictures(&self, folder: &str) {
        for (number, name) in picture_names().into_iter().enumerate() {
            self.put(&format!("{folder}/{name}"), &picture(u8::try_from(number).unwrap()));
        }
    }

    /// A manifest of the digits model on an image folder `data`, its text edited.
    pub fn on_pictures(&self, edits: &[(&str, &str)]) -> PathBuf {
        let mut text = PICTURES.replace("DIGEST", DIGITS_MODEL);
        for (from, to) in edits {
            assert!(text.contains(from), "the manifest has no `{from}`");
            text = text.replacen(from, to, 1);
        }
        let model = "models/digits-mobilenet_v3_small.onnx";
        if !self.path(model).exists() {
            self.put(model, &files::read(&root().join("experiments").join(model)).unwrap());
        }
        self.put("m.toml", text.as_bytes())
    }

    /// The demo's manifest with a short benchmark, its text edited, its model beside it.
    pub fn digits(&self, edits: &[(&str, &str)]) -> PathBuf {
        let text = files::read_text(&root().join("experiments/digits.toml")).unwrap();
        let mut text = text + "\n[benchmark]\nbatch_sizes = [1, 8]\nrounds = 2\niterations = 2\nwarmup = 1\n";
        // Tests run side by side: two threads each would wait for one another.
        text = text.replace("threads = 2", "threads = 1");
        for (from, to) in edits {
            assert!(text.contains(from), "the manifest has no `{from}`");
            text = text.replace(from, to);
        }
        let model = "models/digits-mobilenet_v3_small.onnx";
        self.put(model, &files::read(&root().join("experiments").join(model)).unwrap());
        self.put("digits.toml", text.as_bytes())
    }

    /// As [`Bench::digits`], with these bytes as the model and their digest as its pin.
    pub fn digits_with_model(&self, model: &[u8]) -> PathBuf {
        let manifest = self.digits(&[(DIGITS_MODEL, &Digest::of(model).to_string())]);
        self.put("models/digits-mobilenet_v3_small.onnx", model);
        manifest
    }

    /// Every file below `results`; empty where there is no such folder.
    pub fn leftovers(&self) -> Vec<String> {
        files::walk(&self.path("results")).unwrap_or_default()
    }

    /// A sweep over [`Bench::digits`], small and quick; `axes` is what stands below `[sweep.cross]`.
    pub fn grid(&self, axes: &str) -> PathBuf {
        let text = format!(
            "schema = 1\nname = \"grid\"\n\n[sweep]\nbase = \"digits.toml\"\n\n[sweep.set]\n\
             calibration.strategy = \"stratified\"\ncalibration.samples = 40\nevaluation.strategy = \"first\"\n\
             evaluation.samples = 60\nbenchmark.processes = 1\nrecord.evidence = false\n\n[sweep.cross]\n{axes}\n"
        );
        self.put("grid.toml", text.as_bytes())
    }

    /// The only run below `results/<experiment>`; nothing else may be there.
    pub fn only_run(&self, experiment: &str) -> PathBuf {
        let home = self.path("results").join(experiment);
        let names = files::list(&home).unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
        home.join(&names[0])
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("requant"));
        command.args(arguments).current_dir(self.folder.path()).env("RUST_BACKTRACE", "0");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

const PICTURES: &str = r#"schema = 1
name = "pictures"

[model]
path = "models/digits-mobilenet_v3_small.onnx"
sha256 = "DIGEST"

[dataset]
format = "image-folder"
path = "data"

[dataset.preprocess]
resize = [32, 32]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[calibration]
splits = ["train"]
strategy = "all"

[evaluation]
splits = ["test"]
strategy = "all"

[[variant]]
name = "fp32_cpu"
backend = "torch"
precision = "fp32"

[[variant]]
name = "int8_cpu"
backend = "torch"
precision = "int8"

[compute]
threads = 1

[benchmark]
batch_sizes = [1]
rounds = 2
iterations = 1
warmup = 1
"#;

/// Every row of a table in Markdown has as many cells as its head; with another number it is no table, or loses cells.
pub fn has_even_tables(page: &str) {
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut table = None;
    for line in page.lines() {
        match table {
            _ if !line.starts_with('|') => table = None,
            None => table = Some(cells(line)),
            Some(wanted) => assert_eq!(cells(line), wanted, "{line}"),
        }
    }
}

/// `<split>/<class>/<image>` of [`Bench::pictures`].
pub fn picture_names() -> Vec<String> {
    let split =
        |split: &'static str| (0..10).flat_map(move |class| (0..2).map(move |n| format!("{split}/c{class}/{n}.png")));
    split("test").chain(split("train")).collect()
}

/// The last eight bits of a number.
pub fn byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

/// An 8 × 8 PNG that no other number gives.
pub fn picture(number: u8) -> Vec<u8> {
    square_picture(number, 8)
}

pub fn square_picture(number: u8, side: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| image::Rgb([number, byte(x as usize * 30), byte(y as usize * 30)]);
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(side, side, pixel).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A picture as a JPEG.
pub fn jpeg(picture: &image::RgbImage) -> Vec<u8> {
    let [width, height] = [picture.width(), picture.height()].map(|side| side as usize);
    compress(picture.as_raw(), width, height, PixelFormat::Rgb, 75, Subsampling::S420).unwrap()
}

/// The pin of the demo's model.
pub const DIGITS_MODEL: &str = "34637014702298f41e57baf054bbd1473946cebb1190ec0c8c187b3c0e70425f";

/// A float tensor of a safetensors file.
pub fn floats(file: &SafeTensors<'_>, name: &str) -> Tensor {
    let view = file.tensor(name).unwrap();
    assert_eq!(view.dtype(), Dtype::F32);
    let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Tensor::f32(view.shape().to_vec(), values).unwrap()
}

/// The first images of every class of the CIFAR-10 tar, unpacked as an image folder.
pub fn unpack_some_cifar(tar: &Path, target: &Path, per_class: usize) {
    let mut archive = tar::Archive::new(files::open(tar).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let number = name.rsplit('/').next().and_then(|file| file.strip_suffix(".jpg")?.parse::<usize>().ok());
        if number.is_some_and(|number| number < per_class) {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            let path = target.join(name.strip_prefix("cifar10/").unwrap());
            files::create_dir_all(path.parent().unwrap()).unwrap();
            files::write(&path, &bytes).unwrap();
        }
    }
}

/// Runs `body` in a process whose kernels keep to AVX2, which the golden numbers were made with.
pub fn under_avx2(test: &str, body: impl FnOnce()) {
    let environment = backend::environment(&Compute { threads: 1, isa: Isa::Avx2 }, Work::Judging);
    if environment.iter().all(|(name, value)| std::env::var(name).as_deref() == Ok(*value)) {
        return body();
    }
    let own = std::env::current_exe().unwrap();
    let output = Command::new(own).args(["--exact", test, "--nocapture"]).envs(environment).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "under AVX2:\n{text}");
}

/// Settings, images, and what torchvision's own tensor transforms make of them, from `tests/fixtures/preprocess.py`.
pub fn preprocessed() -> Vec<(Preprocess, Vec<Image>, Tensor)> {
    let folder = root().join("tests/fixtures");
    let settings: Vec<Preprocess> =
        serde_json::from_slice(&files::read(&folder.join("preprocess.json")).unwrap()).unwrap();
    let stored = files::read(&folder.join("preprocess.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&stored).unwrap();
    assert!(settings.len() >= 15);
    let case = |(index, settings)| {
        let expected = floats(&stored, &format!("{index}.result"));
        (settings, images(&stored, &format!("{index}.images")), expected)
    };
    settings.into_iter().enumerate().map(case).collect()
}

/// Holds every line of `tests/fixtures/resizes.json` and `resizes-12.json` to what this backend's preprocessing gives, on one thread and on all.
pub fn resizes_as_pillow(backend: Backend) {
    #[derive(Deserialize)]
    struct Case {
        image: String,
        preprocess: Preprocess,
        shape: Vec<usize>,
        sha256: String,
    }
    let fixtures = root().join("tests/fixtures");
    let cases = ["resizes.json", "resizes-12.json"].iter().flat_map(|name| {
        let cases: Vec<Case> = serde_json::from_slice(&files::read(&fixtures.join(name)).unwrap()).unwrap();
        assert_eq!(cases.len(), 400);
        cases
    });
    let mut archive = ZipArchive::new(Cursor::new(files::read(&fixtures.join("pixels.zip")).unwrap())).unwrap();
    for case in cases {
        let mut bytes = Vec::new();
        archive.by_name(&case.image).unwrap().read_to_end(&mut bytes).unwrap();
        let image = decode::decode(&bytes, false).unwrap();
        for threads in [Threads::Own, Threads::All] {
            let tensor =
                backend::preprocess(backend, std::slice::from_ref(&image), &case.preprocess, 3, threads).unwrap();
            assert_eq!(tensor.shape()[1..], case.shape, "{}", case.image);
            let digest = Digest::of(&tensor.data().to_le_bytes()).to_string();
            assert_eq!(digest, case.sha256, "{}: {:?}", case.image, case.preprocess);
        }
    }
}

fn images(stored: &SafeTensors<'_>, name: &str) -> Vec<Image> {
    let view = stored.tensor(name).unwrap();
    let &[count, channels, height, width] = view.shape() else { panic!("{name}") };
    let image = |pixels: &[u8]| Image { channels, height, width, pixels: pixels.to_vec(), full: 255 };
    view.data().chunks(view.data().len() / count).map(image).collect()
}
