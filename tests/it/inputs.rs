use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use lab::{Bench, picture, picture_names};
use requant::base::digest::Digest;
use requant::base::explain::{Diagnostic, Failure, Severity};
use requant::base::files;
use requant::base::progress::Unmetered;
use requant::codec::onnx;
use requant::graph::Op;
use requant::graph::op::Normalize;
use requant::inspect;
use requant::manifest::{self, Overrides};
use requant::tensor::Tensor;

use crate::manifests::told;
use tar::EntryType;

type Prepare = fn(&Bench);

/// Everything that stands in the way of a run of `m.toml`, engines aside, as a person reads it.
fn problems(bench: &Bench) -> String {
    let found = manifest::load(&bench.path("m.toml"), &Overrides::default()).and_then(|resolved| {
        let found = inspect::inspect(&resolved, &Unmetered);
        let concerns = found.inputs.as_ref().map(|inputs| inspect::concerns(&resolved, inputs, &found.pins));
        let all = found.problems.into_iter().chain(found.broken_pins).chain(concerns.into_iter().flatten());
        let errors: Vec<Diagnostic> = all.filter(|problem| problem.severity == Severity::Error).collect();
        Err::<(), Failure>(errors.into())
    });
    told(&found.unwrap_err(), &bench.path("m.toml").with_file_name(""))
        .replace(&bench.path("").display().to_string(), "")
}

/// What each wrong input is told, beside its caret in the manifest: `tests/diagnostics/inputs`.
#[test]
fn every_wrong_input_is_told_its_line() {
    let folder = lab::root().join("tests/diagnostics/inputs");
    let mut wrong = Vec::new();
    for (name, prepare) in CASES {
        let bench = Bench::new();
        prepare(&bench);
        let text = problems(&bench);
        let golden = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            files::create_dir_all(&folder).unwrap();
            files::write(&golden, text.as_bytes()).unwrap();
        }
        assert!(text.contains("--> ") && text.contains('^') && text.contains("= next: "), "{name}: {text}");
        if files::read_text(&golden).unwrap_or_default() != text {
            wrong.push(format!("{name}:\n{text}"));
        }
        let known = ["m.toml", "models", "data"];
        let strange: Vec<_> = files::list(&bench.path("")).unwrap();
        let strange: Vec<_> =
            strange.iter().filter(|file| !known.iter().any(|known| file.starts_with(known))).collect();
        assert!(strange.is_empty(), "{name} left {strange:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Gives the third number of a tensor in a model's file another value.
fn put_value(model: &mut [u8], tensor: &Tensor, value: f32) {
    let bytes: Vec<u8> = tensor.as_f32().unwrap().iter().flat_map(|value| value.to_le_bytes()).collect();
    let at = model.windows(bytes.len()).position(|window| window == bytes).unwrap();
    model[at + 8..at + 12].copy_from_slice(&value.to_le_bytes());
}

const CASES: &[(&str, Prepare)] = &[
    ("model_missing", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("digits-mobilenet_v3_small.onnx", "elsewhere.onnx")]);
    }),
    ("model_cut_short", |bench| {
        bench.pictures("data");
        let path = bench.on_pictures(&[]);
        let model = files::read(&bench.path("models/digits-mobilenet_v3_small.onnx")).unwrap();
        let half = &model[..model.len() / 2];
        bench.put("models/digits-mobilenet_v3_small.onnx", half);
        let text = files::read_text(&path).unwrap().replace(lab::DIGITS_MODEL, &Digest::of(half).to_string());
        bench.put("m.toml", text.as_bytes());
    }),
    ("model_without_a_number", |bench| {
        bench.pictures("data");
        let path = bench.on_pictures(&[]);
        let name = "models/digits-mobilenet_v3_small.onnx";
        let mut model = files::read(&bench.path(name)).unwrap();
        let graph = onnx::read(&model).unwrap().graph;
        let node = graph.nodes.iter().find(|node| node.name == "features.4.block.1.0").unwrap();
        put_value(&mut model, &node.op.weights().unwrap().weight, f32::NAN);
        bench.put(name, &model);
        let text = files::read_text(&path).unwrap().replace(lab::DIGITS_MODEL, &Digest::of(&model).to_string());
        bench.put("m.toml", text.as_bytes());
    }),
    ("model_with_a_negative_variance", |bench| {
        bench.pictures("data");
        let path = bench.on_pictures(&[]);
        let name = "models/digits-mobilenet_v3_small.onnx";
        let mut model = files::read(&bench.path(name)).unwrap();
        let graph = onnx::read(&model).unwrap().graph;
        let norm = graph.nodes.iter().find_map(|node| match &node.op {
            Op::Normalize(Normalize::Batch(norm)) => Some(norm),
            _ => None,
        });
        put_value(&mut model, &norm.unwrap().variance, -1.0);
        bench.put(name, &model);
        let text = files::read_text(&path).unwrap().replace(lab::DIGITS_MODEL, &Digest::of(&model).to_string());
        bench.put("m.toml", text.as_bytes());
    }),
    ("model_pin", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("sha256 = \"34", "sha256 = \"43")]);
    }),
    ("model_without_pin", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("sha256 = ", "# sha256 = ")]);
    }),
    ("layer_that_is_not_there", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[(
            "[compute]",
            "[[quantize.layer]]\nmatch = \"nowhere.*\"\nprecision = \"fp32\"\n\n[compute]",
        )]);
    }),
    ("data_missing", |bench| {
        bench.on_pictures(&[]);
    }),
    ("data_pin", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("path = \"data\"", &format!("path = \"data\"\nsha256 = \"{}\"", "0".repeat(64)))]);
    }),
    ("calibration_pin", |bench| {
        bench.pictures("data");
        let pin = format!("splits = [\"train\"]\nsha256 = \"{}\"", "0".repeat(64));
        bench.on_pictures(&[("splits = [\"train\"]", &pin)]);
    }),
    ("folder_without_images", |bench| {
        bench.put("data/readme.txt", b"nothing here");
        bench.on_pictures(&[]);
    }),
    ("folder_too_deep", |bench| {
        bench.pictures("data");
        bench.put("data/train/c0/more/1.png", &picture(99));
        bench.on_pictures(&[]);
    }),
    ("folder_with_a_line_break", |bench| {
        bench.pictures("data");
        bench.put("data/train/c0/a\nb.png", &picture(99));
        bench.on_pictures(&[]);
    }),
    ("folder_with_a_loop", |bench| {
        bench.pictures("data");
        std::os::unix::fs::symlink(bench.path("data"), bench.path("data/train/again")).unwrap();
        bench.on_pictures(&[]);
    }),
    ("folder_of_two_depths", |bench| {
        bench.pictures("data");
        bench.put("data/train/0.png", &picture(99));
        bench.on_pictures(&[]);
    }),
    ("class_folder_missing", |bench| {
        bench.pictures("data");
        std::fs::remove_dir_all(bench.path("data/test/c3")).unwrap();
        bench.on_pictures(&[]);
    }),
    ("class_not_listed", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("path = \"data\"", "path = \"data\"\nclasses = [\"c0\", \"c1\"]")]);
    }),
    ("class_count", |bench| {
        bench.pictures("data");
        for split in ["train", "test"] {
            bench.put(&format!("data/{split}/extra/0.png"), &picture(if split == "train" { 100 } else { 101 }));
        }
        bench.on_pictures(&[]);
    }),
    ("split_unknown", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("splits = [\"test\"]", "splits = [\"valid\"]")]);
    }),
    ("too_few_samples", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[(
            "splits = [\"test\"]\nstrategy = \"all\"",
            "splits = [\"test\"]\nstrategy = \"random\"\nsamples = 21",
        )]);
    }),
    ("image_unreadable", |bench| {
        bench.pictures("data");
        bench.put("data/train/c0/0.png", b"not an image");
        bench.on_pictures(&[]);
    }),
    ("image_unreadable_in_the_middle", |bench| {
        bench.pictures("data");
        bench.put("data/test/c7/1.png", &files::read(&bench.path("data/test/c7/1.png")).unwrap()[..20]);
        bench.on_pictures(&[]);
    }),
    ("image_beyond_measure", |bench| {
        bench.pictures("data");
        let mut header = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\0\x40\0\0\0\x40\0\0\x01\0\x18\0".to_vec();
        header.resize(4096, 0);
        bench.put("data/test/c7/1.png", &header);
        bench.on_pictures(&[]);
    }),
    ("one_image_of_another_size", |bench| {
        for (name, number) in picture_names().iter().zip(0..) {
            bench.put(&format!("data/{name}"), &lab::square_picture(number, 32));
        }
        bench.put("data/train/c4/1.png", &picture(3));
        bench.on_pictures(&[("resize = [32, 32]\n", "")]);
    }),
    ("image_of_another_size", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("resize = [32, 32]\n", "")]);
    }),
    ("image_smaller_than_its_crop", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("resize = [32, 32]\n", "center_crop = [32, 32]\n")]);
    }),
    ("channels", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("mean = [0.5, 0.5, 0.5]", "mean = [0.5]"), ("std = [0.5, 0.5, 0.5]", "std = [0.5]")]);
    }),
    ("leak_under_another_name", |bench| {
        bench.pictures("data");
        bench.put("data/test/c7/0.png", &files::read(&bench.path("data/train/c1/1.png")).unwrap());
        bench.on_pictures(&[]);
    }),
    ("list_missing", |bench| on_list(bench, None)),
    ("list_empty", |bench| on_list(bench, Some("\n"))),
    ("list_with_a_stranger", |bench| on_list(bench, Some("test/c0/0.png\ntest/c0/3.png\n"))),
    ("list_with_a_repetition", |bench| on_list(bench, Some("test/c0/0.png\ntest/c0/1.png\ntest/c0/0.png\n"))),
    ("template_missing", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("[compute]", "[report]\ntemplate = \"mine.tera\"\n\n[compute]")]);
    }),
    ("template_broken", |bench| {
        bench.pictures("data");
        bench.put("data.tera", b"# {{ record.settings.name ");
        bench.on_pictures(&[("[compute]", "[report]\ntemplate = \"data.tera\"\n\n[compute]")]);
    }),
    ("template_pin", |bench| {
        bench.pictures("data");
        bench.put("data.tera", b"# a report");
        let pin = format!("[report]\ntemplate = \"data.tera\"\nsha256 = \"{}\"\n\n[compute]", "0".repeat(64));
        bench.on_pictures(&[("[compute]", &pin)]);
    }),
    ("tar_that_climbs", |bench| on_tar(bench, &[(b"../escaped.png", EntryType::Regular)])),
    ("tar_that_climbs_inside", |bench| on_tar(bench, &[(b"a/../../escaped.png", EntryType::Regular)])),
    ("tar_with_an_absolute_name", |bench| on_tar(bench, &[(b"/etc/escaped.png", EntryType::Regular)])),
    ("tar_with_a_link", |bench| on_tar(bench, &[(b"train/c0/link.png", EntryType::Symlink)])),
    ("tar_with_a_hard_link", |bench| on_tar(bench, &[(b"train/c0/link.png", EntryType::Link)])),
    ("tar_with_a_device", |bench| on_tar(bench, &[(b"train/c0/null.png", EntryType::Char)])),
    ("tar_with_a_pipe", |bench| on_tar(bench, &[(b"train/c0/pipe.png", EntryType::Fifo)])),
    ("tar_with_a_twin", |bench| {
        on_tar(bench, &[(b"train/c0/x.png", EntryType::Regular), (b"./train/c0/x.png", EntryType::Regular)]);
    }),
    ("tar_with_an_odd_encoding", |bench| on_tar(bench, &[(b"train/c0/caf\xe9.png", EntryType::Regular)])),
    ("tar_with_a_line_break", |bench| on_tar(bench, &[(b"train/c0/a\nb.png", EntryType::Regular)])),
    ("tar_with_a_backslash", |bench| on_tar(bench, &[(b"train\\c0\\x.png", EntryType::Regular)])),
    ("tar_with_a_turned_name", |bench| {
        on_tar(bench, &[("train/c0/\u{202e}gnp.x".as_bytes(), EntryType::Regular)]);
    }),
    ("tar_with_a_file_named_as_a_folder", |bench| on_tar(bench, &[(b"train/c0/", EntryType::Regular)])),
    ("tar_with_an_endless_name", |bench| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.as_gnu_mut().unwrap().name[..13].copy_from_slice(b"././@LongLink");
        header.set_size(1 << 31);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(vec![b'n'; 1 << 16]);
        on_archive(bench, &bytes);
    }),
    ("tar_with_a_climbing_folder", |bench| on_tar(bench, &[(b"../up/", EntryType::Directory)])),
    ("tar_that_is_none", |bench| on_archive(bench, &[7; 3000])),
    ("tar_that_is_empty", |bench| on_archive(bench, b"")),
    ("gzip_cut_short", |bench| {
        let bytes = gzipped(&tar_of(&[(b"train/c0/x.png", EntryType::Regular)]));
        on_archive(bench, &bytes[..bytes.len() / 2]);
    }),
    ("gzip_with_another_checksum", |bench| {
        let mut bytes = gzipped(&tar_of(&[(b"train/c0/x.png", EntryType::Regular)]));
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        on_archive(bench, &bytes);
    }),
    ("gzip_bomb", |bench| {
        // Ten gigabytes of zeros, as its header honestly says.
        let mut header = tar::Header::new_gnu();
        header.set_path("train/c0/zeros.png").unwrap();
        header.set_size(10 << 30);
        header.set_cksum();
        let mut start = header.as_bytes().to_vec();
        start.extend(vec![0; 1 << 20]);
        on_archive(bench, &gzipped(&start));
    }),
    ("gzip_bomb_of_many", |bench| {
        // Each file is allowed, all together are not: half a gigabyte out of half a megabyte.
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for name in ["train/c0/a.png", "train/c0/b.png", "train/c0/c.png"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(128 << 20);
            builder.append_data(&mut header, name, std::io::repeat(0).take(128 << 20)).unwrap();
        }
        on_archive(bench, &builder.into_inner().unwrap().finish().unwrap());
    }),
    ("zip_that_climbs", |bench| on_archive(bench, &zip_of(&["../escaped.png"]))),
    ("zip_with_a_twin", |bench| {
        let bytes = zip_of(&["train/c0/x1.png", "train/c0/x2.png"]);
        on_archive(bench, &replaced(bytes, b"x2.png", b"x1.png"));
    }),
    ("zip_with_a_link", |bench| {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer.add_symlink("train/c0/x.png", "/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
        on_archive(bench, &writer.finish().unwrap().into_inner());
    }),
    ("zip_with_an_odd_encoding", |bench| {
        on_archive(bench, &replaced(zip_of(&["train/c0/cafe.png"]), b"cafe", b"caf\xe9"));
    }),
    ("zip_bomb", |bench| {
        // The central directory claims ten gigabytes for the first file.
        let mut bytes = zip_of(&["train/c0/x.png"]);
        let at = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        bytes[at + 24..at + 28].copy_from_slice(&0xf000_0000_u32.to_le_bytes());
        on_archive(bench, &bytes);
    }),
    ("zip_with_a_wrong_checksum", |bench| {
        let bytes = zip_of(&picture_names().iter().map(String::as_str).collect::<Vec<_>>());
        let at = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        let mut bytes = bytes;
        bytes[at + 16] ^= 1;
        on_archive(bench, &bytes);
    }),
    ("zip_that_lies_about_its_length", |bench| {
        let mut bytes = zip_of(&picture_names().iter().map(String::as_str).collect::<Vec<_>>());
        let at = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        bytes[at + 24] ^= 1;
        on_archive(bench, &bytes);
    }),
    ("cifar_of_broken_records", |bench| {
        bench.put("data/data_batch_1.bin", &[0; 3072]);
        bench.on_pictures(&[("image-folder", "cifar10")]);
    }),
    ("cifar_label_too_high", |bench| {
        bench.put("data/data_batch_1.bin", &[10; 3073]);
        bench.on_pictures(&[("image-folder", "cifar10")]);
    }),
    ("cifar_without_files", |bench| {
        bench.pictures("data");
        bench.on_pictures(&[("image-folder", "cifar100")]);
    }),
    ("idx_without_labels", |bench| {
        bench.put("data/train-images-idx3-ubyte", &[0, 0, 8, 3]);
        bench.on_pictures(&[("image-folder", "idx")]);
    }),
    ("idx_of_two_sets", |bench| {
        for folder in ["letters", "mnist"] {
            bench.put(
                &format!("data/{folder}/train-images-idx3-ubyte"),
                &[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9],
            );
            bench.put(&format!("data/{folder}/train-labels-idx1-ubyte"), &[0, 0, 8, 1, 0, 0, 0, 1, 1]);
        }
        bench.on_pictures(&[("image-folder", "idx")]);
    }),
    ("cifar_of_two_sets", |bench| {
        bench.put("data/a/data_batch_1.bin", &[1; 3073]);
        bench.put("data/b/data_batch_1.bin", &[2; 3073]);
        bench.on_pictures(&[("image-folder", "cifar10")]);
    }),
    ("idx_of_another_length", |bench| {
        bench.put("data/train-images-idx3-ubyte", &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 9]);
        bench.put("data/train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 2, 1, 2]);
        bench.on_pictures(&[("image-folder", "idx")]);
    }),
    ("csv_with_a_short_row", |bench| on_csv(bench, "label,a,b,c,d\n1,0,0,0,0\n2,0,0\n")),
    ("csv_of_no_square", |bench| on_csv(bench, "label,a,b,c\n1,0,0,0\n2,0,0,0\n")),
    ("csv_with_a_wrong_pixel", |bench| {
        let rows: Vec<String> = (0..10).map(|label| format!("{label},0,300,0,0\n")).collect();
        on_csv(bench, &format!("label,a,b,c,d\n{}", rows.concat()));
    }),
    ("csv_with_one_image_under_two_labels", |bench| on_csv(bench, "a,b,label,c,d\n1,2,0,3,4\n+1,02,9, 3,4\n")),
    ("csv_with_too_few_rows", |bench| on_csv(bench, "label,a,b,c,d\n1,0,0,0,0\n")),
];

fn on_list(bench: &Bench, list: Option<&str>) {
    bench.pictures("data");
    if let Some(text) = list {
        bench.put("data.txt", text.as_bytes());
    }
    let listed = "splits = [\"test\"]\nstrategy = \"list\"\nlist = \"data.txt\"";
    bench.on_pictures(&[("splits = [\"test\"]\nstrategy = \"all\"", listed)]);
}

fn on_csv(bench: &Bench, text: &str) {
    bench.put("data.csv", text.as_bytes());
    let rows = "path = \"data.csv\"\nsplits = { train = \"0..1\", test = \"1..2\" }";
    bench.on_pictures(&[("image-folder", "csv"), ("path = \"data\"", rows)]);
}

fn on_archive(bench: &Bench, bytes: &[u8]) {
    bench.put("data.bin", bytes);
    bench.on_pictures(&[("path = \"data\"", "path = \"data.bin\"")]);
}

fn on_tar(bench: &Bench, entries: &[(&[u8], EntryType)]) {
    on_archive(bench, &tar_of(entries));
}

/// A tar with names that a well-behaved writer would refuse.
fn tar_of(entries: &[(&[u8], EntryType)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(*kind);
        header.set_size(3);
        header.set_cksum();
        builder.append(&header, &b"abc"[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zip of pictures.
pub(crate) fn zip_of(names: &[&str]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (number, name) in names.iter().enumerate() {
        let method = if number % 2 == 0 { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(&picture(u8::try_from(number).unwrap())).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    for at in 0..=bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
    }
    bytes
}
