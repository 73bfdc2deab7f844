//! The command line: arguments in, exit code out. One file per command.

mod args;
mod check;
mod clean;
mod diff;
mod doctor;
mod export;
mod fetch;
mod list;
mod new;
mod options;
mod pin;
mod remedy;
mod report;
mod rerun;
mod run;
mod runs;
mod schema;
mod settings;
mod show;
mod sweep;
mod template;
mod tune;
mod verify;
mod worker;

use clap::Parser as _;

use crate::base::explain::{Cause, Diagnostic};
use crate::base::interrupt;
use crate::report::apart as report_apart;
use crate::terminal::complaint;
use crate::terminal::{Exit, eprint};
use args::{Args, Verb};

/// Parses the process's arguments, does what they ask, and says how it ended.
#[must_use]
pub fn main() -> Exit {
    if let Ok(program) = std::env::current_exe() {
        report_apart::use_program(program);
    }
    if let Some(argument) = std::env::args_os().find(|argument| argument.to_str().is_none()) {
        let message = format!("the argument `{}` is not UTF-8", argument.to_string_lossy());
        let next = "rename the file or folder: records and manifests are UTF-8 and have to name it";
        complaint::complain(&[Diagnostic::error(Cause::Input, message).next(next)]);
        return Exit::Input;
    }
    if let Some(folder) = std::env::current_dir().ok().filter(|folder| folder.to_str().is_none()) {
        let message = format!("the working folder `{}` is not UTF-8", folder.display());
        let next = "rename it, or start requant from another folder: engines cannot open files in it";
        complaint::complain(&[Diagnostic::error(Cause::Input, message).next(next)]);
        return Exit::Input;
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            let _ = usage.print();
            return if usage.use_stderr() { Exit::Input } else { Exit::Done };
        }
    };
    interrupt::listen(i32::from(Exit::Interrupted.code()), || {
        eprint(
            "error: interrupted while something was waited for that did not come\n= next: what a run left is removed by `requant clean`",
        );
    });
    let result = match args.verb {
        Verb::New { name, model, data, recipe, task, backend, scores, classes, output } => {
            new::new(&name, &new::New { model, data, recipe, task, backend, scores, classes, output })
        }
        Verb::Check { manifests, layers, deep, format } => check::check(manifests, &layers.resolve(), deep, format),
        Verb::Pin { manifest, check, from } => pin::pin(&manifest, check, from.as_deref()),
        Verb::Fetch { manifest, timeout } => fetch::fetch(&manifest, timeout),
        Verb::Run { manifest, layers, results, against } => {
            run::run(&manifest, &layers.resolve(), &results, against.as_deref())
        }
        Verb::Tune { manifest, layers, wishes } => tune::tune(&manifest, &layers.resolve(), &wishes.into()),
        Verb::Rerun { run, results, to } => rerun::rerun(&run, &results, &to),
        Verb::Remedy { run, results } => remedy::remedy(&run, &results),
        Verb::Diff { runs, results, format, check } => diff::diff(&runs, &results, format, check),
        Verb::Report { run, template, results } => report::report(&run, template.as_deref(), &results),
        Verb::Export { run, form, output, variant, results } => {
            export::export(&run, form, output, variant.as_deref(), &results)
        }
        Verb::List { filters, results, format } => list::list(&results, &filters, format),
        Verb::Show { run, results } => show::show(&run, &results),
        Verb::Clean { results } => clean::clean(&results),
        Verb::Verify { run, results } => verify::verify(&run, &results),
        Verb::Schema { markdown } => Ok(schema::schema(markdown)),
        Verb::Doctor => Ok(doctor::doctor()),
        Verb::Sweep(arguments) => sweep::sweep(*arguments),
        Verb::Worker => worker::worker(),
        Verb::Template => template::template(),
    };
    result.unwrap_or_else(|failure| {
        complaint::complain(&failure.diagnostics);
        Exit::from(failure.cause())
    })
}
