//! A run: prepare → calibrate → quantize → evaluate → benchmark → attribute → diagnose →
//! record → render. One file per stage; each stage's output is the next one's input.

mod attribute;
mod benchmark;
mod calibrate;
mod diagnose;
mod evaluate;
pub mod event;
mod pools;
mod prepare;
mod quantize;
mod record;
mod render;
mod serve;
mod stream;
pub mod tune;
mod usage;
mod workbench;

pub use event::{Event, Events, Stage};
pub use serve::{Task, Wrap, serve, serve_wrapped};

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::base::explain::Failure;
use crate::base::interrupt;
use crate::base::progress::Meter;
use crate::manifest::Resolved;
use crate::record::Record;
use crate::record::format::Repeated;

/// What a run needs from its surroundings.
pub struct Surroundings<'a> {
    /// Runs go below `<results>/<experiment>`.
    pub results: &'a Path,
    pub events: &'a dyn Events,
    /// Counts what is read before the work begins.
    pub meter: &'a dyn Meter,
    /// A command that starts a measuring process ([`serve()`] on its standard streams).
    pub worker: &'a dyn Fn() -> Command,
    /// The run that this one is to reproduce.
    pub repeats: Option<Repeated>,
    /// What shares the machine by agreement, if anything does.
    pub neighbours: Option<&'a dyn Neighbours>,
}

/// Other runs on this machine that keep out of each other's way.
pub trait Neighbours {
    /// Called before each stage, which begins once the others have made room for it.
    fn make_way(&self, stage: Stage) -> Result<(), Failure>;

    /// Whether others may compute while this run is timed.
    fn compute_meanwhile(&self) -> bool;
}

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    pub record: Record,
    pub folder: PathBuf,
}

/// Executes a resolved manifest from its model to its report.
pub fn run(resolved: Resolved, around: &Surroundings<'_>) -> Result<Finished, Failure> {
    let prepared = stage(around, Stage::Prepare, || prepare::prepare(resolved, around))?;
    let calibrated = stage(around, Stage::Calibrate, || calibrate::calibrate(prepared, around))?;
    let quantized = stage(around, Stage::Quantize, || quantize::quantize(calibrated))?;
    let (evaluated, benches) = stage(around, Stage::Evaluate, || {
        let ahead = benchmark::Ahead::start(&quantized, around);
        let evaluated = evaluate::evaluate(quantized, around)?;
        let benches = ahead.benches(&evaluated);
        Ok((evaluated, benches))
    })?;
    let benchmarked = stage(around, Stage::Benchmark, || benchmark::benchmark(evaluated, benches, around))?;
    let attributed = stage(around, Stage::Attribute, || attribute::attribute(benchmarked, around))?;
    let diagnosed = stage(around, Stage::Diagnose, || Ok(diagnose::diagnose(attributed)))?;
    let recorded = stage(around, Stage::Record, || record::record(diagnosed))?;
    stage(around, Stage::Render, || render::render(recorded))
}

fn stage<T>(around: &Surroundings<'_>, stage: Stage, body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Waiting for others is no part of what a stage takes.
    let way = around.neighbours.map_or(Ok(()), |neighbours| neighbours.make_way(stage));
    around.events.emit(&Event::Started(stage));
    let result = way.and_then(|()| Ok(interrupt::check()?)).and_then(|()| body());
    around.events.emit(&Event::Ended(stage));
    result.map_err(|failure| failure.while_doing(stage.word()))
}
