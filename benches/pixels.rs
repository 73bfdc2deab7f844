//! How fast images become tensors: `benches/peer/pixels.py` times PyTorch's `DataLoader` and Pillow beside it.
//!
//! ```sh
//! cargo bench --bench pixels -- FOLDER [SECONDS]
//! ```
//!
//! `FOLDER` holds JPEGs. Printed as JSON: images per second on all processors, decoded alone and decoded, resized to 256 on the shorter
//! side, cropped to 224 and normalized in batches of 32; and milliseconds for an image on one thread, decoded and resized.

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

use rayon::prelude::*;
use requant::backend;
use requant::base::{clock, files};
use requant::manifest::{Backend, Interpolation, PixelScale, Preprocess, ResizeBy};
use requant::picture::{Image, Threads, decode};

/// Images that become one tensor.
const BATCH: usize = 32;

fn settings() -> Preprocess {
    Preprocess {
        resize: None,
        resize_shorter_side: Some(256),
        center_crop: Some([224, 224]),
        scale: PixelScale::Unit,
        grayscale: false,
        exif_orientation: false,
        resize_by: Some(ResizeBy::Pillow),
        interpolation: Interpolation::Bilinear,
        antialias: true,
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    }
}

/// Calls of `body` in about `seconds`, and how long they took.
fn repeated(seconds: f64, mut body: impl FnMut()) -> (usize, f64) {
    let start = clock::tick();
    let mut calls = 0;
    loop {
        body();
        calls += 1;
        let taken = start.elapsed().as_secs_f64();
        if taken >= seconds {
            return (calls, taken);
        }
    }
}

fn decoded(bytes: &[u8]) -> Image {
    decode::decode(bytes, false).expect("a JPEG")
}

fn tensors(images: &[Image], settings: &Preprocess, threads: Threads) {
    black_box(backend::preprocess(Backend::Onnxruntime, images, settings, 3, threads).expect("a tensor"));
}

fn measure(folder: &Path, seconds: f64) -> Result<(), files::FileError> {
    let names = files::list(folder)?;
    let stored = names.iter().map(|name| files::read(&folder.join(name))).collect::<Result<Vec<_>, _>>()?;
    let settings = settings();
    let per_second = |(calls, taken): (usize, f64)| (calls * stored.len()) as f64 / taken;
    let milliseconds = |(calls, taken): (usize, f64)| taken * 1e3 / calls as f64;
    let alone = per_second(repeated(seconds, || {
        stored.par_iter().for_each(|bytes| drop(black_box(decoded(bytes))));
    }));
    let whole = per_second(repeated(seconds, || {
        for batch in stored.chunks(BATCH) {
            let images: Vec<Image> = batch.par_iter().map(|bytes| decoded(bytes)).collect();
            tensors(&images, &settings, Threads::All);
        }
    }));
    let mut next = stored.iter().cycle();
    let decode = milliseconds(repeated(seconds / 2.0, || {
        black_box(decoded(next.next().expect("an image")));
    }));
    let image = decoded(&stored[0]);
    let resize =
        milliseconds(repeated(seconds / 2.0, || tensors(std::slice::from_ref(&image), &settings, Threads::Own)));
    #[expect(clippy::print_stdout, reason = "this is how a bench speaks")]
    {
        println!("{{\"decoded\": {alone}, \"tensors\": {whole}, \"decode_ms\": {decode}, \"resize_ms\": {resize}}}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(folder) = arguments.first() else {
        // As `cargo test` and `cargo bench` start it, without a folder.
        return ExitCode::SUCCESS;
    };
    let seconds = arguments.get(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(4.0);
    match measure(Path::new(folder), seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "this is how a bench speaks")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}
