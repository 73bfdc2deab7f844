//! PNG, JPEG, BMP, WebP, TIFF and PPM/PGM as planes of pixels: those that Pillow's `convert("RGB")` gives, to the bit, which
//! `tests/fixtures/pixels.py` holds every kind of file to. docs/data.md lists what is read otherwise, or refused.

mod depth;
mod jpeg;

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Image, Look};

/// Larger images are refused: a few bytes must not become gigabytes.
const MAX_PIXELS: u64 = 1 << 26;

/// Decoders may take this much for themselves.
const MAX_DECODED_BYTES: u64 = 1 << 30;

/// A look at the image's header; `turn` says whether it will be decoded the way that EXIF says.
pub fn look(bytes: &[u8], turn: bool) -> Result<Look, String> {
    if jpeg::is_so(bytes) {
        return jpeg::look(bytes, turn);
    }
    let mut decoder = decoder(bytes)?;
    whole(bytes)?;
    let (width, height) = decoder.dimensions();
    let channels = if is_gray(decoder.color_type()) { 1 } else { 3 };
    let orientation = orientation(&mut decoder);
    let size = [height as usize, width as usize];
    let shape = shape(channels, size, if turn || is_tiff(bytes) { orientation } else { Orientation::NoTransforms });
    Ok(Look { shape, turned: orientation != Orientation::NoTransforms && !is_tiff(bytes) })
}

/// Grayscale files give one channel, all others three; transparency is dropped, as Pillow's
/// `convert("RGB")` does.
pub fn decode(bytes: &[u8], turn: bool) -> Result<Image, String> {
    if jpeg::is_so(bytes) {
        return jpeg::decode(bytes, turn);
    }
    whole(bytes)?;
    let mut decoder = decoder(bytes)?;
    let turn = turn || is_tiff(bytes);
    let orientation = if turn { orientation(&mut decoder) } else { Orientation::NoTransforms };
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    let mut picture = depth::in_bytes(bytes, picture);
    picture.apply_orientation(orientation);
    Ok(image_of(picture))
}

/// A picture of bytes as planes.
fn image_of(picture: DynamicImage) -> Image {
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    let (channels, pixels) = if is_gray(picture.color()) {
        (1, picture.into_luma8().into_raw())
    } else {
        (3, planes(picture.into_rgb8().as_raw()))
    };
    Image { channels, height, width, pixels, full: u8::MAX }
}

/// The shape of an image of `[height, width]` once it is turned.
const fn shape(channels: usize, [height, width]: [usize; 2], turned: Orientation) -> [usize; 3] {
    if swaps_sides(turned) { [channels, width, height] } else { [channels, height, width] }
}

/// The orientation is a tag of TIFF itself, and Pillow obeys it there, unlike EXIF in other formats.
fn is_tiff(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| bytes.starts_with(*magic))
}

/// What cannot be read of EXIF says nothing.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

const fn swaps_sides(orientation: Orientation) -> bool {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            true
        }
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
    }
}

/// Whether an image has its end, and a PNG its checksums.
fn whole(bytes: &[u8]) -> Result<(), String> {
    let is_whole = match bytes {
        [0x89, b'P', b'N', b'G', _, _, _, _, chunks @ ..] => return whole_chunks(chunks),
        [b'R', b'I', b'F', b'F', a, b, c, d, rest @ ..] => u32::from_le_bytes([*a, *b, *c, *d]) as usize <= rest.len(),
        _ => true,
    };
    if is_whole { Ok(()) } else { Err("it is cut short".into()) }
}

fn whole_chunks(mut chunks: &[u8]) -> Result<(), String> {
    while let Some((head, rest)) = chunks.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*head) as usize;
        let Some((covered, rest)) = length.checked_add(4).and_then(|end| rest.split_at_checked(end)) else { break };
        let Some((sum, rest)) = rest.split_first_chunk::<4>() else { break };
        if crc32fast::hash(covered) != u32::from_be_bytes(*sum) {
            return Err("a checksum in it is wrong".into());
        }
        if covered.starts_with(b"IEND") {
            return Ok(());
        }
        chunks = rest;
    }
    Err("it is cut short".into())
}

fn decoder(bytes: &[u8]) -> Result<impl ImageDecoder, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| error.to_string())?;
    match reader.format() {
        None => return Err("it is no image, whatever its name says".into()),
        Some(format) if !format.reading_enabled() => {
            return Err(format!("it is {}, which is not read, whatever its name says", article(format)));
        }
        Some(_) => {}
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    small_enough(height as usize, width as usize)?;
    depth::readable(bytes, decoder.original_color_type())?;
    Ok(decoder)
}

fn small_enough(height: usize, width: usize) -> Result<(), String> {
    let fits = (height as u64).checked_mul(width as u64).is_some_and(|pixels| pixels <= MAX_PIXELS);
    if fits { Ok(()) } else { Err(format!("it has {height} × {width} pixels, and at most {MAX_PIXELS} are read")) }
}

fn article(format: ImageFormat) -> String {
    format!("a {} file", format.extensions_str().first().unwrap_or(&"?").to_uppercase())
}

const fn is_gray(color: ColorType) -> bool {
    matches!(color, ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16)
}

/// Interleaved RGB as three planes.
fn planes(interleaved: &[u8]) -> Vec<u8> {
    let (pixels, _) = interleaved.as_chunks::<3>();
    let mut planes = vec![0; 3 * pixels.len()];
    let (red, rest) = planes.split_at_mut(pixels.len());
    let (green, blue) = rest.split_at_mut(pixels.len());
    for (((pixel, red), green), blue) in pixels.iter().zip(red).zip(green).zip(blue) {
        [*red, *green, *blue] = *pixel;
    }
    planes
}

/// Whether a file name is one of an image.
#[must_use]
pub fn is_named_so(name: &str) -> bool {
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg", "jpe", "jfif", "bmp", "webp", "tif", "tiff", "ppm", "pgm", "pnm"].contains(&ending.as_str())
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, Luma, Rgb, RgbImage};

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
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Pnm] {
            let image = decode(&encoded(&color.clone().into(), format), false).unwrap();
            assert_eq!((image.channels, image.height, image.width), (3, 2, 3), "{format:?}");
            assert_eq!(image.pixels, planes(color.as_raw()), "{format:?}");
        }
        let image = decode(&encoded(&gray.clone().into(), ImageFormat::Png), false).unwrap();
        assert_eq!((image.channels, image.pixels), (1, gray.into_raw()));
        assert!(decode(b"not an image", false).is_err());
    }

    /// A TIFF of 2 × 1 gray pixels, 10 and 20, with an orientation.
    fn oriented_tiff(orientation: u16) -> Vec<u8> {
        let tags: [(u16, u16, u32); 9] = [
            (256, 3, 2),
            (257, 3, 1),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 8),
            (274, 3, orientation.into()),
            (278, 3, 1),
            (279, 4, 2),
        ];
        let mut bytes = b"II*\0\x0a\0\0\0\x0a\x14".to_vec();
        bytes.extend(u16::try_from(tags.len()).unwrap().to_le_bytes());
        for (tag, kind, value) in tags {
            bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            bytes.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
        }
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn a_tiff_is_turned_as_its_tag_says_whatever_is_said_of_exif() {
        for turn in [false, true] {
            let image = |orientation| decode(&oriented_tiff(orientation), turn).unwrap();
            assert_eq!(image(1).pixels, [10, 20]);
            assert_eq!(image(3).pixels, [20, 10]);
            assert_eq!((image(6).height, image(6).width), (2, 1));
            assert_eq!(look(&oriented_tiff(6), turn), Ok(Look::plain([1, 2, 1])));
        }
    }

    #[test]
    fn a_shape_is_of_a_whole_image_and_has_a_limit() {
        let gray = encoded(&image::GrayImage::new(7, 5).into(), ImageFormat::Png);
        let color = {
            use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};
            compress(&[0; 72], 4, 6, PixelFormat::Rgb, 90, Subsampling::S420).unwrap()
        };
        assert_eq!((look(&gray, false), look(&color, false)), (Ok(Look::plain([1, 5, 7])), Ok(Look::plain([3, 6, 4]))));
        let webp = encoded(&RgbImage::new(4, 6).into(), ImageFormat::WebP);
        for image in [&gray, &color, &webp] {
            assert!(look(image, false).is_ok() && decode(image, false).is_ok());
            assert!(
                look(&image[..image.len() - 3], false).is_err() && decode(&image[..image.len() - 3], false).is_err()
            );
        }
        let mut flipped = gray.clone();
        *flipped.iter_mut().rev().nth(20).unwrap() ^= 1;
        assert!(look(&flipped, false).unwrap_err().contains("checksum"));
        let mut header = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\0\x40\0\0\0\x40\0\0\x01\0\x18\0".to_vec();
        header.resize(4096, 0);
        assert!(look(&header, false).unwrap_err().contains("16384 × 16384"));
    }
}
