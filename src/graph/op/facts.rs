//! What the rest of the program asks of an operator without knowing which one it is.

/// One row per operator: each family of operators states it in one match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// PyTorch's name of the module or function, as listings print it.
    pub name: &'static str,
    pub form: Form,
    pub arity: Arity,
    pub integers: Integers,
    pub channels: Channels,
    pub score: Score,
}

impl Facts {
    /// A module (`nn.Module`) that computes in float alone.
    pub(super) const fn module(name: &'static str) -> Self {
        Self { form: Form::Module, ..Self::function(name) }
    }

    /// A function of one tensor that computes in float alone, and of whose channels and scores nothing is known.
    pub(super) const fn function(name: &'static str) -> Self {
        Self {
            name,
            form: Form::Function,
            arity: Arity::Exactly(1),
            integers: Integers::NoForm,
            channels: Channels::Fixed,
            score: Score::Unknown,
        }
    }

    pub(super) const fn of_two(self) -> Self {
        Self { arity: Arity::Exactly(2), ..self }
    }

    pub(super) const fn on(self, integers: Integers) -> Self {
        Self { integers, ..self }
    }

    pub(super) const fn channels(self, channels: Channels) -> Self {
        Self { channels, ..self }
    }

    pub(super) const fn score(self, score: Score) -> Self {
        Self { score, ..self }
    }
}

/// How PyTorch has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Module,
    Function,
    /// What a network is given, and what it holds.
    Neither,
}

/// How many tensors it takes beside its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    Exactly(usize),
    AtLeastOne,
}

/// How it relates to integers: the native backend configuration of `torch.ao.quantization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integers {
    /// It takes integers and gives an output with parameters of its own.
    Computes,
    /// The same, with an output range that the operator itself determines.
    FixedRange,
    /// It moves or selects values: the output keeps the input's parameters.
    KeepsParameters,
    /// It joins tensors, which must all have the same parameters.
    SharesParameters,
    /// requant has no INT8 form of it.
    NoForm,
    /// What a network is given, and what it holds.
    NotComputed,
}

/// What becomes of a factor above 0 that a channel is multiplied by, which cross-layer equalization must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// Its weights make new channels and read those of its input.
    Remade,
    /// The same, but it reads channels by their position, so that those of its input must stay.
    ReadByPosition,
    /// Scaling a channel of every input by a factor scales that channel of the output by it.
    Kept,
    /// As `Kept`, if the input has one number per channel.
    KeptWherePooled,
    /// A product of an image and a gate of one number per channel: scaling the image scales the output, and the gate must not
    /// be scaled.
    Gated,
    /// Neither inputs nor output may be multiplied.
    Fixed,
}

/// Of a network with one number for two classes: what that number is if this operator gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// A probability.
    Probability,
    /// The logarithm of odds.
    Logit,
    /// What its input is: it moves numbers or averages them.
    AsInput,
    /// A logit if all inputs but constants are logits: sums, differences and multiples.
    LinearInLogits,
    /// A logit if its input is one: a strictly rising function that is symmetric about 0.
    OddInLogit,
    /// Nobody can tell.
    Unknown,
}
