use requant::backend;
use requant::manifest::{Backend, Preprocess};
use requant::picture::{Image, Threads, preprocess};

/// A pixel lies in 0..1 and is divided by a standard deviation of 0.22 or more: this is a few of its last bits.
const LAST_BITS: f32 = 4e-6;

#[test]
fn every_transform_of_requants_own_is_torchvisions_but_for_the_last_bits() {
    for (settings, images, expected) in lab::preprocessed() {
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

#[test]
fn images_become_torchvisions_and_timms_tensors_to_the_bit() {
    lab::resizes_as_pillow(Backend::Onnxruntime);
}

#[test]
fn what_pillow_cannot_do_is_refused() {
    let settings: Preprocess = serde_json::from_str(
        r#"{"resize": [6, 6], "resize_by": "pillow", "interpolation": "lanczos", "antialias": true, "mean": [0, 0, 0], "std": [1, 1, 1]}"#,
    )
    .unwrap();
    let of_sixteen = Image { full: 16, ..image(3, 9, 7) };
    let refused = backend::preprocess(Backend::Onnxruntime, &[of_sixteen], &settings, 3, Threads::Own);
    assert!(refused.unwrap_err().to_string().contains("full intensity is 16"));
    let of_tensors = Preprocess { resize_by: None, ..settings };
    let refused = backend::preprocess(Backend::Onnxruntime, &[image(3, 9, 7)], &of_tensors, 3, Threads::Own);
    assert!(refused.unwrap_err().to_string().contains("tensors are not resized with `lanczos`"));
}
