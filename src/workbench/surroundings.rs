//! Whom a run tells, whom it waits for, and where its results go.

use std::path::Path;
use std::process::Command;

use super::event::{Event, Events, Stage};
use crate::base::explain::Failure;
use crate::base::interrupt;
use crate::base::progress::Meter;
use crate::record::format::Repeated;

/// What a run needs from its surroundings.
pub struct Surroundings<'a> {
    /// Runs go below `<results>/<experiment>`.
    pub results: &'a Path,
    pub events: &'a dyn Events,
    /// Counts what is read before the work begins.
    pub meter: &'a dyn Meter,
    /// A command that starts a measuring process (`serve` of the room `bench` on its standard streams).
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

/// Carries a stage out: makes way for others first, and tells when it starts and ends.
pub fn stage<T>(
    around: &Surroundings<'_>,
    stage: Stage,
    body: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    // Waiting for others is no part of what a stage takes.
    let way = around.neighbours.map_or(Ok(()), |neighbours| neighbours.make_way(stage));
    around.events.emit(&Event::Started(stage));
    let result = way.and_then(|()| Ok(interrupt::check()?)).and_then(|()| body());
    around.events.emit(&Event::Ended(stage));
    result.map_err(|failure| failure.while_doing(stage.word()))
}
