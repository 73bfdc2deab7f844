use requant::base::files;
use requant::dataset::Image;
use requant::manifest::{Compute, Isa, Preprocess};
use safetensors::SafeTensors;

use crate::lab;

/// `tests/fixtures/preprocess.py` made these with torchvision's own tensor transforms.
#[test]
fn every_transform_is_torchvisions_to_the_bit() {
    lab::under_avx2("preprocessing::every_transform_is_torchvisions_to_the_bit", || {
        let folder = lab::root().join("tests/fixtures");
        let settings: Vec<Preprocess> =
            serde_json::from_slice(&files::read(&folder.join("preprocess.json")).unwrap()).unwrap();
        let stored = files::read(&folder.join("preprocess.safetensors")).unwrap();
        let stored = SafeTensors::deserialize(&stored).unwrap();
        let runtime = lab::start(&Compute { threads: 1, isa: Isa::Avx2 }).unwrap();
        assert!(settings.len() >= 15);
        for (index, settings) in settings.iter().enumerate() {
            let expected = lab::floats(&stored, &format!("{index}.result"));
            let images = images(&stored, &format!("{index}.images"));
            let together = runtime.arithmetic().preprocess(&images, settings, 3).unwrap();
            assert!(together == expected, "case {index} differs: {settings:?}");
            let size = expected.as_f32().unwrap().len() / images.len();
            for (image, expected) in images.iter().zip(expected.as_f32().unwrap().chunks(size)) {
                let alone = runtime.arithmetic().preprocess(std::slice::from_ref(image), settings, 3).unwrap();
                assert!(alone.as_f32().unwrap() == expected, "case {index} differs alone");
            }
        }
    });
}

fn images(stored: &SafeTensors<'_>, name: &str) -> Vec<Image> {
    let view = stored.tensor(name).unwrap();
    let &[count, channels, height, width] = view.shape() else { panic!("{name}") };
    let image = |pixels: &[u8]| Image { channels, height, width, pixels: pixels.to_vec(), full: 255 };
    view.data().chunks(view.data().len() / count).map(image).collect()
}

#[test]
fn gray_and_colour_images_of_several_sizes_share_a_batch() {
    let runtime = lab::start(&Compute { threads: 1, isa: Isa::Native }).unwrap();
    let settings: Preprocess = serde_json::from_str(
        r#"{"resize_shorter_side": 6, "center_crop": [4, 5], "interpolation": "bilinear", "antialias": true, "mean": [0, 0, 0], "std": [1, 1, 1]}"#,
    )
    .unwrap();
    let image = |channels: usize, height: usize, width: usize| Image {
        channels,
        height,
        width,
        pixels: (0..channels * height * width).map(|i| lab::byte(i * 37)).collect(),
        full: 255,
    };
    let (gray, colour) = (image(1, 9, 7), image(3, 12, 20));
    let run = |images: &[Image]| runtime.arithmetic().preprocess(images, &settings, 3).unwrap();
    let both = run(&[gray.clone(), colour.clone()]);
    assert_eq!(both.shape(), [2, 3, 4, 5]);
    let apart: Vec<f32> =
        [gray, colour].iter().flat_map(|i| run(std::slice::from_ref(i)).as_f32().unwrap().to_vec()).collect();
    assert_eq!(both.as_f32().unwrap(), apart);
    let plane = &both.as_f32().unwrap()[..20];
    assert_eq!(plane, &both.as_f32().unwrap()[20..40], "a gray image is the same in every channel");
    let refused =
        runtime.arithmetic().preprocess(&[image(3, 3, 3)], &Preprocess { resize_shorter_side: None, ..settings }, 3);
    assert!(refused.unwrap_err().to_string().contains("`center_crop` asks for 4 × 5 of an image of 3 × 3"));
}
