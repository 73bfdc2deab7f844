//! Pixels against Pillow's (`tests/fixtures/pixels.py`).

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use requant::base::digest::Digest;
use requant::base::files;
use requant::base::rng::Stream;
use requant::picture::{Image, decode};
use zip::ZipArchive;

/// Kinds of files that are refused by name.
const REFUSED: [(&str, &str); 5] = [
    ("jpeg-chroma", "a chroma component out-samples luma"),
    ("tiff-cmyk", "a TIFF of inks"),
    ("tiff-float", "Tiff does not support"),
    ("tiff-jpeg", "a TIFF with a JPEG inside"),
    ("tiff-palette", "Tiff does not support"),
];

/// 16-bit gray, of which Pillow makes white wherever it is above 255: requant takes the upper byte.
const NOT_CUT_OFF: [&str; 3] = ["pgm-deep", "png-deep-gray", "tiff-deep-gray"];

struct Sample {
    name: String,
    bytes: Vec<u8>,
    height: usize,
    width: usize,
    digest: String,
}

impl Sample {
    /// The name without its number.
    fn kind(&self) -> &str {
        self.name.rsplit_once('-').unwrap().0
    }
}

fn samples() -> Vec<Sample> {
    let stored = files::read(&lab::root().join("tests/fixtures/pixels.zip")).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(stored)).unwrap();
    let mut read = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let table = String::from_utf8(read("digests.csv")).unwrap();
    let one = |line: &str| {
        let [name, height, width, digest] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        let [height, width] = [height, width].map(|length| length.parse().unwrap());
        Sample { name: name.to_owned(), bytes: read(name), height, width, digest: digest.to_owned() }
    };
    table.lines().map(one).collect()
}

/// Red, green and blue of each pixel in turn, as Pillow's `tobytes` has them.
fn interleaved(image: &Image) -> Vec<u8> {
    let size = image.height * image.width;
    (0..size).flat_map(|at| (0..3).map(move |channel| image.pixels[at + channel % image.channels * size])).collect()
}

#[test]
fn pixels_are_pillows_to_the_bit() {
    let samples = samples();
    assert!(samples.len() > 1400);
    let mut wrong: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for sample in &samples {
        let refused = REFUSED.iter().find(|(kind, _)| *kind == sample.kind());
        match (decode::decode(&sample.bytes, false), refused) {
            (Err(why), Some((_, words))) => assert!(why.contains(words), "{}: {why}", sample.name),
            (Ok(image), None) => {
                assert_eq!((image.height, image.width), (sample.height, sample.width), "{}", sample.name);
                let seen = decode::look(&sample.bytes, false).unwrap().shape;
                assert_eq!(seen, [image.channels, image.height, image.width], "{}", sample.name);
                if Digest::of(&interleaved(&image)).to_string() != sample.digest {
                    wrong.entry(sample.kind()).or_default().push(&sample.name);
                }
            }
            (Err(why), None) => panic!("{}: {why}", sample.name),
            (Ok(_), Some(_)) => panic!("{} is read, and listed as refused", sample.name),
        }
    }
    let kinds: Vec<&str> = wrong.keys().copied().collect();
    assert_eq!(kinds, NOT_CUT_OFF, "{wrong:?}");
}

#[test]
fn damaged_images_are_refused_or_read_and_never_a_panic() {
    let mut random = Stream::named(7, "damaged images");
    let mut refused = 0;
    for sample in samples().iter().step_by(3) {
        for _ in 0..8 {
            let mut bytes = sample.bytes.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] = u8::try_from(random.below(256)).unwrap();
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len()));
            }
            refused += usize::from(decode::decode(&bytes, false).is_err());
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn a_largest_sample_that_would_be_rounded_twice_is_refused() {
    let gray = |most: u32| [format!("P5 1 1 {most}\n").as_bytes(), &[1, 2]].concat();
    let refused = decode::decode(&gray(1000), false).unwrap_err();
    assert!(refused.contains("its largest sample is 1000"), "{refused}");
    assert!(decode::decode(&gray(65_535), false).is_ok());
}
