//! What a run judges of a network's outputs, without a network, a file or an engine.

pub mod classification;
pub mod fidelity;

use classification::Head;

/// What the outputs of a model stand for.
#[derive(Debug, Clone, PartialEq)]
pub enum Outputs {
    /// One output, whose numbers for an image become a class.
    Scores {
        /// How many numbers there are.
        count: usize,
        head: Head,
    },
    /// Tensors of any shape, by their names in the model's file.
    Tensors(Vec<String>),
}

impl Outputs {
    /// How an image's numbers become a class; absent where nothing is classified.
    #[must_use]
    pub const fn head(&self) -> Option<Head> {
        match self {
            Self::Scores { head, .. } => Some(*head),
            Self::Tensors(_) => None,
        }
    }

    /// How many scores an image has; absent where nothing is classified.
    #[must_use]
    pub const fn scores(&self) -> Option<usize> {
        match self {
            Self::Scores { count, .. } => Some(*count),
            Self::Tensors(_) => None,
        }
    }
}
