//! What a run tells while it goes, as data; how it is shown is the command line's business.

/// The stages of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Prepare,
    Calibrate,
    Quantize,
    Evaluate,
    Benchmark,
    Attribute,
    Diagnose,
    Record,
    Render,
}

impl Stage {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Calibrate => "calibrate",
            Self::Quantize => "quantize",
            Self::Evaluate => "evaluate",
            Self::Benchmark => "benchmark",
            Self::Attribute => "attribute",
            Self::Diagnose => "diagnose",
            Self::Record => "record",
            Self::Render => "render",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    Started(Stage),
    /// `done` of `total` steps of the current stage.
    Progress {
        done: usize,
        total: usize,
        unit: &'a str,
    },
    /// Worth reading, though nothing failed.
    Note(String),
    Ended(Stage),
}

/// Where events go.
pub trait Events {
    fn emit(&self, event: &Event<'_>);
}
