//! Decoded images in order, a few pieces ahead of the reader and never more: memory depends on the
//! batch size, not on the number of images, and not on how large they are before preprocessing.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use rayon::prelude::*;

use super::{Album, Chosen, DatasetError, Entry, Source};
use crate::base::digest::Digest;
use crate::base::interrupt;
use crate::container::ContainerError;
use crate::picture::{Image, Look};

/// How many decoded pieces may wait for the reader.
const AHEAD: usize = 2;

/// A piece decodes to at most this many values, unless a single image has more.
const MOST_VALUES: usize = 1 << 24;

/// Samples that are decoded together: a batch, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    pub entries: &'a [Entry],
    /// SHA-256 of each sample's bytes, which they must still have when they are decoded.
    digests: &'a [Digest],
    /// Values that its images decode to, a byte each.
    values: usize,
    pub ends_batch: bool,
}

/// The most bytes that images take between the disk and the network: the pieces that wait, the one that is decoded, and
/// the one that is preprocessed, which is there as bytes and as floats before and after resizing.
#[must_use]
pub fn most_bytes(pieces: &[Piece<'_>]) -> usize {
    let largest = pieces.iter().map(|piece| piece.values).max().unwrap_or(0);
    largest.saturating_mul(AHEAD + 2 + 2 * size_of::<f32>())
}

/// The samples in batches of `size`, each cut where its images are large.
#[must_use]
pub fn pieces(chosen: &Chosen, size: usize) -> Vec<Piece<'_>> {
    let size = size.max(1);
    let content = chosen.entries.chunks(size).zip(chosen.digests.chunks(size));
    let batches = content.zip(chosen.looks.chunks(size));
    batches.flat_map(|((entries, digests), looks)| cut(entries, digests, looks)).collect()
}

fn cut<'a>(entries: &'a [Entry], digests: &'a [Digest], looks: &[Look]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let (mut start, mut values) = (0, 0);
    for (at, look) in looks.iter().enumerate() {
        let more = look.shape.iter().product::<usize>();
        if at > start && values + more > MOST_VALUES {
            let (entries, digests) = (&entries[start..at], &digests[start..at]);
            pieces.push(Piece { entries, digests, values, ends_batch: false });
            (start, values) = (at, 0);
        }
        values += more;
    }
    pieces.push(Piece { entries: &entries[start..], digests: &digests[start..], values, ends_batch: true });
    pieces
}

/// Decodes the pieces on a thread of `scope`, each in parallel, and shows them to the album.
pub fn decoded<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    source: &'env dyn Source,
    pieces: &'env [Piece<'env>],
    album: &'env Album,
) -> Receiver<Result<Vec<Image>, DatasetError>> {
    let (sender, receiver) = sync_channel(AHEAD);
    scope.spawn(move || {
        for piece in pieces {
            let images = decode(source, piece, album);
            let failed = images.is_err();
            // A closed channel means that the reader has stopped, which is its right.
            if sender.send(images).is_err() || failed || interrupt::check().is_err() {
                return;
            }
        }
    });
    receiver
}

fn decode(source: &dyn Source, piece: &Piece<'_>, album: &Album) -> Result<Vec<Image>, DatasetError> {
    let samples = piece.entries.par_iter().zip(piece.digests);
    let decode = |(entry, digest): (&Entry, &Digest)| {
        let image = source.decode(entry, &held(source, entry, *digest)?)?;
        album.look(*digest, &image);
        Ok(image)
    };
    samples.map(decode).collect()
}

/// The bytes of a sample, if they are still those that were chosen: a file may change after it was looked at.
pub fn held(source: &dyn Source, entry: &Entry, digest: Digest) -> Result<Vec<u8>, DatasetError> {
    let bytes = source.bytes(entry).map_err(|error| match error {
        DatasetError::File(error) | DatasetError::Container(ContainerError::File(error)) => {
            DatasetError::Gone { id: entry.id.clone(), reason: error.to_string() }
        }
        other => other,
    })?;
    let found = Digest::of(&bytes);
    if found == digest { Ok(bytes) } else { Err(DatasetError::Changed { id: entry.id.clone(), chosen: digest, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_cut_where_images_are_large() {
        let entry = |place: usize| Entry { id: place.to_string(), class: 0, place };
        let entries: Vec<Entry> = (0..7).map(entry).collect();
        let large = [3, 2048, 2048];
        let shapes = vec![[1, 8, 8], [1, 8, 8], large, [1, 8, 8], large, [3, 4096, 4096], [1, 8, 8]];
        let digests = vec![Digest::of(b""); entries.len()];
        let chosen = Chosen { digests, entries, looks: shapes.into_iter().map(Look::plain).collect() };
        let lengths = |size| pieces(&chosen, size).iter().map(|p| (p.entries.len(), p.ends_batch)).collect::<Vec<_>>();
        assert_eq!(lengths(3), [(3, true), (2, false), (1, true), (1, true)]);
        assert_eq!(lengths(1).len(), 7);
        assert!(lengths(1).iter().all(|piece| *piece == (1, true)));
    }
}
