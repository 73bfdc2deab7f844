//! Templates that people bring are filled in a process of their own. A template can nest without end, recurse, or
//! double a text until the memory is full: that must cost neither the run nor this process.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use serde::{Deserialize, Serialize};

use super::markdown::{self, TemplateError};
use crate::record::Record;

/// What a template may take.
pub struct Limits;

impl Limits {
    pub const BYTES: u64 = 1 << 30;
    /// Of processor time.
    pub const SECONDS: u64 = 20;
}

/// A page is no longer than this.
const LONGEST: u64 = 64 << 20;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names the program that fills templates when it is started as `PROGRAM template`. Without it, as where requant is
/// used as a library, they are filled in this process.
pub fn use_program(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

#[derive(Serialize, Deserialize)]
struct Asked {
    template: String,
    /// Absent where the template is only to be read.
    record: Option<Box<Record>>,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Filled(String),
    Refused(String),
}

/// Parses a template without rendering it, so that a mistake is found before the work begins.
pub fn check(template: &str) -> Result<(), TemplateError> {
    match PROGRAM.get() {
        Some(program) => ask(program, &Asked { template: template.to_owned(), record: None }).map(drop),
        None => markdown::check(template),
    }
}

/// Renders a record with a template.
pub fn render(record: &Record, template: &str) -> Result<String, TemplateError> {
    match PROGRAM.get().filter(|_| template != super::BUILT_IN) {
        Some(program) => {
            let record = Some(Box::new(record.clone()));
            ask(program, &Asked { template: template.to_owned(), record })
        }
        None => markdown::render(record, template),
    }
}

/// The other side: what is answered to a question that came as text.
pub fn answer(asked: &str) -> serde_json::Result<String> {
    let Asked { template, record } = serde_json::from_str(asked)?;
    let filled = match record {
        Some(record) => markdown::render(&record, &template),
        None => markdown::check(&template).map(|()| String::new()),
    };
    serde_json::to_string(&filled.map_or_else(|error| Answer::Refused(error.reason().to_owned()), Answer::Filled))
}

fn ask(program: &PathBuf, asked: &Asked) -> Result<String, TemplateError> {
    let failed = |what: &dyn std::fmt::Display| TemplateError::new(format!("the process that fills it failed: {what}"));
    let question = serde_json::to_string(asked).map_err(|error| failed(&error))?;
    let mut command = Command::new(program);
    command.arg("template").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    // A child that dies while it is asked closes the pipe; how it ended tells why.
    let asking = thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(question.as_bytes())));
    let mut told = String::new();
    let read = stdout.map(|pipe| pipe.take(LONGEST).read_to_string(&mut told));
    let _ = child.kill();
    let status = child.wait().map_err(|error| failed(&error))?;
    drop(asking.join());
    match (read, serde_json::from_str(&told)) {
        (Some(Ok(_)), Ok(Answer::Filled(text))) => Ok(text),
        (Some(Ok(_)), Ok(Answer::Refused(reason))) => Err(TemplateError::new(reason)),
        _ => Err(TemplateError::new(format!(
            "it nests too deeply, or needs more than {} MB of memory or {} s ({status})",
            Limits::BYTES >> 20,
            Limits::SECONDS
        ))),
    }
}
