//! A sweep while it runs.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::interrupt;
use crate::sweep::local::Watcher;
use crate::sweep::state::{self, Standing};
use crate::sweep::{Folder, State};
use crate::terminal::{eprint, plain};

/// A line per point that has ended.
pub(super) struct Lines<'a> {
    pub(super) folder: &'a Folder,
}

impl Watcher for Lines<'_> {
    fn ended(&self, point: usize, state: &State, done: usize, total: usize) {
        let values = self.folder.record.points[point - 1].values.join(", ");
        let verdict = match state {
            State::Done { exit: Some(0), .. } => "PASS",
            State::Done { exit: Some(3), .. } => "INCONCLUSIVE",
            State::Done { exit: Some(_), .. } => "FAIL",
            State::Done { exit: None, .. } => "found",
            _ => state.word(),
        };
        let detail = state.detail();
        eprint(&plain(&format!("[{done}/{total}] point {point} ({values}): {verdict}, {detail}")));
    }
}

/// `9 done, 2 running, 1 failed`
pub(super) fn counts(states: &[State]) -> String {
    const WORDS: [&str; 8] = ["done", "running", "queued", "waiting", "failed", "cancelled", "lost", "unknown"];
    let count = |word: &str| states.iter().filter(|state| state.word() == word).count();
    let shown = WORDS.into_iter().filter(|word| count(word) > 0).map(|word| format!("{} {word}", count(word)));
    shown.collect::<Vec<_>>().join(", ") + "\n"
}

/// How often a shared controller is asked.
const PAUSE: Duration = Duration::from_secs(5);

/// A task that has ended may show in the queue before its words arrive on a shared folder.
const GRACE: usize = 2;

/// Shows where points stand until none is in hand; one live table on a terminal, a line per change elsewhere.
pub(super) fn follow(folder: &Folder) -> Result<(), Failure> {
    let table = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        ProgressBar::new_spinner().with_style(style)
    });
    let mut before: Vec<&'static str> = vec![""; folder.record.points.len()];
    let mut quiet = 0;
    loop {
        let Standing { states, unreachable, .. } = state::of(folder)?;
        match &table {
            Some(table) => table.set_message(plain(&live(folder, &states, unreachable.as_deref()))),
            None => changes(folder, &states, &before),
        }
        before = states.iter().map(State::word).collect();
        let settled = |state: &State| !state.is_in_hand() && !matches!(state, State::Lost { .. } | State::Waiting);
        quiet = if states.iter().any(State::is_in_hand) { 0 } else { quiet + 1 };
        if states.iter().all(settled) || quiet > GRACE {
            if let Some(table) = table {
                table.finish_and_clear();
            }
            return Ok(());
        }
        pause(folder)?;
    }
}

fn pause(folder: &Folder) -> Result<(), Failure> {
    const SLICE: Duration = Duration::from_millis(100);
    for _ in 0..PAUSE.as_millis() / SLICE.as_millis() {
        if interrupt::check().is_err() {
            let next = format!("the jobs go on; `requant sweep cancel {}` stops them", folder.path.display());
            return Err(Diagnostic::error(Cause::Interrupted, "no longer following").next(next).into());
        }
        thread::sleep(SLICE);
    }
    Ok(())
}

const ROWS: usize = 12;

fn live(folder: &Folder, states: &[State], unreachable: Option<&str>) -> String {
    let mut text = format!("{}: {}", folder.record.name, counts(states));
    let open: Vec<usize> =
        (0..states.len()).filter(|&at| !states[at].is_done() && states[at].word() != "queued").collect();
    for &at in open.iter().take(ROWS) {
        let values = folder.record.points[at].values.join(", ");
        let _ = writeln!(text, "  {:5}  {values}  {}  {}", at + 1, states[at].word(), states[at].detail());
    }
    if open.len() > ROWS {
        let _ = writeln!(text, "  and {} more", open.len() - ROWS);
    }
    if let Some(why) = unreachable {
        let _ = writeln!(text, "  {why}");
    }
    text
}

fn changes(folder: &Folder, states: &[State], before: &[&'static str]) {
    for (at, state) in states.iter().enumerate().filter(|(at, state)| state.word() != before[*at]) {
        let values = folder.record.points[at].values.join(", ");
        eprint(&plain(&format!("point {} ({values}): {} {}", at + 1, state.word(), state.detail())));
    }
}
