//! Choosing samples so that anyone can recompute the choice with `sha256sum` and `sort`.
//!
//! The key of a sample is SHA-256 of the text `SEED:DIGEST`, where DIGEST is the SHA-256 of the
//! sample's bytes in hexadecimal. A random subset of n is the n smallest keys, in key order; a
//! stratified one takes the smallest keys of each class, in proportion to the classes' sizes.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::{DatasetError, Entry, Source};
use crate::base::digest::Digest;
use crate::base::interrupt;
use crate::base::progress::Meter;
use crate::manifest::{Strategy, Subset};
use crate::picture::Look;

/// An ordered choice of samples with their content.
#[derive(Debug, Clone)]
pub struct Chosen {
    pub entries: Vec<Entry>,
    /// SHA-256 of each sample's bytes, in the order of `entries`.
    pub digests: Vec<Digest>,
    /// What each sample is before preprocessing, in the order of `entries`.
    pub looks: Vec<Look>,
}

impl Chosen {
    /// The samples at these places, in this order.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        Self {
            entries: places.iter().map(|&at| self.entries[at].clone()).collect(),
            digests: places.iter().map(|&at| self.digests[at]).collect(),
            looks: places.iter().map(|&at| self.looks[at]).collect(),
        }
    }

    /// What a manifest pins of an evaluation subset: SHA-256 of the lines `DIGEST  ID`, in order, as
    /// `sha256sum` prints them.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest_after("")
    }

    /// What a manifest pins of a calibration subset: as [`Chosen::digest`], after the line
    /// `batch_size N`. Observers see batches, so another size gives other scales.
    #[must_use]
    pub fn digest_in_batches(&self, batch_size: usize) -> Digest {
        self.digest_after(&format!("batch_size {batch_size}\n"))
    }

    fn digest_after(&self, head: &str) -> Digest {
        let lines = self.entries.iter().zip(&self.digests).map(|(entry, digest)| format!("{digest}  {}\n", entry.id));
        let lines: Vec<String> = lines.collect();
        Digest::of_parts(std::iter::once(head).chain(lines.iter().map(String::as_str)).map(str::as_bytes))
    }

    /// How many samples EXIF says are to be turned.
    #[must_use]
    pub fn turned(&self) -> usize {
        self.looks.iter().filter(|look| look.turned).count()
    }

    /// How many samples each of so many classes has.
    #[must_use]
    pub fn per_class(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        // Images without labels have no class to count.
        self.entries.iter().filter(|_| classes > 0).for_each(|entry| counts[entry.class] += 1);
        counts
    }

    /// The digest of each sample's content and its id, in order, as `sha256sum` writes them.
    #[must_use]
    pub fn sums(&self) -> String {
        let lines = self.digests.iter().zip(&self.entries).map(|(digest, entry)| format!("{digest}  {}", entry.id));
        lines.flat_map(|line| [line, "\n".to_owned()]).collect()
    }

    /// One sample id per line, in order.
    #[must_use]
    pub fn listing(&self) -> String {
        self.entries.iter().flat_map(|entry| [entry.id.as_str(), "\n"]).collect()
    }
}

/// The file of `strategy = "list"`.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// For messages.
    pub path: &'a Path,
    /// One sample id per line; empty lines mean nothing.
    pub text: &'a str,
}

/// Draws a subset from a source; `list` is given where the strategy asks for one.
pub fn choose(
    source: &dyn Source,
    settings: &Subset,
    list: Option<List<'_>>,
    meter: &dyn Meter,
) -> Result<Chosen, DatasetError> {
    let mut entries = Vec::new();
    for split in &settings.splits {
        entries.extend(source.split(split)?);
    }
    let wanted = settings.samples.unwrap_or(entries.len());
    if settings.strategy == Strategy::List {
        let list = list.unwrap_or(List { path: Path::new("list"), text: "" });
        entries = named(entries, list, settings)?;
    } else if wanted > entries.len() {
        return Err(DatasetError::TooFew { splits: settings.splits.join(" + "), wanted, available: entries.len() });
    }
    if settings.strategy == Strategy::First {
        entries.truncate(wanted);
    }
    // Few are looked into once they are known: that costs less than a look into each.
    let few = matches!(settings.strategy, Strategy::Random | Strategy::Stratified) && wanted < entries.len() / 2;
    let look = |entry: &Entry, bytes: &[u8]| Some(source.look(entry, bytes));
    let look_at_once = |entry: &Entry, bytes: &[u8]| if few { None } else { look(entry, bytes) };
    let (digests, mut looks) = each(source, &entries, meter, look_at_once)?;
    let order = order(&entries, &digests, settings, wanted, source.classes().len());
    let chosen: Vec<Entry> = order.iter().map(|&i| entries[i].clone()).collect();
    // A broken image that was not chosen harms nobody.
    let looks: Vec<_> =
        if few { each(source, &chosen, meter, look)?.1 } else { order.iter().map(|&i| looks[i].take()).collect() };
    Ok(Chosen {
        looks: all_or_every_fault(looks.into_iter().flatten())?,
        entries: chosen,
        digests: order.iter().map(|&i| digests[i]).collect(),
    })
}

/// Broken images are told together: whoever mends one would otherwise meet the next.
fn all_or_every_fault(looks: impl Iterator<Item = Result<Look, DatasetError>>) -> Result<Vec<Look>, DatasetError> {
    let (mut well, mut broken) = (Vec::new(), Vec::new());
    for look in looks {
        match look {
            Ok(look) => well.push(look),
            Err(DatasetError::Image { id, reason }) => broken.push((id, reason)),
            Err(other) => return Err(other),
        }
    }
    match broken.len() {
        0 => Ok(well),
        1 => Err(broken
            .into_iter()
            .next()
            .map_or(DatasetError::NoPath, |(id, reason)| DatasetError::Image { id, reason })),
        _ => Err(DatasetError::Images { broken }),
    }
}

/// Every sample of some splits by the digest of its content: what many subsets are drawn from.
pub struct Pool {
    entries: Vec<Entry>,
    digests: Vec<Digest>,
    classes: usize,
}

impl Pool {
    pub fn of(source: &dyn Source, splits: &[String], meter: &dyn Meter) -> Result<Self, DatasetError> {
        let mut entries = Vec::new();
        for split in splits {
            entries.extend(source.split(split)?);
        }
        let (digests, _) = each(source, &entries, meter, |_, _| ())?;
        Ok(Self { entries, digests, classes: source.classes().len() })
    }

    /// As [`choose`] chooses where it draws by seed, but for the looks at the samples, which were not taken.
    /// `None` where there are too few.
    #[must_use]
    pub fn draw(&self, settings: &Subset) -> Option<Chosen> {
        let Self { entries, digests, classes } = self;
        let wanted = settings.samples.filter(|wanted| *wanted <= entries.len())?;
        let order = order(entries, digests, settings, wanted, *classes);
        Some(Chosen {
            entries: order.iter().map(|&at| entries[at].clone()).collect(),
            digests: order.iter().map(|&at| digests[at]).collect(),
            looks: Vec::new(),
        })
    }
}

/// The digest of every sample's content, and what `look` sees in it.
fn each<T: Send>(
    source: &dyn Source,
    entries: &[Entry],
    meter: &dyn Meter,
    look: impl Fn(&Entry, &[u8]) -> T + Sync,
) -> Result<(Vec<Digest>, Vec<T>), DatasetError> {
    let one = |entry: &Entry| {
        interrupt::check()?;
        let bytes = source.bytes(entry)?;
        meter.expect(bytes.len() as u64);
        let looked = (Digest::of(&bytes), look(entry, &bytes));
        meter.add(bytes.len() as u64);
        Ok(looked)
    };
    let looked = entries.par_iter().map(one).collect::<Result<Vec<_>, DatasetError>>()?;
    Ok(looked.into_iter().unzip())
}

/// The places of the chosen, in order.
fn order(entries: &[Entry], digests: &[Digest], settings: &Subset, wanted: usize, classes: usize) -> Vec<usize> {
    match settings.strategy {
        Strategy::All | Strategy::First | Strategy::List => (0..entries.len()).collect(),
        Strategy::Random => smallest(entries, digests, settings.seed, wanted, |_| true),
        Strategy::Stratified => stratified(entries, digests, settings.seed, wanted, classes),
    }
}

/// The listed entries, in the list's order.
fn named(entries: Vec<Entry>, list: List<'_>, settings: &Subset) -> Result<Vec<Entry>, DatasetError> {
    let path = || list.path.to_owned();
    let mut by_id: BTreeMap<String, Option<Entry>> =
        entries.into_iter().map(|entry| (entry.id.clone(), Some(entry))).collect();
    let mut chosen = Vec::new();
    let text = list.text.strip_prefix('\u{feff}').unwrap_or(list.text);
    for (number, id) in text.lines().enumerate().filter(|(_, id)| !id.is_empty()) {
        let line = number + 1;
        let Some(entry) = by_id.get_mut(id) else {
            let nearest = crate::base::text::nearest(id, by_id.keys().map(String::as_str)).map(str::to_owned);
            let splits = settings.splits.join(" + ");
            return Err(DatasetError::Unlisted { path: path(), line, id: id.to_owned(), splits, nearest });
        };
        chosen.push(entry.take().ok_or_else(|| DatasetError::ListedTwice { path: path(), line, id: id.to_owned() })?);
    }
    match settings.samples {
        _ if chosen.is_empty() => Err(DatasetError::EmptyList { path: path() }),
        Some(wanted) if wanted != chosen.len() => {
            Err(DatasetError::ListLength { path: path(), listed: chosen.len(), wanted })
        }
        _ => Ok(chosen),
    }
}

fn key(seed: u64, digest: &Digest) -> Digest {
    Digest::of(format!("{seed}:{digest}").as_bytes())
}

fn smallest(entries: &[Entry], digests: &[Digest], seed: u64, n: usize, keep: impl Fn(&Entry) -> bool) -> Vec<usize> {
    let mut keyed: Vec<(Digest, &str, usize)> = (0..entries.len())
        .filter(|&i| keep(&entries[i]))
        .map(|i| (key(seed, &digests[i]), entries[i].id.as_str(), i))
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().take(n).map(|(_, _, i)| i).collect()
}

fn stratified(entries: &[Entry], digests: &[Digest], seed: u64, n: usize, classes: usize) -> Vec<usize> {
    let sizes: Vec<usize> = (0..classes).map(|class| entries.iter().filter(|e| e.class == class).count()).collect();
    let mut chosen: Vec<usize> = shares(&sizes, n)
        .into_iter()
        .enumerate()
        .flat_map(|(class, share)| smallest(entries, digests, seed, share, |entry| entry.class == class))
        .collect();
    chosen.sort_by_cached_key(|&i| (key(seed, &digests[i]), &entries[i].id));
    chosen
}

/// `n` divided in proportion to `sizes` by largest remainders; ties go to the earlier class.
fn shares(sizes: &[usize], n: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum::<usize>().max(1);
    let mut shares: Vec<usize> = sizes.iter().map(|size| size * n / total).collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(sizes[class] * n % total));
    let short = n - shares.iter().sum::<usize>();
    by_remainder.into_iter().take(short).for_each(|class| shares[class] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::progress::Unmetered;
    use crate::picture::Image;

    #[test]
    fn shares_add_up_and_follow_sizes() {
        assert_eq!(shares(&[500; 10], 512), [52, 52, 51, 51, 51, 51, 51, 51, 51, 51]);
        assert_eq!(shares(&[10, 30], 4), [1, 3]);
        assert_eq!(shares(&[0, 5], 3), [0, 3]);
    }

    #[test]
    fn a_random_subset_is_the_smallest_keys_whatever_the_order() {
        let entry = |i: usize| Entry { id: i.to_string(), class: i % 3, place: i };
        let mut entries: Vec<Entry> = (0..50).map(entry).collect();
        let ids = |entries: &[Entry], picked: Vec<usize>| -> Vec<String> {
            picked.into_iter().map(|i| entries[i].id.clone()).collect()
        };
        let digests = |entries: &[Entry]| entries.iter().map(|e| Digest::of(e.id.as_bytes())).collect::<Vec<_>>();
        let forward = ids(&entries, smallest(&entries, &digests(&entries), 9, 7, |_| true));
        entries.reverse();
        let backward = ids(&entries, smallest(&entries, &digests(&entries), 9, 7, |_| true));
        assert_eq!(forward, backward);
        let spread = stratified(&entries, &digests(&entries), 9, 12, 3);
        let per_class = |class| spread.iter().filter(|&&i| entries[i].class == class).count();
        assert_eq!([per_class(0), per_class(1), per_class(2)], [4, 4, 4]);
    }

    /// Samples that are all well but one.
    struct Fifty;

    impl Source for Fifty {
        fn digest(&self, _: &dyn Meter) -> Result<Digest, DatasetError> {
            Ok(Digest::of(b"fifty"))
        }

        fn classes(&self) -> &[String] {
            &[]
        }

        fn splits(&self) -> Vec<String> {
            vec!["all".to_owned()]
        }

        fn split(&self, _: &str) -> Result<Vec<Entry>, DatasetError> {
            Ok((0..50).map(|place| Entry { id: place.to_string(), class: 0, place }).collect())
        }

        fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, DatasetError> {
            Ok(entry.id.clone().into_bytes())
        }

        fn look(&self, entry: &Entry, _: &[u8]) -> Result<Look, DatasetError> {
            let broken = || DatasetError::Image { id: entry.id.clone(), reason: "broken".to_owned() };
            if entry.place == 7 { Err(broken()) } else { Ok(Look::plain([1, 8, entry.place])) }
        }

        fn decode(&self, _: &Entry, _: &[u8]) -> Result<Image, DatasetError> {
            Err(DatasetError::NoPath)
        }
    }

    #[test]
    fn a_broken_image_harms_only_those_who_choose_it() {
        for samples in [10, 40] {
            let subset = |seed| Subset {
                splits: vec!["all".to_owned()],
                strategy: Strategy::Random,
                samples: Some(samples),
                list: None,
                seed,
                batch_size: 1,
                sha256: None,
            };
            let drawn: Vec<_> = (0..40).map(|seed| choose(&Fifty, &subset(seed), None, &Unmetered)).collect();
            let (well, broken): (Vec<_>, Vec<_>) = drawn.into_iter().partition(Result::is_ok);
            assert!(!well.is_empty() && !broken.is_empty(), "{} and {}", well.len(), broken.len());
            for chosen in well.into_iter().flatten() {
                let seen = chosen.entries.iter().zip(&chosen.looks);
                assert_eq!(seen.clone().filter(|(entry, look)| look.shape[2] == entry.place).count(), samples);
                assert!(seen.into_iter().all(|(entry, _)| entry.place != 7));
            }
        }
    }
}
