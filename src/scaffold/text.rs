//! The manifest as a person would have written it.

use std::fmt::Write as _;
use std::path::Path;

use super::Wish;
use super::data::{Choice, Found, Side};
use crate::base::text::one_line;
use crate::inspect::ModelInputs;
use crate::manifest::{Backend, Choice as _, DatasetFormat, PixelScale, Task, relative};
use crate::record::format::Reading;

/// What most ImageNet-trained models expect, per channel.
const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

pub(super) fn manifest(wish: &Wish<'_>, backend: Backend, model: &ModelInputs, found: &Found) -> String {
    let mut text = format!("schema = 1\nname = {}\ndescription = \"\"\n", quoted(wish.name));
    if !wish.task.is_usual() {
        let _ = writeln!(text, "task = \"{}\"", wish.task);
    }
    let shape: Vec<String> = model.facts.input.iter().map(usize::to_string).collect();
    let _ = write!(
        text,
        "\n[model]\n# {} inputs, {}, {}\npath = {}\n",
        shape.join(" × "),
        one_line(&model.gives()),
        one_line(&made_by(model)),
        path(wish, wish.model),
    );
    for reading in &model.facts.reading {
        let _ = writeln!(text, "# {}", one_line(&reading.sentence()));
    }
    if let Some(output) = wish.scores {
        let _ = writeln!(text, "output = {}", quoted(output));
    }
    dataset(&mut text, wish, found);
    preprocess(&mut text, model, found);
    side(&mut text, "calibration", &found.calibration);
    side(&mut text, "evaluation", &found.evaluation);
    let _ = write!(text, "\n[quantize]\nrecipe = \"{}\"\n", wish.recipe.word());
    variants(&mut text, backend);
    compute(&mut text, backend);
    text.push_str(BENCHMARK);
    text.push_str(match wish.task {
        Task::Classification => GOALS,
        Task::Fidelity => FIDELITY_GOALS,
    });
    text
}

fn variants(text: &mut String, backend: Backend) {
    let (name, engine) = match backend {
        Backend::Torch => ("int8_fbgemm_cpu", "engine = \"fbgemm\"\n"),
        Backend::Onnxruntime | Backend::Openvino | Backend::Tensorrt => ("int8_cpu", ""),
    };
    let backend = backend.word();
    let _ = write!(
        text,
        r#"
[[variant]]
name = "fp32_cpu"               # the first variant is the baseline
backend = "{backend}"
precision = "fp32"

[[variant]]
name = "{name}"
backend = "{backend}"
precision = "int8"
{engine}"#
    );
}

fn compute(text: &mut String, backend: Backend) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let _ = write!(text, "\n[compute]\nthreads = {}\n", cores.min(2));
    if backend == Backend::Torch {
        text.push_str(
            "isa = \"avx2\"                    # the same bits on every CPU with AVX2 of one maker; `native` is faster\n",
        );
    }
}

const BENCHMARK: &str = "
[benchmark]
precision = 0.02                # rounds are repeated until every speedup is known to within 2 %
";

const FIDELITY_GOALS: &str = "
[goals]
min_sqnr_db = 20.0              # of every output against the baseline's; 20 dB is noise of a tenth of the signal
";

const GOALS: &str = "
[goals]
max_accuracy_drop = 1.0         # percentage points, against the baseline
";

/// The opset, and who exported the file where it says so.
fn made_by(model: &ModelInputs) -> String {
    let (opset, producer) = (model.facts.opset, &model.facts.producer);
    if producer.is_empty() { format!("opset {opset}") } else { format!("opset {opset} of {producer}") }
}

fn dataset(text: &mut String, wish: &Wish<'_>, found: &Found) {
    let counts: Vec<String> =
        found.splits.iter().map(|(name, n)| one_line(&format!("{n} samples in {name}"))).collect();
    let _ = write!(
        text,
        "\n[dataset]\nformat = \"{}\"\n# {}\npath = {}\n",
        found.format.word(),
        counts.join(", "),
        path(wish, wish.data)
    );
    if !found.rows.is_empty() {
        let ranges: Vec<String> =
            found.rows.iter().map(|(name, rows)| format!("{name} = \"{}..{}\"", rows.start, rows.end)).collect();
        let _ = writeln!(text, "splits = {{ {} }}", ranges.join(", "));
    }
    if let Some([channels, height, width]) = found.shape {
        let _ = writeln!(text, "shape = [{channels}, {height}, {width}]");
    }
    if let Some(file) = wish.classes {
        let _ = writeln!(text, "classes_file = {}", path(wish, file));
    }
    let list = |classes: &[String]| classes.iter().map(|class| quoted(class)).collect::<Vec<_>>().join(", ");
    if found.listed {
        let _ = writeln!(text, "classes = [{}]", list(&found.classes));
    }
    if found.are_numbers() {
        let mut numeric = found.classes.clone();
        numeric.sort_by_key(|class| class.parse::<i64>().unwrap_or(i64::MAX));
        let _ =
            writeln!(text, "# CHECK THIS: the folders are numbers, taken in byte order. In numeric order they are:");
        let _ = writeln!(text, "# classes = [{}]", list(&numeric));
    }
    if found.classes.is_empty() || wish.task == Task::Fidelity {
        return;
    }
    let classes: Vec<String> = found.classes.iter().take(6).map(|class| one_line(class)).collect();
    let more = if found.classes.len() > classes.len() { ", …" } else { "" };
    let source = match found.format {
        DatasetFormat::ImageFolder if wish.classes.is_none() => "class folders in byte order",
        _ => "the data's own order",
    };
    let _ = writeln!(text, "# labels 0, 1, …: {}{more} ({source}; `classes = […]` gives another)", classes.join(", "));
}

/// The pixels that a network takes which normalizes them itself, or takes bytes.
pub(super) fn own_normalization(model: &ModelInputs) -> Option<PixelScale> {
    model.facts.reading.iter().find_map(|reading| match reading {
        Reading::Normalizes { pixels, .. } => Some(*pixels),
        Reading::Bytes => Some(PixelScale::Bytes),
        _ => None,
    })
}

fn preprocess(text: &mut String, model: &ModelInputs, found: &Found) {
    let channels = model.channels();
    let own = own_normalization(model);
    let (mean, std) = if own.is_some() {
        (vec![0.0; channels], vec![1.0; channels])
    } else if channels == 3 {
        (IMAGENET.0.to_vec(), IMAGENET.1.to_vec())
    } else {
        (vec![0.5; channels], vec![0.5; channels])
    };
    text.push_str("\n[dataset.preprocess]\n");
    text.push_str(match own {
        Some(_) => "# The model normalizes its input itself: mean 0 and std 1 leave that to it.\n",
        None => "# CHECK THESE: they must be what the model was trained with.\n",
    });
    if let Some(scale) = own.filter(|scale| !scale.is_usual()) {
        let _ = writeln!(text, "scale = \"{scale}\"");
    }
    if found.gray {
        text.push_str("grayscale = true                # the model takes one channel, and the images have three\n");
    }
    if let Some([height, width]) = found.resize {
        let _ = writeln!(text, "resize = [{height}, {width}]             # or resize_shorter_side and center_crop");
        text.push_str(by(found.format));
        text.push_str("interpolation = \"bilinear\"\nantialias = true\n");
    }
    let _ = write!(text, "mean = {mean:?}\nstd = {std:?}\n");
}

/// Whose resizing is the usual one of a format's samples.
const fn by(format: DatasetFormat) -> &'static str {
    match format {
        DatasetFormat::ImageFolder
        | DatasetFormat::Images
        | DatasetFormat::Cifar10
        | DatasetFormat::Cifar100
        | DatasetFormat::Idx => {
            "resize_by = \"pillow\"           # torchvision's and timm's transforms of Pillow's images; \"tensor\" resizes tensors\n"
        }
        // Their pixels need not be bytes.
        DatasetFormat::Csv | DatasetFormat::Digits => "",
    }
}

fn side(text: &mut String, table: &str, side: &Side) {
    let _ = write!(text, "\n[{table}]\nsplits = [{}]\n", quoted(&side.split));
    let _ = match &side.choice {
        Choice::All => writeln!(text, "strategy = \"all\""),
        Choice::Random(samples) => writeln!(text, "strategy = \"random\"\nsamples = {samples}\nseed = 0"),
        Choice::Stratified(samples) => writeln!(text, "strategy = \"stratified\"\nsamples = {samples}\nseed = 0"),
        Choice::List(file) => writeln!(text, "strategy = \"list\"\nlist = {}", quoted(file)),
    };
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A path as seen from the manifest's folder.
fn path(wish: &Wish<'_>, target: &Path) -> String {
    let home = wish.output.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let relative = match (home.canonicalize(), target.canonicalize()) {
        (Ok(home), Ok(target)) => relative(&home, &target),
        _ => target.to_owned(),
    };
    quoted(&relative.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_manifest() {
        let seen = |home: &str, target: &str| relative(Path::new(home), Path::new(target)).display().to_string();
        assert_eq!(seen("/a/experiments", "/a/data/x.tar"), "../data/x.tar");
        assert_eq!(seen("/a", "/a/m.onnx"), "m.onnx");
        assert_eq!(seen("/a/b", "/c"), "../../c");
    }

    #[test]
    fn a_name_cannot_leave_its_comment() {
        assert_eq!(one_line("a\n[evil]\u{7f}"), "a [evil]\u{fffd}");
    }
}
