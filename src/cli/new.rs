//! `requant new`.

use std::path::{Path, PathBuf};

use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::text::nearest;
use crate::document::is_file_name;
use crate::manifest::{Choice, Recipe, Task};
use crate::scaffold::{self, Scaffold, Wish};
use crate::terminal::gauge::Gauge;
use crate::terminal::{Exit, print};

/// What the command line says beside the name.
pub(super) struct New {
    pub(super) model: PathBuf,
    pub(super) data: PathBuf,
    pub(super) recipe: String,
    pub(super) task: String,
    pub(super) backend: Option<String>,
    pub(super) scores: Option<String>,
    pub(super) classes: Option<PathBuf>,
    pub(super) output: Option<PathBuf>,
}

pub(super) fn new(name: &str, asked: &New) -> Result<Exit, Failure> {
    if !is_file_name(name) {
        let message = format!("`{name}` cannot name a file");
        return Err(Diagnostic::error(Cause::Input, message).next("use letters, digits, `-`, `_` and `.`").into());
    }
    let recipe = known("recipe", Recipe::ALL, &asked.recipe)?;
    let task = known("task", Task::ALL, &asked.task)?;
    let backend = asked.backend.as_ref().map(|name| known("backend", &scaffold::BACKENDS, name)).transpose()?;
    let output = asked.output.clone().unwrap_or_else(|| place(name));
    let wish = Wish {
        name,
        model: &asked.model,
        data: &asked.data,
        recipe,
        task,
        backend,
        scores: asked.scores.as_deref(),
        classes: asked.classes.as_deref(),
        output: &output,
    };
    let Scaffold { written, guesses } = scaffold::scaffold(&wish, &Gauge::new("hashing"))?;
    for path in written {
        print(&format!("wrote {}\n", path.display()));
    }
    print("look at:\n");
    for guess in guesses {
        print(&format!("  {guess}\n"));
    }
    print(&format!("then: requant check {0}\n      requant run {0}\n", output.display()));
    Ok(Exit::Done)
}

/// The choice of this name; `what` is chosen.
fn known<T: Choice>(what: &str, all: &[T], name: &str) -> Result<T, Diagnostic> {
    let words = || all.iter().map(|choice| choice.word());
    all.iter().copied().find(|choice| choice.word() == name).ok_or_else(|| {
        let next = match nearest(name, words()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("choose one of {}", words().collect::<Vec<_>>().join(", ")),
        };
        Diagnostic::error(Cause::Input, format!("unknown {what} `{name}`")).next(next)
    })
}

fn place(name: &str) -> PathBuf {
    let home = Path::new("experiments");
    let file = format!("{name}.toml");
    if home.is_dir() { home.join(file) } else { file.into() }
}
