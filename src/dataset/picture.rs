//! PNG, JPEG, BMP and WebP as planes of pixels.

use image::{ColorType, ImageReader, Limits};

use super::Image;

/// Decoded images larger than this are refused: a few bytes must not become gigabytes.
const MAX_SIDE: u32 = 16_384;
const MAX_DECODED_BYTES: u64 = 1 << 30;

/// Grayscale files give one channel, all others three; transparency is dropped, as Pillow's
/// `convert("RGB")` does.
pub(super) fn decode(bytes: &[u8]) -> Result<Image, String> {
    let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| error.to_string())?;
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    let (channels, pixels) = if is_gray(picture.color()) {
        (1, picture.into_luma8().into_raw())
    } else {
        (3, planes(picture.into_rgb8().as_raw()))
    };
    Ok(Image { channels, height, width, pixels, full: u8::MAX })
}

const fn is_gray(color: ColorType) -> bool {
    matches!(color, ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16)
}

/// Interleaved RGB as three planes.
fn planes(interleaved: &[u8]) -> Vec<u8> {
    let (pixels, _) = interleaved.as_chunks::<3>();
    (0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect()
}

/// Whether a file name is one of an image.
pub(super) fn is_named_so(name: &str) -> bool {
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg", "bmp", "webp"].contains(&ending.as_str())
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageFormat, Luma, Rgb, RgbImage};

    use super::*;

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn planes_separate_the_channels() {
        assert_eq!(planes(&[1, 2, 3, 4, 5, 6]), [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn lossless_formats_give_their_pixels_back() {
        let small = |number: u32| u8::try_from(number).unwrap();
        let color = RgbImage::from_fn(3, 2, |x, y| Rgb([small(x), small(y), 200]));
        let gray = image::GrayImage::from_fn(3, 2, |x, y| Luma([small(10 * x + y)]));
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
            let image = decode(&encoded(&color.clone().into(), format)).unwrap();
            assert_eq!((image.channels, image.height, image.width), (3, 2, 3), "{format:?}");
            assert_eq!(image.pixels, planes(color.as_raw()), "{format:?}");
        }
        let image = decode(&encoded(&gray.clone().into(), ImageFormat::Png)).unwrap();
        assert_eq!((image.channels, image.pixels), (1, gray.into_raw()));
        assert!(decode(b"not an image").is_err());
    }
}
