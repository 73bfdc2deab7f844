//! Pins against contents.

use super::Look;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic};

/// The problem of a model that nothing pins.
pub const UNPINNED_MODEL: &str = "the model is not pinned";

/// A pin that the manifest holds or could hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinState {
    /// The manifest key, such as `model.sha256`.
    pub key: String,
    /// What the digest is of, for messages.
    pub what: String,
    /// As the manifest has it.
    pub expected: Option<Digest>,
    pub found: Digest,
}

impl PinState {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.expected == Some(self.found)
    }

    /// The mismatch, if there is one.
    #[must_use]
    pub fn broken(&self) -> Option<Diagnostic> {
        let Self { key, what, expected, found } = self;
        let expected = expected.filter(|expected| expected != found)?;
        let message = format!("`{key}` is pinned to {expected}, but {what} has {found}");
        let next = format!("restore it, or accept the change with `{key} = \"{found}\"` or `requant pin`");
        Some(Diagnostic::error(Cause::Integrity, message).next(next))
    }
}

impl Look<'_> {
    pub(super) fn hold_pins(&mut self) {
        for pin in self.pins.clone() {
            if let Some(problem) = pin.broken() {
                self.problem(&pin.key, problem);
            }
        }
        if self.resolved.manifest.model.sha256.is_none() {
            let problem = Diagnostic::error(Cause::Input, UNPINNED_MODEL);
            let problem = problem.next(format!("let `requant pin {}` add `sha256`", self.resolved.path.display()));
            self.problem("model.path", problem);
        }
    }
}
