//! Pins against contents.

use super::Look;
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic};
use crate::manifest::Resolved;

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
        let resolved = self.resolved;
        let broken = self.found.pins.iter().filter_map(|pin| {
            let problem = pin.broken()?;
            let problem = match outside_cause(resolved, &pin.key) {
                Some(next) => problem.next(next),
                None => problem,
            };
            Some(problem.at(resolved.place(&pin.key)))
        });
        self.found.broken_pins = broken.collect();
        if resolved.manifest.model.sha256.is_none() {
            let problem = Diagnostic::error(Cause::Input, "the model is not pinned");
            let problem = problem.next(format!("let `requant pin {}` add `sha256`", resolved.path.display()));
            self.found.broken_pins.push(problem.at(resolved.place("model.path")));
        }
    }
}

/// What to do where a setting from outside gave the pin another content than the manifest does.
fn outside_cause(resolved: &Resolved, pin: &str) -> Option<String> {
    let table = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
    // Every subset is drawn from the dataset.
    let bears = |key: &str| table(key) == table(pin) || table(key) == "dataset";
    let change = resolved.overrides.iter().find(|change| bears(&change.key))?;
    Some(format!(
        "the manifest is overridden: `{}` is {}, by {}; leave that out",
        change.key, change.value, change.origin
    ))
}
