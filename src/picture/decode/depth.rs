//! How samples of other depths become bytes, as Pillow has it.

use image::{DynamicImage, ExtendedColorType, GrayImage, RgbImage};

/// Refuses what the decoders turn into other bytes than Pillow.
pub(super) fn readable(bytes: &[u8], color: ExtendedColorType) -> Result<(), String> {
    match color {
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => {
            Err("it is a TIFF of inks (CMYK), which is not read: save it as RGB".into())
        }
        _ if super::is_tiff(bytes) && has_jpeg_inside(bytes) => {
            Err("it is a TIFF with a JPEG inside, which is not read: save it without compression".into())
        }
        _ => match largest_of_pnm(bytes) {
            // The decoder rounds these twice, and Pillow once.
            Some(most @ 256..65_535) => {
                Err(format!("its largest sample is {most}, which is not read: save it with 255 or 65535"))
            }
            _ => Ok(()),
        },
    }
}

/// The picture with a byte for each sample.
pub(super) fn in_bytes(bytes: &[u8], picture: DynamicImage) -> DynamicImage {
    match picture {
        // The upper byte: Pillow's `RGB;16B`, and what a person means where Pillow cuts 16-bit gray off at 255.
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_)
            if !is_pnm(bytes) =>
        {
            upper_bytes(&picture)
        }
        DynamicImage::ImageRgb8(mut image) => {
            if let Some(bits) = bits_of_bmp(bytes) {
                for pixel in image.pixels_mut() {
                    pixel.0.iter_mut().zip(bits).for_each(|(sample, bits)| *sample = widened(*sample, bits));
                }
            } else if let Some(most) = most_of_pnm(bytes) {
                image.iter_mut().for_each(|sample| *sample = rescaled(*sample, most));
            }
            image.into()
        }
        DynamicImage::ImageLuma8(mut image) => {
            if let Some(most) = most_of_pnm(bytes) {
                image.iter_mut().for_each(|sample| *sample = rescaled(*sample, most));
            }
            image.into()
        }
        other => other,
    }
}

fn upper_bytes(picture: &DynamicImage) -> DynamicImage {
    let upper = |sample: &u16| sample.to_be_bytes()[0];
    if super::is_gray(picture.color()) {
        let image = picture.to_luma16();
        let bytes = image.iter().map(upper).collect();
        GrayImage::from_raw(image.width(), image.height(), bytes).unwrap_or_default().into()
    } else {
        let image = picture.to_rgb16();
        let bytes = image.iter().map(upper).collect();
        RgbImage::from_raw(image.width(), image.height(), bytes).unwrap_or_default().into()
    }
}

/// How many bits red, green and blue have in a BMP of 16 bits for each pixel.
fn bits_of_bmp(bytes: &[u8]) -> Option<[u32; 3]> {
    const FIELDS: u32 = 3;
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let depth = number(28)? & 0xffff;
    if !bytes.starts_with(b"BM") || depth != 16 {
        return None;
    }
    if number(30)? == FIELDS {
        Some([number(54)?.count_ones(), number(58)?.count_ones(), number(62)?.count_ones()])
    } else {
        Some([5; 3])
    }
}

/// A sample of few bits, which the decoder has rounded to the nearest byte, cut off as Pillow does: `v · 255 / (2^bits − 1)`.
fn widened(sample: u8, bits: u32) -> u8 {
    let most = (1 << bits.min(8)) - 1;
    let value = (u32::from(sample) * most + 127) / 255;
    u8::try_from(value * 255 / most.max(1)).unwrap_or(u8::MAX)
}

fn is_pnm(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'1'..=b'6', ..])
}

/// The largest sample that a PGM or PPM names, where that is neither 255 nor of two bytes.
fn most_of_pnm(bytes: &[u8]) -> Option<u8> {
    u8::try_from(largest_of_pnm(bytes)?).ok().filter(|most| !matches!(most, 0 | &u8::MAX))
}

fn largest_of_pnm(bytes: &[u8]) -> Option<u32> {
    if !matches!(bytes, [b'P', b'2' | b'3' | b'5' | b'6', ..]) {
        return None;
    }
    let mut rest = &bytes[2..];
    let mut numbers = std::iter::from_fn(|| {
        loop {
            match rest {
                [b'#', ..] => rest = &rest[rest.iter().position(|byte| *byte == b'\n')?..],
                [b'0'..=b'9', ..] => break,
                [_, more @ ..] => rest = more,
                [] => return None,
            }
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, more) = rest.split_at(end);
        rest = more;
        std::str::from_utf8(digits).ok()?.parse::<u32>().ok()
    });
    // After the width and the height.
    numbers.nth(2)
}

/// A sample that the decoder has rounded in 32-bit floats, rounded as Python does: `round(v / most · 255)`, halves to even.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn rescaled(sample: u8, most: u8) -> u8 {
    let value = (f64::from(sample) * f64::from(most) / 255.0).round();
    (value / f64::from(most) * 255.0).round_ties_even() as u8
}

/// Whether a tag of the first image says that its data are JPEG: 259 is the compression, 6 and 7 are of JPEG.
fn has_jpeg_inside(bytes: &[u8]) -> bool {
    compression(bytes).is_some_and(|compression| matches!(compression, 6 | 7))
}

/// The compression that a TIFF names, of 32-bit offsets or, where its version is 43, of 64-bit ones.
fn compression(bytes: &[u8]) -> Option<u16> {
    const COMPRESSION: u16 = 259;
    let is_big = bytes.starts_with(b"MM");
    let short = |at: usize| {
        let pair = *bytes.get(at..)?.first_chunk()?;
        Some(if is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    };
    let long = |at: usize| {
        let four = *bytes.get(at..)?.first_chunk()?;
        usize::try_from(if is_big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }).ok()
    };
    let wide = |at: usize| {
        let eight = *bytes.get(at..)?.first_chunk()?;
        usize::try_from(if is_big { u64::from_be_bytes(eight) } else { u64::from_le_bytes(eight) }).ok()
    };
    let is_wide = short(2)? == 43;
    let directory = if is_wide { wide(8)? } else { long(4)? };
    let entries = if is_wide { wide(directory)? } else { usize::from(short(directory)?) };
    let (first, each, value) = if is_wide { (8, 20, 12) } else { (2, 12, 8) };
    let entry = |number: usize| directory.checked_add(number.checked_mul(each)?.checked_add(first)?);
    let known = (0..entries).map_while(entry).take_while(|at| *at < bytes.len());
    let found = known.into_iter().find(|at| short(*at) == Some(COMPRESSION))?;
    short(found + value)
}
