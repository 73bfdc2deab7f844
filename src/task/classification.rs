//! One image in, one class out: the answer to a sample, its margin, and how two answers compare.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::stats::Estimate;
use crate::stats::paired::PairedCounts;
use crate::stats::proportion;

/// How an image's numbers become a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// A score for each class: the largest wins, the first of equals.
    Scores,
    /// The probability of the second of two classes.
    Probability,
    /// The logarithm of its odds.
    Logit,
}

/// A network's answer to one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    pub class: usize,
    /// How far the class leads: its score less the next one's. Of one number, how far it is from its threshold.
    pub margin: f32,
}

impl Head {
    /// Above this the one number stands for the second class.
    #[must_use]
    pub const fn threshold(self) -> f32 {
        match self {
            Self::Probability => 0.5,
            Self::Scores | Self::Logit => 0.0,
        }
    }

    /// A score for each class, whose softmax is what the network says of the classes where it gives one number.
    #[must_use]
    pub fn scores(self, numbers: &[f32]) -> Vec<f32> {
        match (self, numbers) {
            (Self::Probability, [p]) => vec![(1.0 - p).max(f32::MIN_POSITIVE).ln(), p.max(f32::MIN_POSITIVE).ln()],
            (Self::Logit, [logit]) => vec![0.0, *logit],
            (Self::Scores | Self::Probability | Self::Logit, scores) => scores.to_vec(),
        }
    }

    /// The class that a network's numbers for an image stand for, and by how much.
    #[must_use]
    pub fn answer(self, numbers: &[f32]) -> Answer {
        match (self, numbers) {
            (Self::Probability, [p]) => {
                let lead = 2.0 * p - 1.0;
                Answer { class: usize::from(lead > 0.0), margin: if lead.is_finite() { lead.abs() } else { 0.0 } }
            }
            (Self::Logit, [logit]) => {
                Answer { class: usize::from(*logit > 0.0), margin: if logit.is_finite() { logit.abs() } else { 0.0 } }
            }
            (Self::Scores | Self::Probability | Self::Logit, scores) => largest(scores),
        }
    }

    /// Kullback-Leibler divergence of the class probabilities that `is` stands for from those of `should`, in nats:
    /// `Σ p·ln(p / q)`.
    #[must_use]
    pub fn divergence(self, should: &[f32], is: &[f32]) -> f64 {
        let [p, q] = [should, is].map(|numbers| log_softmax(&self.scores(numbers)));
        p.into_iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum()
    }
}

fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |a, &x| a.max(f64::from(x)));
    let total: f64 = scores.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
    scores.iter().map(|&x| f64::from(x) - largest - total.ln()).collect()
}

/// Whether numbers for an image stand for no class: one is no number, or none is finite.
#[must_use]
pub fn is_undefined(numbers: &[f32]) -> bool {
    numbers.iter().any(|number| number.is_nan()) || !numbers.iter().any(|number| number.is_finite())
}

/// The class with the largest score (the first of equals) and its lead over the next.
fn largest(scores: &[f32]) -> Answer {
    let mut best = (0, f32::NEG_INFINITY);
    let mut second = f32::NEG_INFINITY;
    for (class, &score) in scores.iter().enumerate() {
        if score > best.1 {
            second = best.1;
            best = (class, score);
        } else if score > second {
            second = score;
        }
    }
    let margin = if second.is_finite() { best.1 - second } else { 0.0 };
    Answer { class: best.0, margin }
}

/// The share of right answers, a fraction with its Wilson interval; `None` where there are none.
#[must_use]
pub fn accuracy(right: &[bool]) -> Option<Estimate> {
    proportion::wilson(right.iter().filter(|right| **right).count(), right.len())
}

/// A variant's answers beside the baseline's, on the same samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The baseline is the first of the pair.
    pub counts: PairedCounts,
    /// Accuracy minus the baseline's, a fraction, with its paired interval.
    pub difference: Estimate,
    /// Exact McNemar test.
    pub p_value: f64,
    /// Samples on which both predict the same class, right or wrong.
    pub agreeing: usize,
}

impl Comparison {
    /// Of two networks' answers to the same samples: whether the first is right, whether the second is, and whether both
    /// put the sample into the same class. `None` of no samples.
    pub fn of(pairs: impl Iterator<Item = (bool, bool, bool)>) -> Option<Self> {
        let (mut counts, mut agreeing) = (PairedCounts::default(), 0);
        for (first, second, same) in pairs {
            counts.add(first, second);
            agreeing += usize::from(same);
        }
        Some(Self { difference: counts.difference()?, p_value: counts.mcnemar(), agreeing, counts })
    }
}

/// Fewer samples of a label say nothing of the class that it is put into.
const FEWEST: usize = 5;

/// How many answers are right once each class has the label that it mostly stands for, each label once: the
/// largest cells of the table of labels and answers first.
#[must_use]
pub fn right_if_relabelled(labels: &[usize], answers: &[usize]) -> usize {
    let mut cells: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (&label, &class) in labels.iter().zip(answers) {
        *cells.entry((label, class)).or_default() += 1;
    }
    let mut cells: Vec<((usize, usize), usize)> = cells.into_iter().collect();
    // A class stands for another label where most of that label's samples, and not only a few, are put into it.
    let of_label = |wanted: usize| labels.iter().filter(|label| **label == wanted).count();
    cells.retain(|&((label, class), count)| label == class || (count >= FEWEST && 2 * count > of_label(label)));
    cells.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let (mut taken_labels, mut taken_classes) = (BTreeSet::new(), BTreeSet::new());
    let mut free = |&((label, class), _): &((usize, usize), usize)| {
        let is_free = !taken_labels.contains(&label) && !taken_classes.contains(&class);
        is_free && taken_labels.insert(label) && taken_classes.insert(class)
    };
    cells.into_iter().filter(|cell| free(cell)).map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_class_and_nan_wins_nothing() {
        assert_eq!(Head::Scores.answer(&[1.0, 3.0, 3.0]), Answer { class: 1, margin: 0.0 });
        assert_eq!(Head::Scores.answer(&[f32::NAN, 2.0, 0.5]), Answer { class: 1, margin: 1.5 });
    }

    #[test]
    fn one_number_is_held_to_its_threshold() {
        assert_eq!(Head::Probability.answer(&[0.75]), Answer { class: 1, margin: 0.5 });
        assert_eq!(Head::Probability.answer(&[0.5]), Answer { class: 0, margin: 0.0 });
        assert_eq!(Head::Logit.answer(&[-2.0]), Answer { class: 0, margin: 2.0 });
        assert_eq!(Head::Logit.answer(&[f32::NAN]), Answer { class: 0, margin: 0.0 });
    }

    #[test]
    fn infinity_among_numbers_is_an_answer_and_nan_is_none() {
        assert!(!is_undefined(&[f32::NEG_INFINITY, 1.0]));
        assert!(is_undefined(&[f32::NAN, 1.0]));
        assert!(is_undefined(&[f32::INFINITY, f32::INFINITY]));
    }

    #[test]
    fn one_number_stands_for_two_classes() {
        let softmax = |scores: Vec<f32>| scores[1].exp() / (scores[0].exp() + scores[1].exp());
        assert!((softmax(Head::Probability.scores(&[0.75])) - 0.75).abs() < 1e-6);
        assert!((softmax(Head::Logit.scores(&[2.0])) - 1.0 / (1.0 + (-2.0_f32).exp())).abs() < 1e-6);
        assert!(Head::Probability.scores(&[0.0]).iter().all(|score| score.is_finite()));
        assert_eq!(Head::Scores.scores(&[1.0, 2.0]), [1.0, 2.0]);
    }

    #[test]
    fn equal_scores_do_not_diverge_and_a_sure_wrong_answer_diverges_by_its_lead() {
        assert!(Head::Scores.divergence(&[1.0, 2.0, 3.0], &[2.0, 3.0, 4.0]).abs() < 1e-9);
        assert!((Head::Logit.divergence(&[40.0], &[-40.0]) - 40.0).abs() < 1e-6);
    }

    #[test]
    fn labels_that_were_shifted_by_one_are_right_once_renamed() {
        let labels: Vec<usize> = (0..30).map(|at| at % 3).collect();
        let answers: Vec<usize> = labels.iter().map(|label| (label + 1) % 3).collect();
        assert_eq!(right_if_relabelled(&labels, &answers), 30);
        assert_eq!(right_if_relabelled(&labels, &labels), 30);
        // Two samples of a label in another class are no sign of a shift.
        assert_eq!(right_if_relabelled(&[0, 0, 1, 1], &[1, 1, 0, 0]), 0);
    }
}
