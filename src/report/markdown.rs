//! The markdown report through Tera. Templates only place values: every number is already text.

use std::error::Error as _;

use tera::{Context, Filter, Tera, Value};

use super::view::View;
use crate::base::explain::{Cause, Explain};
use crate::base::text::{code_span, inline_markdown, one_line};
use crate::record::Record;

/// The template that requant carries.
pub const BUILT_IN: &str = include_str!("../../templates/report.md.tera");

/// What the template is called in messages.
const NAME: &str = "report";
const FIGURE: &str = "figure";

/// A template that cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[error("the report template cannot be rendered: {reason}")]
pub struct TemplateError {
    reason: String,
}

impl TemplateError {
    pub(super) fn new(reason: String) -> Self {
        Self { reason }
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

impl Explain for TemplateError {
    fn class(&self) -> Cause {
        Cause::Input
    }

    fn next_step(&self) -> Option<String> {
        Some(
            "start from `templates/report.md.tera`, which uses every value there is, and loop over what is finite"
                .into(),
        )
    }
}

/// Parses a template without rendering it, so that a mistake is found before the work begins.
pub(super) fn check(template: &str) -> Result<(), TemplateError> {
    engine(NAME, template).map(drop)
}

/// Renders a record with a template.
pub(super) fn render(record: &Record, template: &str) -> Result<String, TemplateError> {
    fill(template, &View::of(record))
}

/// Places values into a page of Markdown, each as text within a line.
pub(crate) fn fill(template: &str, values: &impl serde::Serialize) -> Result<String, TemplateError> {
    placed(NAME, template, values)
}

/// Places values into a figure, whose template escapes texts itself.
pub(crate) fn figure(template: &str, values: &impl serde::Serialize) -> Result<String, TemplateError> {
    placed(FIGURE, template, values)
}

fn placed(name: &str, template: &str, values: &impl serde::Serialize) -> Result<String, TemplateError> {
    let context = Context::from_serialize(values).map_err(|error| trouble(&error))?;
    engine(name, template)?.render(name, &context).map_err(|error| trouble(&error))
}

fn engine(name: &str, template: &str) -> Result<Tera, TemplateError> {
    let mut tera = Tera::default();
    tera.autoescape_on(vec![NAME]);
    tera.set_escape_fn(inline_markdown);
    tera.register_filter("code", Placed(code_span));
    tera.register_filter("line", Placed(one_line));
    // Tera's one way to the outside: a report must not depend on, or leak, the environment.
    tera.register_function("get_env", |_: &_| -> tera::Result<Value> {
        Err("templates have no access to the environment".into())
    });
    tera.add_raw_template(name, template).map_err(|error| trouble(&error))?;
    Ok(tera)
}

/// A filter that places a value by itself: `code` as code, and `line` as a line of a block of code.
struct Placed(fn(&str) -> String);

impl Filter for Placed {
    #[expect(clippy::disallowed_types, reason = "Tera hands over the arguments so; there are none")]
    fn filter(&self, value: &Value, _: &std::collections::HashMap<String, Value>) -> tera::Result<Value> {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Ok(Value::String(self.0(&text)))
    }

    fn is_safe(&self) -> bool {
        true
    }
}

/// The error with its causes: Tera keeps line and reason in them.
fn trouble(error: &tera::Error) -> TemplateError {
    let causes = std::iter::successors(error.source(), |inner| (*inner).source()).map(ToString::to_string);
    TemplateError { reason: std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ") }
}
