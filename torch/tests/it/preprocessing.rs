use requant::backend;
use requant::manifest::{Backend, Compute, Isa};
use requant::picture::{Image, Threads};

#[test]
fn every_transform_of_libtorch_is_torchvisions_to_the_bit() {
    lab::under_avx2("preprocessing::every_transform_of_libtorch_is_torchvisions_to_the_bit", || {
        crate::start(&Compute { threads: 1, isa: Isa::Avx2 }).unwrap();
        for (settings, images, expected) in lab::preprocessed() {
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

#[test]
fn libtorch_gets_torchvisions_and_timms_tensors_to_the_bit() {
    lab::under_avx2("preprocessing::libtorch_gets_torchvisions_and_timms_tensors_to_the_bit", || {
        crate::start(&Compute { threads: 1, isa: Isa::Avx2 }).unwrap();
        lab::resizes_as_pillow(Backend::Torch);
    });
}
