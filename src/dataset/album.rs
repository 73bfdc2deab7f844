//! The pictures of a run, so that one is found again in the other subset however it is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::Chosen;
use crate::base::digest::Digest;
use crate::picture::{ALIKE, Fingerprint, Image};

/// Fingerprints of what was decoded, by the digest of the stored bytes.
#[derive(Debug, Default)]
pub struct Album(Mutex<BTreeMap<Digest, Fingerprint>>);

impl Album {
    /// Keeps the fingerprint of a picture that is new.
    pub fn look(&self, stored: Digest, image: &Image) {
        let known = |known: &BTreeMap<Digest, Fingerprint>| known.contains_key(&stored);
        if !known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            let fingerprint = Fingerprint::of(image);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(stored, fingerprint);
        }
    }

    /// The samples of `evaluation` that show a picture of `calibration`; those that are stored alike are no news.
    #[must_use]
    pub fn twins(&self, calibration: &Chosen, evaluation: &Chosen) -> Twins {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |chosen: &Chosen| -> Vec<(usize, Fingerprint)> {
            let each = chosen.digests.iter().enumerate();
            each.filter_map(|(place, digest)| Some((place, known.get(digest)?.clone()))).collect()
        };
        let stored: BTreeSet<&Digest> = calibration.digests.iter().collect();
        let mut theirs = of(calibration);
        theirs.sort_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
        let by_pixels: BTreeMap<Digest, usize> = theirs.iter().map(|(place, print)| (print.pixels, *place)).collect();
        let mut twins = Twins::default();
        for (place, print) in of(evaluation) {
            if stored.contains(&evaluation.digests[place]) {
                continue;
            }
            if let Some(&twin) = by_pixels.get(&print.pixels) {
                twins.same.push((place, twin));
                continue;
            }
            // Copies whose means are farther apart than that are not alike.
            let from = theirs.partition_point(|(_, other)| other.mean < print.mean - ALIKE);
            let near = theirs[from..].iter().take_while(|(_, other)| other.mean <= print.mean + ALIKE);
            if let Some((twin, _)) = near.into_iter().find(|(_, other)| print.is_like(other)) {
                twins.alike.push((place, *twin));
            }
        }
        twins
    }
}

/// Places in the evaluation subset, each with that of its twin in the calibration subset.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Twins {
    /// The same pixels, stored otherwise.
    pub same: Vec<(usize, usize)>,
    /// Hardly another picture.
    pub alike: Vec<(usize, usize)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Stream;
    use crate::dataset::Entry;
    use crate::picture::Look;

    fn picture(seed: u64, channels: usize, side: usize) -> Image {
        let mut stream = Stream::named(seed, "picture");
        // Coarse blocks, as a photo has them, not noise.
        let blocks: Vec<u8> = (0..64 * channels).map(|_| u8::try_from(stream.below(256)).unwrap()).collect();
        let at = |place: usize| {
            let (channel, y, x) = (place / side / side, place / side % side, place % side);
            blocks[channel * 64 + y * 8 / side * 8 + x * 8 / side]
        };
        Image { channels, height: side, width: side, pixels: (0..channels * side * side).map(at).collect(), full: 255 }
    }

    fn chosen(names: &[&str]) -> Chosen {
        let entry = |(place, name): (usize, &&str)| Entry { id: (*name).to_owned(), class: 0, place };
        Chosen {
            entries: names.iter().enumerate().map(entry).collect(),
            digests: names.iter().map(|name| Digest::of(name.as_bytes())).collect(),
            looks: vec![Look { shape: [3, 8, 8], turned: false }; names.len()],
        }
    }

    fn twins(calibration: &[(&str, Image)], evaluation: &[(&str, Image)]) -> Twins {
        let album = Album::default();
        for (name, image) in calibration.iter().chain(evaluation) {
            album.look(Digest::of(name.as_bytes()), image);
        }
        let names = |all: &[(&str, Image)]| chosen(&all.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        album.twins(&names(calibration), &names(evaluation))
    }

    #[test]
    fn the_same_pixels_are_found_however_they_are_stored() {
        let gray = picture(1, 1, 32);
        let as_color = Image { channels: 3, pixels: gray.pixels.repeat(3), ..gray.clone() };
        let other = picture(2, 3, 32);
        let found = twins(&[("a.png", gray), ("b.png", other.clone())], &[("a.bmp", as_color), ("b.png", other)]);
        assert_eq!(found, Twins { same: vec![(0, 0)], alike: Vec::new() }, "stored alike is no news");
    }

    #[test]
    fn noise_of_compression_and_another_size_leave_a_picture_alike() {
        let photo = picture(3, 3, 64);
        let mut stream = Stream::named(0, "noise");
        let noisy = |value: &u8| value.saturating_add(u8::try_from(stream.below(7)).unwrap()).saturating_sub(3);
        let compressed = Image { pixels: photo.pixels.iter().map(noisy).collect(), ..photo.clone() };
        let smaller = picture(3, 3, 48);
        let gray = photo.gray();
        let others = [("b", compressed), ("c", smaller), ("d", picture(4, 3, 64)), ("e", gray)];
        let found = twins(&[("a", photo)], &others);
        assert_eq!(found, Twins { same: Vec::new(), alike: vec![(0, 0), (1, 0), (3, 0)] });
    }

    #[test]
    fn flat_pictures_are_told_apart_by_their_pixels_alone() {
        let flat = |value: u8, side: usize| Image { pixels: vec![value; side * side], ..picture(5, 1, side) };
        let found = twins(&[("a", flat(0, 20))], &[("b", flat(1, 20)), ("c", flat(0, 20)), ("d", flat(0, 21))]);
        assert_eq!(found, Twins { same: vec![(1, 0)], alike: Vec::new() });
    }

    #[test]
    fn random_pictures_are_not_alike() {
        let names: Vec<String> = (0..120).map(|seed| seed.to_string()).collect();
        let each = names.iter().zip(0..).map(|(name, seed)| (name.as_str(), picture(100 + seed, 3, 24)));
        let all: Vec<(&str, Image)> = each.collect();
        assert_eq!(twins(&all[..60], &all[60..]), Twins::default());
    }
}
