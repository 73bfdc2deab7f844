//! What a network's last numbers say of an image.

use super::{Graph, NodeId, Op};

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

impl Head {
    /// One number is a probability where a sigmoid gives it.
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        match graph.classes() {
            Some(1) if ends_in_sigmoid(graph, graph.output) => Self::Probability,
            Some(1) => Self::Logit,
            _ => Self::Scores,
        }
    }

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
}

fn ends_in_sigmoid(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    match node.op {
        Op::Sigmoid | Op::HardSigmoid => true,
        Op::Identity | Op::Flatten { .. } | Op::Reshape(_) => ends_in_sigmoid(graph, node.inputs[0]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_stands_for_two_classes() {
        let softmax = |scores: Vec<f32>| scores[1].exp() / (scores[0].exp() + scores[1].exp());
        assert!((softmax(Head::Probability.scores(&[0.75])) - 0.75).abs() < 1e-6);
        assert!((softmax(Head::Logit.scores(&[2.0])) - 1.0 / (1.0 + (-2.0_f32).exp())).abs() < 1e-6);
        assert!(Head::Probability.scores(&[0.0]).iter().all(|score| score.is_finite()));
        assert_eq!(Head::Scores.scores(&[1.0, 2.0]), [1.0, 2.0]);
    }
}
