//! JPEG, to the bits of libjpeg-turbo, which Pillow and OpenCV decode with.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::{JpegInfo, PixelFormat, decompress_to, probe};

use super::{image_of, planes, shape, small_enough};
use crate::picture::{Image, Look};

pub(super) fn is_so(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

pub(super) fn look(bytes: &[u8], turn: bool) -> Result<Look, String> {
    let info = read_head(bytes)?;
    let orientation = orientation(&info);
    let channels = if info.components == 1 { 1 } else { 3 };
    let shape = shape(channels, [info.height, info.width], if turn { orientation } else { Orientation::NoTransforms });
    Ok(Look { shape, turned: orientation != Orientation::NoTransforms })
}

pub(super) fn decode(bytes: &[u8], turn: bool) -> Result<Image, String> {
    let info = read_head(bytes)?;
    let (channels, format) = if info.components == 1 { (1, PixelFormat::Grayscale) } else { (3, PixelFormat::Rgb) };
    let pixels = decompress_to(bytes, format).map_err(|error| error.to_string())?.data;
    let orientation = if turn { orientation(&info) } else { Orientation::NoTransforms };
    if orientation != Orientation::NoTransforms {
        return turned(pixels, &info, orientation);
    }
    let pixels = if channels == 1 { pixels } else { planes(&pixels) };
    Ok(Image { channels, height: info.height, width: info.width, pixels, full: u8::MAX })
}

fn turned(pixels: Vec<u8>, info: &JpegInfo, orientation: Orientation) -> Result<Image, String> {
    let side = |length: usize| u32::try_from(length).map_err(|error| error.to_string());
    let (width, height) = (side(info.width)?, side(info.height)?);
    let picture = if info.components == 1 {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    let mut picture = picture.ok_or("its pixels are fewer than its size says")?;
    picture.apply_orientation(orientation);
    Ok(image_of(picture))
}

/// The header of an image that is whole and of a kind that Pillow reads too.
fn read_head(bytes: &[u8]) -> Result<JpegInfo, String> {
    if !is_whole(bytes) {
        return Err("it is cut short".into());
    }
    let info = probe(bytes).map_err(|error| error.to_string())?;
    if info.precision != 8 || info.lossless {
        return Err(format!("it is a JPEG of {} bits, or a lossless one, which is not read", info.precision));
    }
    small_enough(info.height, info.width)?;
    Ok(info)
}

/// What is no orientation says nothing.
fn orientation(info: &JpegInfo) -> Orientation {
    info.exif_orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// Whether the markers lead to the end of the image: a decoder fills up with gray what a cut file lacks, and says nothing.
fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = &bytes[2..];
    loop {
        // Entropy-coded data follow a scan's header; in them 0xff comes with a zero or with the number of a restart.
        let Some(at) = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff))
        else {
            return false;
        };
        let (marker, after) = (rest[at + 1], &rest[at + 2..]);
        if marker == 0xd9 {
            return true;
        }
        let Some(length) = after.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length))) else {
            return false;
        };
        let Some(next) = after.get(length.max(2)..) else { return false };
        rest = next;
    }
}
