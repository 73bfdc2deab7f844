//! A manifest held against the world: the model, the data, the pins, the engines, the template.
//!
//! Everything that can be known before anything is computed is looked at here, without an engine,
//! and every problem is found in one go. `check` prints what comes of it, `pin` writes it down, and
//! a run starts from it.

mod concerns;
mod data;
mod deep;
mod head;
mod memory;
mod model;
mod pinner;
mod pins;

pub use concerns::concerns;
pub use data::DataInputs;
pub use deep::deep;
pub use model::{ModelInputs, read as read_model, wanted};
pub(crate) use model::{digest_beside, rules};
pub use pinner::Pinner;
pub use pins::PinState;

use std::path::Path;

use crate::backend::{self, Availability, Request};
use crate::base::digest::Digest;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::files;
use crate::base::progress::Meter;
use crate::manifest::{Choice as _, Precision, Remote, Resolved, Variant};
use crate::quantize::LayerRule;
use crate::report;

/// What was found.
#[derive(Default)]
pub struct Inspection {
    /// What is wrong with the contents.
    pub problems: Vec<Diagnostic>,
    /// Pins that do not hold, and a model without one.
    pub broken_pins: Vec<Diagnostic>,
    /// Engines that required variants lack.
    pub missing_engines: Vec<Diagnostic>,
    /// Every pin that a manifest can hold, where its content could be read.
    pub pins: Vec<PinState>,
    /// Present when all of it could be read.
    pub inputs: Option<Inputs>,
}

/// What a run works on.
pub struct Inputs {
    pub model: ModelInputs,
    /// One per node of the graph.
    pub rules: Vec<LayerRule>,
    pub data: DataInputs,
    /// One per variant.
    pub availability: Vec<Availability>,
    /// The text of the report's template.
    pub template: String,
}

/// Looks at everything that a manifest names.
#[must_use]
pub fn inspect(resolved: &Resolved, meter: &dyn Meter) -> Inspection {
    let mut look = Look { resolved, found: Inspection::default() };
    let model = look.at_model();
    let rules = model.as_ref().and_then(|model| look.at_layers(model));
    let data = look.at_data(model.as_ref(), meter);
    model.iter().for_each(|model| look.at_memory(model, data.as_ref()));
    let availability = look.at_engines();
    let template = look.at_template();
    look.hold_pins();
    look.found.inputs = match (model, rules, data, template) {
        (Some(model), Some(rules), Some(data), Some(template)) => {
            Some(Inputs { model, rules, data, availability, template })
        }
        _ => None,
    };
    look.found
}

impl Inspection {
    /// Everything that stands in the way of a run.
    #[must_use]
    pub fn obstacles(&self) -> Vec<Diagnostic> {
        [&self.problems, &self.missing_engines, &self.broken_pins].into_iter().flatten().cloned().collect()
    }

    /// What a run works on, if nothing stands in its way.
    pub fn ready(self) -> Result<Inputs, Failure> {
        let obstacles = self.obstacles();
        match self.inputs {
            Some(inputs) if obstacles.is_empty() => Ok(inputs),
            _ if obstacles.is_empty() => Err(Failure::bug("the manifest could not be inspected, and nothing says why")),
            _ => Err(obstacles.into()),
        }
    }
}

/// One look, with what it has found so far.
struct Look<'a> {
    resolved: &'a Resolved,
    found: Inspection,
}

impl Look<'_> {
    /// The value, or a problem at the place of `key`.
    fn keep<T>(&mut self, key: &str, result: Result<T, impl Into<Diagnostic>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problem(key, problem.into());
                None
            }
        }
    }

    /// A file that is not here but that the manifest says where to find.
    fn awaits_fetching(&mut self, key: &str, path: &Path, source: Option<&Remote>) -> bool {
        let absent = source.is_some() && !path.exists();
        if absent {
            let problem = Diagnostic::error(Cause::Input, format!("`{}` is not here yet", path.display()));
            self.problem(key, problem.next(format!("run `requant fetch {}`", self.resolved.path.display())));
        }
        absent
    }

    fn problem(&mut self, key: &str, problem: Diagnostic) {
        self.found.problems.push(problem.at(self.resolved.place(key)));
    }

    /// What can run; a required variant that cannot is a problem.
    fn at_engines(&mut self) -> Vec<Availability> {
        let variants = &self.resolved.manifest.variant;
        let found: Vec<Availability> = variants.iter().map(|variant| backend::probe(Request::from(variant))).collect();
        for (position, (variant, availability)) in variants.iter().zip(&found).enumerate() {
            if let (true, Availability::Missing { why, remedy }) = (variant.required, availability) {
                let (name, backend) = (&variant.name, variant.backend.word());
                let message = format!("variant `{name}` needs {backend}, which is missing: {why}");
                let next = format!("{remedy}; or set `required = false` to report it as a missing row");
                let place = self.resolved.place(&format!("variant.{position}.backend"));
                let problem = Diagnostic::error(Cause::EngineMissing, message).next(next);
                self.found.missing_engines.push(problem.at(place));
            }
        }
        self.at_reference(&found);
        found
    }

    /// What calibrates, where no variant that must run has asked for it already, and one could be quantized for.
    fn at_reference(&mut self, found: &[Availability]) {
        let manifest = &self.resolved.manifest;
        let backend = manifest.calibrates_on();
        let is_ready = |(variant, found): (&Variant, &Availability)| {
            variant.precision == Precision::Int8 && matches!(found, Availability::Ready { .. })
        };
        if !manifest.variant.iter().zip(found).any(is_ready) {
            return;
        }
        let is_told = manifest.variant.iter().any(|variant| variant.required && variant.backend == backend);
        if let (false, Availability::Missing { why, remedy }) = (is_told, backend::probe(Request::float(backend))) {
            let message = format!("calibration needs {}, which is missing: {why}", backend.word());
            let next = format!("{remedy}; where no variant is of `torch`, the backend of the first one calibrates");
            let problem = Diagnostic::error(Cause::EngineMissing, message).next(next);
            self.found.missing_engines.push(problem.at(self.resolved.place("variant.0.backend")));
        }
    }

    fn at_template(&mut self) -> Option<String> {
        let Some(path) = &self.resolved.manifest.report.template else { return Some(report::BUILT_IN.to_owned()) };
        let key = "report.template";
        let text = files::read_text(&self.resolved.locate(key, path));
        let text = self.keep(key, text)?;
        self.holds("report.sha256", "the template", self.resolved.manifest.report.sha256, Digest::of(text.as_bytes()));
        self.keep(key, report::check(&text))?;
        Some(text)
    }

    fn holds(&mut self, key: &str, what: &str, expected: Option<Digest>, found: Digest) {
        self.found.pins.push(PinState { key: key.to_owned(), what: what.to_owned(), expected, found });
    }
}
