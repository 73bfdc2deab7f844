//! `requant sweep`.

pub(super) mod args;
mod task;
mod terms;
mod watch;

use std::fmt::Write as _;
use std::path::Path;

use rayon::prelude::*;
use serde_json::json;

use self::args::{Launcher, Sweep as Arguments, SweepVerb, Terms};
use super::options::{Format, Layers};
use crate::backend::process::own_path;
use crate::base::clock;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::owner;
use crate::base::units::counted;
use crate::grid::{Plan, Sweep};
use crate::sweep::attempt::{self, Attempt, Claim, End};
use crate::sweep::estimate;
use crate::sweep::launch::{How, Launch, launches};
use crate::sweep::local::{self, Jobs};
use crate::sweep::state::{self, Standing};
use crate::sweep::{Folder, State, gather, slurm, task as tasks};
use crate::terminal::gauge::Gauge;
use crate::terminal::{Exit, eprint, print, print_json};

pub(super) fn sweep(arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { verb, file, layers, dry_run, results, terms } = arguments;
    match verb {
        None => start(&file.unwrap_or_default(), layers, &results, dry_run, &terms),
        Some(SweepVerb::Status { sweep, results, format }) => status(&Folder::find(&results, &sweep)?, format),
        Some(SweepVerb::Cancel { sweep, points, results }) => cancel(&Folder::find(&results, &sweep)?, &points),
        Some(SweepVerb::Retry { sweep, results, terms }) => retry(&Folder::find(&results, &sweep)?, &terms),
        Some(SweepVerb::Gather { sweep, results }) => conclude(&Folder::find(&results, &sweep)?),
        Some(SweepVerb::Task { folder, point, offset, share, parallel_timing }) => {
            task::task(&folder, point, offset, share, parallel_timing)
        }
        Some(SweepVerb::Point { folder, point, share, parallel_timing }) => {
            task::point(&folder, point, share, parallel_timing)
        }
    }
}

fn start(file: &Path, layers: Layers, results: &Path, dry_run: bool, terms: &Terms) -> Result<Exit, Failure> {
    let here = terms.launcher != Some(Launcher::Slurm);
    terms.fit(here)?;
    let meter = Gauge::new("hashing");
    let plan = Plan::of(Sweep::load(file)?, &layers.resolve(), &meter)?;
    // A login node need not have what the nodes have.
    let obstacles = plan.inspect(&meter, here && !dry_run);
    if !obstacles.is_empty() {
        return Err(obstacles.into());
    }
    if dry_run {
        print(&listing(&plan));
        print(&cost(&plan, results));
        return Ok(Exit::Done);
    }
    if !here {
        slurm::at_hand()?;
    }
    let folder = Folder::of(&plan, results)?;
    print(&format!("sweep: {} ({})\n", folder.path.display(), counted(plan.points.len(), "point")));
    let how = terms.how(None);
    launch(&folder, how, terms.wait)
}

fn listing(plan: &Plan) -> String {
    let keys: Vec<&str> = plan.sweep.axes.iter().map(|axis| axis.key.as_str()).collect();
    let header: Vec<String> = ["point", "id"].into_iter().chain(keys).map(str::to_owned).collect();
    let row = |point: &crate::grid::plan::Point| {
        let start = [point.number.to_string(), point.id.short()];
        start.into_iter().chain(point.values.iter().cloned()).collect::<Vec<_>>()
    };
    aligned(std::iter::once(header).chain(plan.points.iter().map(row)).collect())
}

/// Columns as wide as they must be.
fn aligned(rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cost(plan: &Plan, results: &Path) -> String {
    let base = base_name(&plan.sweep.base).unwrap_or_default();
    let past = estimate::past(results, &[&base, &plan.sweep.name]);
    let points = counted(plan.points.len(), "point");
    match estimate::of(plan.points.iter().map(|point| &point.manifest), &past) {
        None => format!("{points}; no past run of `{base}` says what one takes: `requant run` it once\n"),
        Some(estimate) => format!(
            "{points}, about {} one after the other, {:.0} to {:.0} s each: from {}, {} of the points like one of them\n",
            time(estimate.seconds),
            estimate.shortest,
            estimate.longest,
            counted(estimate.runs, "past run"),
            estimate.alike
        ),
    }
}

fn base_name(base: &Path) -> Option<String> {
    let text = crate::base::files::read_text(base).ok()?;
    Some(text.parse::<toml::Table>().ok()?.get("name")?.as_str()?.to_owned())
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Starts every point that is not done and that nobody has in hand.
fn launch(folder: &Folder, how: How, wait: bool) -> Result<Exit, Failure> {
    attempt::tidy(&folder.path)?;
    let Standing { mut states, attempts, unreachable } = state::of(folder)?;
    doubt(folder, &mut states);
    if let Some(why) = unreachable {
        let message = format!("it cannot be known which points are under way: {why}");
        return Err(Diagnostic::error(Cause::Input, message).next("try again once Slurm answers").into());
    }
    let done = states.iter().filter(|state| state.is_done()).count();
    let in_hand = states.iter().filter(|state| state.is_in_hand()).count();
    let open = |at: &usize| !states[*at].is_done() && !states[*at].is_in_hand();
    let points: Vec<usize> = (0..states.len()).filter(open).map(|at| at + 1).collect();
    if done + in_hand > 0 {
        print(&format!("{done} done already, {in_hand} in hand, {} to run\n", points.len()));
    }
    // Whoever finds a point lost says so, or the next task would take its owner for alive on another machine.
    for &point in &points {
        if let (Some(attempt), State::Lost { reason }) = (&attempts[point - 1], &states[point - 1])
            && attempt.end.is_none()
        {
            attempt::close(&folder.path, attempt, End::Lost { reason: reason.clone() })?;
        }
    }
    note_found(folder, &states, &attempts)?;
    if points.is_empty() && in_hand == 0 {
        return conclude(folder);
    }
    match how {
        How::Local { jobs, parallel_timing } => {
            Launch::begin(folder, How::Local { jobs, parallel_timing }, Vec::new())?;
            let jobs = Jobs { count: jobs, parallel_timing };
            local::run(folder, &points, jobs, &own_path()?, &watch::Lines { folder }).map_err(stopped)?;
            conclude(folder)
        }
        How::Slurm(terms) => {
            if !points.is_empty() {
                slurm::at_hand()?;
                let launched = slurm::submit(folder, &points, &terms, &own_path()?)?;
                for array in &launched.arrays {
                    let job = array.job.unwrap_or_default();
                    print(&format!("job {job}: {}\n", counted(array.numbers().len(), "point")));
                }
                print(&format!("job {}: gathers when all have ended\n", launched.gather.unwrap_or_default()));
            }
            if wait {
                watch::follow(folder)?;
                return conclude(folder);
            }
            print(&format!("next: requant sweep status {}\n", folder.path.display()));
            Ok(Exit::Done)
        }
    }
}

/// Before anything is started, what is said to be done is looked at: a run that cannot be read, or that obeyed other
/// settings, is none.
fn doubt(folder: &Folder, states: &mut [State]) {
    states.par_iter_mut().zip(&folder.record.points).for_each(|(state, point)| {
        if let State::Done { run, .. } = state
            && !folder.is_run_of(run, &point.id)
        {
            *state = State::Lost { reason: format!("its run `{run}` cannot be read, or obeyed other settings") };
        }
    });
}

/// Runs that were there before the sweep: written down, so that nobody need look for them by their settings again.
fn note_found(folder: &Folder, states: &[State], attempts: &[Option<Attempt>]) -> Result<(), Failure> {
    for ((state, attempt), point) in states.iter().zip(attempts).zip(&folder.record.points) {
        let State::Done { run, .. } = state else { continue };
        let is_noted = attempt.as_ref().is_some_and(|attempt| attempt.end.as_ref().and_then(End::run) == Some(run));
        let number = attempt.as_ref().map_or(1, |attempt| attempt.attempt + 1);
        if !is_noted && let Some(claim) = Claim::make(&folder.path, point.number, point.id, number, None)? {
            claim.end(End::Found { run: run.clone() })?;
        }
    }
    Ok(())
}

/// Unlike a run that is stopped, a sweep keeps what was done.
fn stopped(mut failure: Failure) -> Failure {
    for diagnostic in failure.diagnostics.iter_mut().filter(|d| d.cause == Cause::Interrupted) {
        diagnostic.next_step = Some("the points that are done are kept; the same command runs the rest".to_owned());
    }
    failure
}

fn retry(folder: &Folder, terms: &Terms) -> Result<Exit, Failure> {
    let launches = launches(folder)?;
    let how = terms.how(launches.last().map(|launch| &launch.how));
    terms.fit(matches!(how, How::Local { .. }))?;
    launch(folder, how, terms.wait)
}

/// Gathers, and says what came of all of it.
fn conclude(folder: &Folder) -> Result<Exit, Failure> {
    let gathered = gather::gather(folder)?;
    let (verdict, whole) = gathered.verdict();
    print(&watch::counts(&gathered.states));
    print(&format!("table: {}\n", folder.path.join("sweep.csv").display()));
    print(&format!("page:  {}\n", folder.path.join("sweep.md").display()));
    if !whole {
        print(&without_run(folder, &gathered.states));
        return Ok(if gathered.states.iter().any(State::is_in_hand) { Exit::Inconclusive } else { Exit::Failed });
    }
    print(&format!("verdict: {}\n", verdict.word()));
    Ok(Exit::from(verdict))
}

/// Nobody reads more of them on a terminal.
const MOST_SHOWN: usize = 40;

/// Points without a run, each with what there is to say.
fn without_run(folder: &Folder, states: &[State]) -> String {
    let open: Vec<usize> = (0..states.len()).filter(|&at| !states[at].is_done()).collect();
    let row = |at: &usize| {
        let values = folder.record.points[*at].values.join(", ");
        vec![format!("  {}", at + 1), values, states[*at].word().to_owned(), states[*at].detail()]
    };
    let mut text = aligned(open.iter().take(MOST_SHOWN).map(row).collect());
    if open.len() > MOST_SHOWN {
        let _ = writeln!(text, "  and {} more; `--format json` has all", open.len() - MOST_SHOWN);
    }
    text
}

fn status(folder: &Folder, format: Format) -> Result<Exit, Failure> {
    let Standing { states, attempts, unreachable } = state::of(folder)?;
    match format {
        Format::Text => {
            print(&format!("{}: {}", folder.path.display(), watch::counts(&states)));
            print(&without_run(folder, &states));
            if let Some(why) = &unreachable {
                eprint(&format!("note: {why}; what it has is shown as unknown"));
            }
        }
        Format::Json => {
            let point = |at: usize| {
                json!({
                    "point": at + 1,
                    "id": folder.record.points[at].id,
                    "values": folder.record.points[at].values,
                    "standing": states[at],
                    "attempts": attempts[at].as_ref().map_or(0, |attempt| attempt.attempt),
                    "job": attempts[at].as_ref().and_then(|attempt| attempt.job),
                })
            };
            let points: Vec<_> = (0..states.len()).map(point).collect();
            let document = json!({
                "format": 1,
                "sweep": folder.record.name,
                "folder": folder.path.display().to_string(),
                "axes": folder.record.axes,
                "unreachable": unreachable,
                "points": points,
            });
            print_json(&format!("{document:#}\n"));
        }
    }
    Ok(if states.iter().all(State::is_done) {
        Exit::Done
    } else if states.iter().any(State::is_in_hand) {
        Exit::Inconclusive
    } else {
        Exit::Failed
    })
}

fn cancel(folder: &Folder, points: &[usize]) -> Result<Exit, Failure> {
    points.iter().try_for_each(|point| folder.point(*point).map(drop))?;
    let wanted = |point: usize| points.is_empty() || points.contains(&point);
    let mut stopped = 0;
    // First whoever would begin the next point; it asks its own tasks, which a second word would end at once.
    if points.is_empty() {
        for mut launch in launches(folder)?.into_iter().filter(|launch| launch.cancelled.is_none()) {
            if matches!(launch.how, How::Local { .. }) && tasks::ask_to_stop(&launch.owner) {
                stopped += 1;
                launch.cancelled = Some(clock::stamp(clock::now()));
                launch.save(folder)?;
            }
        }
    }
    let asked = slurm::cancel(folder, points)?;
    for attempt in attempt::latest(&folder.path, folder.record.points.len())?.into_iter().flatten() {
        let is_open = attempt.end.is_none() && attempt.job.is_none() && wanted(attempt.point);
        if is_open && !owner::is_of_this_host(&attempt.owner) {
            eprint(&format!("note: point {} runs on {}: cancel it there", attempt.point, attempt.node));
        } else if is_open && (stopped == 0 || !points.is_empty()) {
            // Slurm asks its own, and a launcher did.
            stopped += usize::from(tasks::ask_to_stop(&attempt.owner));
        }
    }
    let what = match (stopped, asked) {
        (0, 0) => "nothing was under way".to_owned(),
        (processes, 0) => format!("{} asked to stop", counted(processes, "process")),
        (0, _) => "Slurm was told to cancel".to_owned(),
        (processes, _) => format!("Slurm was told to cancel, and {} asked to stop", counted(processes, "process")),
    };
    print(&format!("{what}\nnext: requant sweep status {}\n", folder.path.display()));
    Ok(Exit::Done)
}
