use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use lab::{Bench, picture_names};
use requant::base::digest::Digest;
use requant::base::files;
use requant::base::progress::Unmetered;
use requant::dataset::{self, Source};
use requant::manifest::{Dataset, Subset};

fn open(bench: &Bench, settings: &str, path: &str) -> Box<dyn Source> {
    let preprocess = "preprocess = { interpolation = \"bilinear\", antialias = false, mean = [0.5], std = [0.5] }";
    let settings: Dataset = toml::from_str(&format!("{settings}\n{preprocess}")).unwrap();
    dataset::open(&settings, Some(&bench.path(path)), &dataset::labels(&settings, None).unwrap().0).unwrap()
}

fn subset(splits: &str, more: &str) -> Subset {
    toml::from_str(&format!("splits = {splits}\n{more}\nseed = 0\nbatch_size = 1")).unwrap()
}

fn digest(source: &dyn Source, splits: &str) -> Digest {
    dataset::choose(source, &subset(splits, "strategy = \"all\""), None, &Unmetered).unwrap().digest()
}

fn tar_of_pictures(bench: &Bench, prefix: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    // Archives list files in any order; the dataset's order is by name.
    for name in picture_names().iter().rev() {
        builder.append_path_with_name(bench.path("data").join(name), format!("{prefix}{name}")).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_folder_and_every_archive_of_it_are_the_same_samples() {
    let bench = Bench::new();
    bench.pictures("data");
    let tar = tar_of_pictures(&bench, "./top/");
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut gz, &tar).unwrap();
    bench.put("a.tar", &tar);
    bench.put("a.tar.gz", &gz.finish().unwrap());
    bench.put("a.zip", &crate::inputs::zip_of(&picture_names().iter().map(String::as_str).collect::<Vec<_>>()));
    let image_folder = "format = \"image-folder\"";
    let folder = open(&bench, image_folder, "data");
    let wanted = digest(&*folder, "[\"test\", \"train\"]");
    for archive in ["a.tar", "a.tar.gz", "a.zip"] {
        let source = open(&bench, image_folder, archive);
        assert_eq!(source.splits(), ["test", "train"], "{archive}");
        assert_eq!(source.classes(), folder.classes(), "{archive}");
        assert_eq!(digest(&*source, "[\"test\", \"train\"]"), wanted, "{archive}");
        assert_eq!(source.digest(&Unmetered).unwrap(), Digest::of(&files::read(&bench.path(archive)).unwrap()));
        let entry = &source.split("train").unwrap()[3];
        let image = source.decode(entry, &source.bytes(entry).unwrap()).unwrap();
        assert_eq!(
            (image.channels, image.height, image.width, image.pixels[0]),
            (3, 8, 8, 23),
            "{archive}: {}",
            entry.id
        );
    }
    assert_ne!(digest(&*folder, "[\"train\", \"test\"]"), wanted, "the order of splits counts");
}

#[test]
fn the_digest_of_a_folder_is_what_sha256sum_makes_of_it() {
    let bench = Bench::new();
    bench.pictures("data");
    let by_hand = "cd data && find -L . -type f | cut -c3- | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum";
    let output = std::process::Command::new("sh").args(["-c", by_hand]).current_dir(bench.path("")).output().unwrap();
    let found = open(&bench, "format = \"image-folder\"", "data").digest(&Unmetered).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{found}  -\n"));
}

#[test]
fn listed_classes_set_the_labels() {
    let bench = Bench::new();
    bench.pictures("data");
    let backwards: Vec<String> = (0..10).rev().map(|class| format!("\"c{class}\"")).collect();
    let settings = format!("format = \"image-folder\"\nclasses = [{}]", backwards.join(", "));
    let source = open(&bench, &settings, "data");
    let entries = source.split("test").unwrap();
    assert_eq!(source.classes()[0], "c9");
    assert!(entries.iter().all(|entry| entry.id.contains(&format!("/c{}/", 9 - entry.class))), "{entries:?}");
}

#[test]
fn a_list_chooses_in_its_own_order() {
    let bench = Bench::new();
    bench.pictures("data");
    let source = open(&bench, "format = \"image-folder\"", "data");
    let text = "train/c3/1.png\n\ntest/c0/0.png\ntrain/c0/0.png\n";
    let list = dataset::List { path: Path::new("l.txt"), text };
    let settings = subset("[\"test\", \"train\"]", "strategy = \"list\"");
    let chosen = dataset::choose(&*source, &settings, Some(list), &Unmetered).unwrap();
    assert_eq!(chosen.listing(), text.replace("\n\n", "\n"));
    assert_eq!(chosen.entries.iter().map(|entry| entry.class).collect::<Vec<_>>(), [3, 0, 0]);
}

#[test]
fn cifar_binaries_are_records_of_labels_and_planes() {
    let bench = Bench::new();
    let record = |labels: &[u8], shade: u8| {
        let mut bytes = labels.to_vec();
        bytes.extend((0..3 * 1024).map(|i| shade.wrapping_add(lab::byte(i / 1024))));
        bytes
    };
    let two = |label: u8, shade: u8| [record(&[label], shade), record(&[label + 1], shade + 9)].concat();
    bench.put("c10/cifar-10-batches-bin/data_batch_1.bin", &two(0, 10));
    bench.put("c10/cifar-10-batches-bin/data_batch_2.bin", &two(4, 50));
    bench.put("c10/cifar-10-batches-bin/test_batch.bin", &two(8, 90));
    let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    bench.put("c10/cifar-10-batches-bin/batches.meta.txt", names.as_bytes());
    let source = open(&bench, "format = \"cifar10\"", "c10");
    assert_eq!((source.splits(), source.classes()[8].as_str()), (vec!["test".to_owned(), "train".into()], "ship"));
    let train = source.split("train").unwrap();
    let labels: Vec<_> = train.iter().map(|entry| (entry.id.as_str(), entry.class)).collect();
    assert_eq!(labels, [("data_batch_1/0", 0), ("data_batch_1/1", 1), ("data_batch_2/0", 4), ("data_batch_2/1", 5)]);
    let image = source.decode(&train[3], &source.bytes(&train[3]).unwrap()).unwrap();
    assert_eq!((image.channels, image.height, image.width), (3, 32, 32));
    assert_eq!([image.pixels[0], image.pixels[1024], image.pixels[3071]], [59, 60, 61]);

    bench.put("c100/train.bin", &[record(&[1, 99], 3), record(&[2, 7], 4)].concat());
    bench.put("c100/test.bin", &record(&[0, 42], 5));
    let source = open(&bench, "format = \"cifar100\"", "c100");
    let train: Vec<_> = source.split("train").unwrap().iter().map(|entry| entry.class).collect();
    assert_eq!((train, source.split("test").unwrap()[0].class, source.classes().len()), (vec![99, 7], 42, 100));
}

#[test]
fn mnist_files_are_read_plain_and_gzipped() {
    let bench = Bench::new();
    let idx = |dims: &[u32], data: &[u8]| {
        let mut bytes = vec![0, 0, 8, lab::byte(dims.len())];
        dims.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(data);
        bytes
    };
    let gzipped = |bytes: Vec<u8>| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        std::io::Write::write_all(&mut encoder, &bytes).unwrap();
        encoder.finish().unwrap()
    };
    bench.put("m/train-images-idx3-ubyte", &idx(&[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
    bench.put("m/train-labels-idx1-ubyte", &idx(&[2], &[9, 0]));
    bench.put("m/t10k-images-idx3-ubyte.gz", &gzipped(idx(&[1, 2, 3], &[21, 22, 23, 24, 25, 26])));
    bench.put("m/t10k-labels-idx1-ubyte.gz", &gzipped(idx(&[1], &[4])));
    let source = open(&bench, "format = \"idx\"", "m");
    assert_eq!((source.splits(), source.classes().len()), (vec!["test".to_owned(), "train".into()], 10));
    let (train, test) = (source.split("train").unwrap(), source.split("test").unwrap());
    assert_eq!((train[1].id.as_str(), train[0].class, train[1].class), ("train/1", 9, 0));
    assert_eq!(source.bytes(&train[1]).unwrap(), [7, 8, 9, 10, 11, 12]);
    let image = source.decode(&test[0], &source.bytes(&test[0]).unwrap()).unwrap();
    assert_eq!((image.channels, image.height, image.width, image.pixels[5], image.full), (1, 2, 3, 26, 255));
}

#[test]
fn csv_rows_are_images_of_the_stated_shape() {
    let bench = Bench::new();
    bench.put("a.csv", b"p0,p1,label,p2,p3\r\n1,2,cat,3,4\r\n5,6,ant,7,8\r\n\"9\",10,cat,11,12\r\n");
    let source =
        open(&bench, "format = \"csv\"\nshape = [1, 1, 4]\nfull_scale = 16\nsplits = { all = \"0..3\" }", "a.csv");
    assert_eq!(source.classes(), ["ant", "cat"]);
    let entries = source.split("all").unwrap();
    let row = |at: usize| source.decode(&entries[at], &source.bytes(&entries[at]).unwrap()).unwrap();
    assert_eq!((row(2).pixels, row(0).full, entries[1].class), (vec![9, 10, 11, 12], 16, 0));
    assert_eq!((row(0).channels, row(0).height, row(0).width), (1, 1, 4));
    assert_eq!(source.bytes(&entries[2]).unwrap(), b"9,10,11,12", "a sample's bytes are its pixels");
}
