use requant::base::files;
use requant::manifest::Preprocess;
use requant::picture::{Image, Threads, preprocess};
use requant::tensor::Tensor;
use safetensors::SafeTensors;

use crate::lab;

/// Settings, images, and what torchvision's own tensor transforms make of them, from `tests/fixtures/preprocess.py`.
fn cases() -> Vec<(Preprocess, Vec<Image>, Tensor)> {
    let folder = lab::root().join("tests/fixtures");
    let settings: Vec<Preprocess> =
        serde_json::from_slice(&files::read(&folder.join("preprocess.json")).unwrap()).unwrap();
    let stored = files::read(&folder.join("preprocess.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&stored).unwrap();
    assert!(settings.len() >= 15);
    let case = |(index, settings)| {
        let expected = lab::floats(&stored, &format!("{index}.result"));
        (settings, images(&stored, &format!("{index}.images")), expected)
    };
    settings.into_iter().enumerate().map(case).collect()
}

#[cfg(feature = "torch")]
#[test]
fn every_transform_of_libtorch_is_torchvisions_to_the_bit() {
    use requant::backend;
    use requant::manifest::{Backend, Compute, Isa};

    lab::under_avx2("preprocessing::every_transform_of_libtorch_is_torchvisions_to_the_bit", || {
        lab::start(&Compute { threads: 1, isa: Isa::Avx2 }).unwrap();
        for (settings, images, expected) in cases() {
            let run =
                |images: &[Image]| backend::preprocess(Backend::Torch, images, &settings, 3, Threads::All).unwrap();
            assert!(run(&images) == expected, "{settings:?}");
            let size = expected.as_f32().unwrap().len() / images.len();
            for (image, expected) in images.iter().zip(expected.as_f32().unwrap().chunks(size)) {
                assert!(run(std::slice::from_ref(image)).as_f32().unwrap() == expected, "alone: {settings:?}");
            }
        }
    });
}

/// A pixel lies in 0..1 and is divided by a standard deviation of 0.22 or more: this is a few of its last bits.
const LAST_BITS: f32 = 4e-6;

#[test]
fn every_transform_of_requants_own_is_torchvisions_but_for_the_last_bits() {
    for (settings, images, expected) in cases() {
        let is_resized = settings.resize.is_some() || settings.resize_shorter_side.is_some();
        for threads in [Threads::Own, Threads::All] {
            let own = preprocess(&images, &settings, 3, threads).unwrap();
            assert_eq!(own.shape(), expected.shape());
            let pairs = own.as_f32().unwrap().iter().zip(expected.as_f32().unwrap());
            let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(most <= if is_resized { LAST_BITS } else { 0.0 }, "{most:e}: {settings:?}");
        }
    }
}

fn images(stored: &SafeTensors<'_>, name: &str) -> Vec<Image> {
    let view = stored.tensor(name).unwrap();
    let &[count, channels, height, width] = view.shape() else { panic!("{name}") };
    let image = |pixels: &[u8]| Image { channels, height, width, pixels: pixels.to_vec(), full: 255 };
    view.data().chunks(view.data().len() / count).map(image).collect()
}

fn image(channels: usize, height: usize, width: usize) -> Image {
    let pixels = (0..channels * height * width).map(|i| lab::byte(i * 37)).collect();
    Image { channels, height, width, pixels, full: 255 }
}

#[test]
fn gray_and_colour_images_of_several_sizes_share_a_batch() {
    let settings: Preprocess = serde_json::from_str(
        r#"{"resize_shorter_side": 6, "center_crop": [4, 5], "interpolation": "bilinear", "antialias": true, "mean": [0, 0, 0], "std": [1, 1, 1]}"#,
    )
    .unwrap();
    let (gray, colour) = (image(1, 9, 7), image(3, 12, 20));
    let run = |images: &[Image]| preprocess(images, &settings, 3, Threads::All).unwrap();
    let both = run(&[gray.clone(), colour.clone()]);
    assert_eq!(both.shape(), [2, 3, 4, 5]);
    let apart: Vec<f32> =
        [gray, colour].iter().flat_map(|i| run(std::slice::from_ref(i)).as_f32().unwrap().to_vec()).collect();
    assert_eq!(both.as_f32().unwrap(), apart);
    let plane = &both.as_f32().unwrap()[..20];
    assert_eq!(plane, &both.as_f32().unwrap()[20..40], "a gray image is the same in every channel");
    let as_it_is = Preprocess { resize_shorter_side: None, ..settings };
    let refused = preprocess(&[image(3, 3, 3)], &as_it_is, 3, Threads::Own);
    assert!(refused.unwrap_err().to_string().contains("`center_crop` asks for 4 × 5 of an image of 3 × 3"));
}
