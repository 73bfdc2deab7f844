//! What a grid of points tells: who is on the front, what each axis does, what seeds change.

use std::collections::BTreeMap;

use super::row::Row;
use crate::grid::SweepRecord;
use crate::stats::{Estimate, sample};

/// What the rows of a sweep are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Accuracy less the baseline's, a fraction that is shown in points.
    Accuracy,
    /// The ratio of signal to noise of the output that keeps least, in dB.
    Sqnr,
}

impl Measure {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let is_fidelity = |row: &Row| row.measured.as_ref().is_some_and(|figures| figures.is_fidelity);
        if rows.iter().any(is_fidelity) { Self::Sqnr } else { Self::Accuracy }
    }

    /// A value as it is shown.
    pub(crate) const fn shown(self, value: f64) -> f64 {
        match self {
            Self::Accuracy => value * 100.0,
            Self::Sqnr => value,
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Accuracy => "points",
            Self::Sqnr => "dB",
        }
    }

    /// What the axes of figures reach to: no difference, where that is one.
    pub(crate) const fn origin(self) -> Option<f64> {
        match self {
            Self::Accuracy => Some(0.0),
            Self::Sqnr => None,
        }
    }

    /// What a sensitivity's figure shows.
    pub(crate) const fn change(self) -> &'static str {
        match self {
            Self::Accuracy => "points lost or gained",
            Self::Sqnr => "SQNR, dB",
        }
    }

    /// What a figure's vertical axis is.
    pub(crate) const fn axis(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy less the baseline's, points",
            Self::Sqnr => "SQNR of the output that keeps least, dB",
        }
    }
}

/// A compared row: what it has lost or gained against FP32 and how fast it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared<'a> {
    pub row: &'a Row,
    /// By the [`Measure`] of the sweep; more is better.
    pub difference: Estimate,
    /// Absent where it was timed beside others: such times compare with nothing.
    pub speedup: Option<Estimate>,
}

/// The rows that stand against a baseline.
pub(crate) fn compared(rows: &[Row]) -> Vec<Compared<'_>> {
    let one = |row| {
        let row: &Row = row;
        let figures = row.measured.as_ref()?;
        // Figures of the other samples alone would be figures of another subset.
        let ratio = figures.sqnr_db.filter(|_| figures.undefined == 0);
        let difference = figures.against.map(|against| against.difference).or(ratio)?;
        Some(Compared { row, difference, speedup: figures.speedup.filter(|_| !row.beside) })
    };
    rows.iter().filter(|row| !row.baseline).filter_map(one).collect()
}

/// Places of the rows to which no other of the same machine is better in accuracy and speed. Speeds of different
/// machines are not compared.
pub(crate) fn front(compared: &[Compared<'_>]) -> Vec<usize> {
    let value = |at: usize| compared[at].speedup.map(|speedup| (speedup.value, compared[at].difference.value));
    let beats = |other: usize, at: usize| {
        let Some(((fast, close), (own_fast, own_close))) = value(other).zip(value(at)) else { return false };
        compared[other].row.cpu == compared[at].row.cpu
            && fast >= own_fast
            && close >= own_close
            && (fast > own_fast || close > own_close)
    };
    let all = 0..compared.len();
    let stands = |&at: &usize| value(at).is_some() && !all.clone().any(|other| beats(other, at));
    let mut found: Vec<usize> = all.clone().filter(stands).collect();
    // Only what has a speed stands.
    let fast = |at: usize| compared[at].speedup.map_or(f64::NEG_INFINITY, |speedup| speedup.value);
    found.sort_by(|&a, &b| fast(b).total_cmp(&fast(a)));
    found
}

/// Axes that move together, as one.
#[derive(Debug, Clone)]
pub(crate) struct Dimension {
    pub label: String,
    /// Places of its axes.
    axes: Vec<usize>,
    /// Its values in order.
    pub values: Vec<String>,
}

pub(crate) fn dimensions(sweep: &SweepRecord) -> Vec<Dimension> {
    let mut found: Vec<Dimension> = Vec::new();
    let mut at = 0;
    for group in sweep.axes.chunk_by(|a, b| a.group == b.group) {
        let axes: Vec<usize> = (at..at + group.len()).collect();
        at += group.len();
        let label = group.iter().map(|axis| axis.key.as_str()).collect::<Vec<_>>().join(" + ");
        let value = |n: usize| group.iter().map(|axis| axis.values[n].as_str()).collect::<Vec<_>>().join(", ");
        let values = (0..group[0].values.len()).map(value).collect();
        found.push(Dimension { label, axes, values });
    }
    found
}

impl Dimension {
    /// A point's value on it, and its values on everything else.
    fn split(&self, values: &[String]) -> (String, Vec<String>) {
        let own: Vec<&str> = self.axes.iter().map(|&axis| values[axis].as_str()).collect();
        let others = values.iter().enumerate().filter(|(axis, _)| !self.axes.contains(axis));
        (own.join(", "), others.map(|(_, value)| value.clone()).collect())
    }

    /// Whether it is one of seeds, between which nothing should change but by chance.
    pub(crate) fn is_of_seeds(&self) -> bool {
        let mut keys = self.label.split(" + ");
        keys.all(|key| key.rsplit('.').next() == Some("seed"))
    }
}

/// What a variant does at one value of a dimension.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effect {
    pub value: String,
    /// Accuracy less the baseline's of each point, fractions.
    pub differences: Vec<f64>,
    /// Speedups of each point that was timed alone.
    pub speedups: Vec<f64>,
    /// Each point's accuracy difference less that of the point which has the dimension's first value and is the
    /// same in everything else.
    pub against_first: Vec<f64>,
}

/// A variant's effects along a dimension, in the order of its values.
pub(crate) fn effects(
    sweep: &SweepRecord,
    compared: &[Compared<'_>],
    dimension: &Dimension,
    variant: &str,
) -> Vec<Effect> {
    let own = || compared.iter().filter(|c| c.row.variant == variant);
    let place = |c: &Compared<'_>| dimension.split(&sweep.points[c.row.point - 1].values);
    let first: BTreeMap<Vec<String>, f64> = own()
        .filter_map(|c| {
            let (value, others) = place(c);
            (Some(&value) == dimension.values.first()).then_some((others, c.difference.value))
        })
        .collect();
    let mut effects: Vec<Effect> =
        dimension.values.iter().map(|value| Effect { value: value.clone(), ..Effect::default() }).collect();
    for c in own() {
        let (value, others) = place(c);
        let Some(effect) = effects.iter_mut().find(|effect| effect.value == value) else { continue };
        effect.differences.push(c.difference.value);
        effect.speedups.extend(c.speedup.map(|speedup| speedup.value));
        effect.against_first.extend(first.get(&others).map(|then| c.difference.value - then));
    }
    effects
}

/// How much accuracy varies between seeds where nothing else changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// Pooled standard deviation within the groups, a fraction.
    pub deviation: f64,
    /// The widest range within a group.
    pub widest: f64,
    pub groups: usize,
    pub points: usize,
}

/// Of the groups with two seeds or more; `None` without one.
pub(crate) fn spread(
    sweep: &SweepRecord,
    compared: &[Compared<'_>],
    dimension: &Dimension,
    variant: &str,
) -> Option<Spread> {
    let mut groups: BTreeMap<Vec<String>, Vec<f64>> = BTreeMap::new();
    for c in compared.iter().filter(|c| c.row.variant == variant) {
        let (_, others) = dimension.split(&sweep.points[c.row.point - 1].values);
        groups.entry(others).or_default().push(c.difference.value);
    }
    groups.retain(|_, values| values.len() > 1);
    let freedom: usize = groups.values().map(|values| values.len() - 1).sum();
    let squares = groups.values().map(|v| sample::std_dev(v).unwrap_or(0.0).powi(2) * (v.len() - 1) as f64);
    let range = |values: &Vec<f64>| {
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - values.iter().copied().fold(f64::INFINITY, f64::min)
    };
    (freedom > 0).then(|| Spread {
        deviation: (squares.sum::<f64>() / freedom as f64).sqrt(),
        widest: groups.values().map(range).fold(0.0, f64::max),
        groups: groups.len(),
        points: groups.values().map(Vec::len).sum(),
    })
}

/// The names of the compared variants, in the order in which they appear.
pub(crate) fn variants<'a>(compared: &[Compared<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for c in compared {
        if !names.contains(&c.row.variant.as_str()) {
            names.push(&c.row.variant);
        }
    }
    names
}
